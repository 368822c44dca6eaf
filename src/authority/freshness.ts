import type { Action } from "./journal.ts";

/** A place in the order of a store's changes. Its holder knows every change up to `revision`. */
export type Mark = {
  readonly revision: number;
  /** What `isFresh` compares, and nothing else reads. */
  readonly signal: number;
};

/**
 * One change, as far as a holder of tokens in memory needs it: what was remembered of this key may no longer be true.
 */
export type TokenChange = {
  readonly revision: number;
  readonly action: Action;
  /** Of the token that was changed. */
  readonly digest: Uint8Array;
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
 * A change counts from its answer on, at whichever thread or machine it was asked for. Before its answer, to know of it
 * and not to know of it are both right. Each keeper of this promise has a way of its own to know of answers elsewhere:
 * shared memory, or a lease that changes wait for.
 */
export interface Freshness {
  /**
   * Returns the place where the reads of the store are now: a read that starts after this call sees every change up to
   * it.
   */
  mark(): Mark;

  /**
   * True only while no change after the mark can have been answered. False says nothing: `changesSince` tells more.
   * False for every mark once the store has failed.
   */
  isFresh(mark: Mark): boolean;

  /**
   * Returns the changes after the mark, at most `limit` of them. The answer has every change that was answered before
   * this call, unless the store cannot tell now: then the mark that is reached is not fresh. Throws UNDECIDED once the
   * store has failed.
   */
  changesSince(mark: Mark, limit: number): Since;

  /**
   * Resolves when a mark that is reached from now on can be fresh: at once where that is so already. Rejects with
   * UNDECIDED when that is not so soon, and once the store has failed.
   */
  untilFresh(): Promise<void>;
}
