import type { Known } from "../../../clients/typescript/src/cache/known.ts";
import type { Decision } from "../../../clients/typescript/src/decision.ts";
import { type Outcome, type RefusalReason, refusal } from "../../authority/judge.ts";
import type { Principal } from "../../authority/key-index.ts";
import type { StoredToken, TokenType } from "../../authority/token.ts";

const reasons = {
  KEY_MALFORMED: true,
  KEY_UNKNOWN: true,
  TOKEN_REVOKED: true,
  KEY_RETIRED: true,
  TOKEN_EXPIRED: true,
  ACCOUNT_CLOSED: true,
  TOKEN_HELD: true,
  ACCOUNT_HELD: true,
  LIVEMODE_MISMATCH: true,
  TYPE_NOT_ALLOWED: true,
  INSUFFICIENT_PERMISSIONS: true,
} satisfies Record<RefusalReason, true>;

/** What is kept beside a key that is known. */
class KeptOutcome {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    this.outcome = outcome;
  }
}

/**
 * The answer to the widest question, made once for as long as the key is known; null when this version does not know
 * its reason.
 */
export function widestOutcome(known: Known): Outcome | null {
  if (known.beside instanceof KeptOutcome) {
    return known.beside.outcome;
  }
  const { standing, tokenId, account, expiresAtMs } = known;
  const outcome =
    standing.kind === "principal"
      ? principal({ ...standing, id: tokenId ?? "", account: account ?? "", expiresAtMs }, true)
      : refusalOf(standing.reason, tokenId, account, []);
  if (outcome !== null) {
    known.beside = new KeptOutcome(outcome);
  }
  return outcome;
}

/** The same answer in the words of the domain, or null when this version does not know all of its words. */
export function outcomeOf(decision: Decision): Outcome | null {
  const { kind, tokenId, account } = decision;
  if (kind === "refusal") {
    return refusalOf(decision.reason, tokenId, account, decision.missingPermissions);
  }
  const { type, livemode, permissions, expireTime } = decision;
  const expiresAtMs = expireTime === null ? null : expireTime.getTime();
  return type === "unknown"
    ? null
    : principal({ id: tokenId, account, type, livemode, permissions, expiresAtMs }, false);
}

function refusalOf(
  reason: string,
  tokenId: string | null,
  account: string | null,
  missing: readonly string[],
): Outcome | null {
  const token = tokenId === null ? null : tokenOf({ ...nobody, id: tokenId, account: account ?? "" });
  return isReason(reason) ? refusal(reason, token, missing) : null;
}

function isReason(text: string): text is RefusalReason {
  return Object.hasOwn(reasons, text);
}

/** What an answer says of a token. */
type Said = {
  readonly id: string;
  readonly account: string;
  readonly type: TokenType;
  readonly livemode: boolean;
  readonly permissions: readonly string[];
  /** The end of the key. */
  readonly expiresAtMs: number | null;
};

const nobody = { type: "secret", livemode: false, permissions: [], expiresAtMs: null } as const;

function principal(said: Said, isRemembered: boolean): Principal {
  return { kind: "principal", token: tokenOf(said), isRemembered, beside: null };
}

/** No answer says the rest, and no door of an edge tells it. */
function tokenOf({ id, account, type, livemode, permissions, expiresAtMs }: Said): StoredToken {
  return {
    id,
    account,
    name: "",
    type,
    livemode,
    keyHint: "",
    permissions,
    createdBy: "",
    createdAtMs: 0,
    expiresAtMs,
    revokedAtMs: null,
    revokeReason: "",
    createRevision: 0,
    issueRevision: 0,
    keyEndsAtMs: null,
    revokeRevision: null,
    held: false,
    accountState: "active",
  };
}
