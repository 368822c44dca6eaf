import type { Facts } from "./facts.ts";

/** What is known of a key, its uses apart. */
export type Packed = Facts & {
  /** 32 characters, one a byte. */
  readonly digest: string;
  /** That of the answer. An older answer never takes the place of a newer one: a holder does not go back. */
  readonly revision: number;
  readonly untilMs: number;
};

/**
 * What is kept of a key: its SHA-256 and what the authority said. Never the key. One flat object, with times in whole
 * milliseconds of the monotonic clock: V8 keeps such numbers without objects of their own.
 */
export type Known = Packed & {
  acceptedCount: number;
  usedAtMs: number;
  /** What its finder keeps beside it, for as long as it is found again and again. Nothing here looks at it. */
  beside: object | null;
};
