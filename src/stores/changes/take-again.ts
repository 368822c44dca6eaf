import type { ChangeMaker } from "./change-maker.ts";
import type { Takeaway } from "./revocation-line.ts";

/** What became of the changes that revocation logs tell of. */
export type TakenAgain = {
  revokedAgain: number;
  /** Other changes: ends of keys, holds, closures. */
  changedAgain: number;
  /** What was there already, or an earlier change has brought about. */
  knownAlready: number;
  /** Of tokens that were created later and are lost: their keys are unknown from now on. */
  ofLostTokens: number;
};

/** Does it again, unless it is done already, or its token is lost. The journal then names this command as its maker. */
export function takeAgain(
  maker: Pick<ChangeMaker, "revoke" | "endKeys" | "setHold" | "closeAccount">,
  takeaway: Takeaway,
  command: "restore" | "recover",
): keyof TakenAgain {
  const { action, subject, ends, reason } = takeaway;
  const context = { caller: `${command}:${takeaway.caller}`, atMs: takeaway.atMs, bearerKey: null };
  const id = "tokenId" in subject ? subject.tokenId : "";
  switch (action) {
    case "revoke": {
      const outcome = maker.revoke({ method: "revoke", id, reason, context });
      if (outcome?.kind !== "revoked") {
        return "ofLostTokens";
      }
      return outcome.change === null ? "knownAlready" : "revokedAgain";
    }
    // What was issued is lost. What has ended, or was to end, must.
    case "rotate_key":
    case "end_key":
    case "cancel_rotation": {
      const outcome = maker.endKeys({ id, ends, context });
      if (outcome === null) {
        return "ofLostTokens";
      }
      return outcome.change === null ? "knownAlready" : "changedAgain";
    }
    // An account that is closed is neither held nor given back any more.
    case "hold":
    case "resume": {
      const outcome = maker.setHold({ method: "setHold", subject, held: action === "hold", reason, context });
      if (outcome === null) {
        return "ofLostTokens";
      }
      return outcome.kind === "account_closed" || outcome.change === null ? "knownAlready" : "changedAgain";
    }
    case "close": {
      const account = "account" in subject ? subject.account : "";
      const outcome = maker.closeAccount({ method: "closeAccount", account, reason, context });
      return outcome.change === null ? "knownAlready" : "changedAgain";
    }
  }
}
