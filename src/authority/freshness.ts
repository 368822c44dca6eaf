import type { Action } from "./journal.ts";

/** A place in the order of a store's changes. Its holder knows every change up to `revision`. */
export type Mark = {
  readonly revision: number;
  /** What `isFresh` compares, and nothing else reads. */
  readonly signal: number;
};

/** One change, for a holder of tokens in memory: what the holder remembers of these digests may no longer be true. */
export type TokenChange = {
  readonly revision: number;
  readonly action: Action;
  /**
   * Of every key that the changed token has or had; empty where no token was changed. Null where an account was
   * changed: that stands for every key there is.
   */
  readonly digests: readonly Uint8Array[] | null;
  /** The account that was changed; null where none was. */
  readonly account: string | null;
};

/** What changed since a mark, and the mark that is reached with it. */
export type Since = {
  /** Oldest first. Null when there are more than were asked for: then everything may have changed. */
  readonly changes: readonly TokenChange[] | null;
  readonly mark: Mark;
};

/**
 * Tells whether memory may be decided from: whether a change can have been answered that the memory does not know of.
 *
 * A change counts from its answer on, at whichever thread or machine it was asked for. Before the answer, a decision
 * with the change and a decision without it are both right. Each keeper of this promise learns of answers elsewhere in
 * its own way: from shared memory, or by a lease that changes wait for.
 */
export interface Freshness {
  /** Returns where the reads of the store are now: a read that starts after this call sees every change up to there. */
  mark(): Mark;

  /**
   * True only while no change after the mark can have been answered. False does not mean that there is one:
   * `changesSince` tells. False for every mark once the store has failed.
   */
  isFresh(mark: Mark): boolean;

  /**
   * Returns the changes after the mark, at most `limit` of them: every change that was answered before this call. Where
   * the store cannot tell now, it returns those that it knows of, and the mark that is reached is not fresh. A read
   * that starts after this call sees every change up to the mark that is reached. Throws UNDECIDED once the store has
   * failed.
   */
  changesSince(mark: Mark, limit: number): Since;

  /**
   * Resolves when a mark that is reached from now on can be fresh: at once where one can be already. Rejects with
   * UNDECIDED when the store cannot tell soon, and once it has failed.
   */
  untilFresh(): Promise<void>;
}
