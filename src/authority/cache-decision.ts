import { fieldInvalid } from "./errors.ts";
import type { Outcome, RefusalReason } from "./judge.ts";
import { endOfKey } from "./token.ts";

/** What a caller that keeps answers asks beside the question. */
export type CacheQuestion = {
  /** The version of the rules by which the caller decides from what it keeps; 0 where it keeps nothing. */
  readonly cacheRules: number;
  /** Decide by nothing older; 0 for no more than always. */
  readonly minRevision: number;
};

/** Whether more is asked than to decide. */
export function isForCache({ cacheRules, minRevision }: CacheQuestion): boolean {
  return cacheRules !== 0 || minRevision !== 0;
}

/** A decision that may be kept for a while. */
export type CacheDecision = {
  readonly outcome: Outcome;
  /** Every change up to this revision is in the decision. */
  readonly revision: number;
  /** For how long it may be kept, in milliseconds; null for not at all. */
  readonly cacheForMs: number | null;
};

const longestMs = 60 * 60 * 1000;
const unknownMs = 5000;

/**
 * For how long each refusal may be kept: as long as nothing changes, as long as the token has not expired either, for a
 * while, or not at all where it depends on the question.
 */
const keeping = {
  KEY_MALFORMED: "never",
  KEY_UNKNOWN: "briefly",
  TOKEN_REVOKED: "until changed",
  KEY_RETIRED: "until changed",
  TOKEN_EXPIRED: "until changed",
  // An end comes before a hold.
  ACCOUNT_CLOSED: "until expired",
  TOKEN_HELD: "until expired",
  ACCOUNT_HELD: "until expired",
  LIVEMODE_MISMATCH: "never",
  TYPE_NOT_ALLOWED: "never",
  INSUFFICIENT_PERMISSIONS: "never",
} satisfies Record<RefusalReason, "until changed" | "until expired" | "briefly" | "never">;

/** For how long the outcome may be kept by who hears of changes, in milliseconds; null for not at all. */
export function cacheForMs(outcome: Outcome, nowMs: number): number | null {
  switch (outcome.kind === "principal" ? "until expired" : keeping[outcome.reason]) {
    case "never":
      return null;
    case "briefly":
      return unknownMs;
    case "until changed":
      return longestMs;
    case "until expired": {
      const endsAtMs = outcome.token === null ? null : endOfKey(outcome.token);
      return endsAtMs === null ? longestMs : Math.max(0, Math.min(longestMs, endsAtMs - nowMs));
    }
  }
}

/** Throws FIELD_INVALID where there are no such rules, and no such revision. */
export function requireCacheQuestion({ cacheRules, minRevision }: CacheQuestion): void {
  if (cacheRules < 0) {
    throw fieldInvalid("cacheRules", "must be the version of the caller's rules, or 0");
  }
  if (!Number.isSafeInteger(minRevision) || minRevision < 0) {
    throw fieldInvalid("minRevision", "must be a revision, or 0");
  }
}
