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
  /** Of the changed token; empty where none was changed. */
  readonly tokenId: string;
  /** The changed account; null where none was changed. */
  readonly account: string | null;
};

/** What changed since a mark, and the mark that is reached with it. */
export type Since = {
  /** Oldest first. Null when there are more than were asked for: then everything may have changed. */
  readonly changes: readonly TokenChange[] | null;
  readonly mark: Mark;
};

/** A program that may decide from memory while it holds a lease. */
export type Holder = {
  readonly kind: "node" | "gateway";
  /** The identity that it called with; of a node, its name. */
  readonly identity: string;
  /** When it was last heard from, in Unix milliseconds; null where that is not known. */
  readonly heardAtMs: number | null;
};

/** What the holders of the leases that one view of a store has granted know of its changes. */
export type HoldersReport = {
  /** Each holder knows of every change up to this revision, or its lease is over. */
  readonly settledRevision: number;
  /** How many hold a lease, but for those that are silent. */
  readonly holders: number;
  /**
   * Who did not acknowledge in time, since the report before: each once when its lease is over by its own time, and
   * once more when it was waited out.
   */
  readonly silent: readonly Holder[];
};

/** What became of the holders that a change has waited for. */
export type Settlement = {
  /** How many have acknowledged. */
  readonly acknowledged: number;
  /** Who had not, and was waited out. At most 100. */
  readonly silent: readonly Holder[];
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

  /**
   * Resolves once there may be changes after the mark that this view can tell of: at once where there may be, and once
   * the store has failed.
   */
  untilChanged(mark: Mark): Promise<void>;

  /** Returns the hash of the change with this revision, or null where this view knows of no such change. */
  hashOf(revision: number): Uint8Array | null;

  /** Returns how long a lease may last that is granted now, in milliseconds: 0 where none may be granted. */
  leaseMs(): number;

  /**
   * Tells what the holders of leases of this view have acknowledged; null where none holds a lease. The first report
   * comes before the first lease, and before the look for changes that the lease is granted by: every change from then
   * on waits for the holders. Throws UNDECIDED where a restart would not know that there were leases.
   */
  report(report: HoldersReport | null): void;

  /**
   * Resolves when each holder of a lease, at every view of the store, knows of the changes up to this revision, or its
   * lease is over: \`settleMs\` after the call at the latest, whatever holders and views do. At once where nobody holds
   * a lease. The changes up to the revision were answered before the call.
   */
  settle(revision: number): Promise<Settlement>;
}
