import type { Clock } from "./clock.ts";
import { fieldInvalid } from "./errors.ts";
import type { LastUseRecorder } from "./last-use-recorder.ts";
import type { TokenReads } from "./token-store.ts";

/** A key that was accepted elsewhere, from memory. */
export type ReportedUse = {
  readonly digest: Uint8Array;
  /** How long ago, in milliseconds. */
  readonly ageMs: number;
  readonly acceptedCount: number;
};

/** Uses of keys that gateways report: their digests are looked up a few at a time, behind decisions. */
export type ReportedUses = {
  /** Throws FIELD_INVALID for uses that are malformed or too many. Forgets uses when too many wait. */
  note(uses: readonly ReportedUse[]): void;
  /** How many keys were accepted, as reported since the start. */
  accepted(): number;
};

const maxUses = 1000;
const maxWaiting = 100_000;
const maxPerTurn = 32;
const maxAgeMs = 60 * 60 * 1000;
const digestBytes = 32;

export function createReportedUses(
  findByDigest: TokenReads["findByDigest"],
  lastUse: Pick<LastUseRecorder, "record">,
  clock: Clock,
): ReportedUses {
  let waiting: { readonly digest: Uint8Array; readonly usedAtMs: number }[] = [];
  let isWorking = false;
  let accepted = 0;

  async function work(): Promise<void> {
    isWorking = true;
    while (waiting.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      for (const use of waiting.splice(0, maxPerTurn)) {
        try {
          const token = await findByDigest(use.digest);
          if (token !== null && (token.revokedAtMs === null || use.usedAtMs < token.revokedAtMs)) {
            lastUse.record(token.issueRevision, use.usedAtMs);
          }
        } catch {
          // A store that cannot look up now has its own alarm: a use is not worth a second one.
          waiting = [];
          break;
        }
      }
    }
    isWorking = false;
  }

  return {
    note(uses) {
      requireUses(uses);
      const nowMs = clock();
      for (const { digest, ageMs, acceptedCount } of uses) {
        accepted += acceptedCount;
        if (waiting.length < maxWaiting) {
          waiting.push({ digest, usedAtMs: Math.round(nowMs - ageMs) });
        }
      }
      if (!isWorking && waiting.length > 0) {
        void work();
      }
    },
    accepted: () => accepted,
  };
}

function requireUses(uses: readonly ReportedUse[]): void {
  if (uses.length > maxUses) {
    throw fieldInvalid("uses", `must be ${maxUses} at the most`);
  }
  const isGood = ({ digest, ageMs, acceptedCount }: ReportedUse) =>
    digest.length === digestBytes &&
    ageMs >= 0 &&
    ageMs <= maxAgeMs &&
    Number.isSafeInteger(acceptedCount) &&
    acceptedCount >= 0;
  if (!uses.every(isGood)) {
    throw fieldInvalid("uses", `must each have a digest of ${digestBytes} bytes, an age up to 1 hour and a count`);
  }
}
