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

/** Who may go on deciding from memory without a lease, until this time by the wall clock. */
export type Unconfirmed = Holder & { readonly untilMs: number };

/** What became of the holders that a change has waited for. */
export type Settlement = {
  /** How many gateways have acknowledged. */
  readonly acknowledged: number;
  /** Who had not, and was waited out. At most 100. */
  readonly silent: readonly Holder[];
  /**
   * Who had not, and may be cut off from the database with a grace that its operator allowed: there the change counts
   * from when it is heard of, and at the latest from the time given. Empty without a grace. At most 100.
   */
  readonly unconfirmed: readonly Unconfirmed[];
};

/**
 * Tells whether memory may be decided from: whether a change can count that the memory does not know of.
 *
 * A takeaway counts, at every view of the store, from when it is settled: from then on no decision is made without it,
 * at any thread or machine. Before that, a decision with it and a decision without it are both right. A creation counts
 * from its answer on at the view that was asked, and a look-up in the store finds it at every view; what other views
 * remember of its key, which is nothing unless somebody asked for the key before there was one, they forget soon.
 *
 * Each keeper of the promise learns of changes elsewhere in its own way. The threads of one process share memory:
 * there each change counts at each view from its answer on, and only who holds a lease of a thread is waited for. Nodes
 * of one database have leases of their own, that changes wait for.
 */
export interface Freshness {
  /** Returns where the reads of the store are now: a read that starts after this call sees every change up to there. */
  mark(): Mark;

  /**
   * True only while no change after the mark can count. False does not mean that there is one: `changesSince` tells.
   * False for every mark while the store cannot tell, and once it has failed.
   */
  isFresh(mark: Mark): boolean;

  /**
   * Whether memory lives on though the store cannot be reached, as its operator allowed: then what is fresh may be
   * decided from, but for what a read has found meanwhile. Always false where that is not allowed.
   */
  isPastLease(): boolean;

  /**
   * Returns the changes after the mark, at most `limit` of them: every change that counts before this call. Where the
   * store cannot tell now, it returns those that it knows of, and the mark that is reached is not fresh. A read that
   * starts after this call sees every change up to the mark that is reached. Throws UNDECIDED once the store has
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
   * Resolves when every view of the store, and each holder of a lease of one, knows of the changes up to this revision,
   * or its lease is over: `settleMs` after the call at the latest, whatever holders and views do. At once where the one
   * view is this process, and nobody holds a lease. The changes up to the revision were answered before the call.
   */
  settle(revision: number): Promise<Settlement>;
}
