import type { Freshness } from "../../../authority/freshness.ts";
import type { Action, JournalHead } from "../../../authority/journal.ts";
import type { Log } from "../../../machine/log.ts";

/** A statement that a session prepares once. */
type Statement = { readonly name: string; readonly text: string };

/**
 * One row of the poll: a change, oldest first. The columns of table `node`, which is logged and never UNLOGGED:
 *
 * ```sql
 * node(id uuid PRIMARY KEY, name text, schema_version int, grace_ms int, renewals bigint, acked_revision bigint,
 *      holders int, silent jsonb) WITH (fillfactor = 50)
 * ```
 */
export type ChangeRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly action: Action;
  readonly hash: Uint8Array;
  /** Null where no account was changed. */
  readonly account: string | null;
  /** Null where no token was changed. */
  readonly token_id: string | null;
  /** Of every key that the token has or had. */
  readonly digests: readonly Uint8Array[];
  /** The revision that the poll was sent with, and the hash that the database has of it. */
  readonly known_revision: number;
  readonly known_hash: Uint8Array | null;
};

/** Why a node serves nothing, though the database answers. */
export type RefusalReason =
  /** The journal is not the one that this node has applied: changes that were answered may be gone. */
  | "JOURNAL_WENT_BACK"
  /** The node's clock and the database's are more than 5 s apart. */
  | "CLOCK_APART"
  /** The database was migrated, and this release can no longer serve it. */
  | "RELEASE_TOO_OLD";

/** How a node is, as another one or it itself sees it. */
export type NodeState = {
  readonly name: string;
  /** Whether it has renewed its lease lately. */
  readonly isAlive: boolean;
  readonly acknowledgedRevision: number;
  /** How many gateways hold a lease of it. */
  readonly holders: number;
  /** The identities of gateways that did not acknowledge in time, newest first. At most 100. */
  readonly silent: readonly string[];
};

/** What a node tells of itself and of the others. */
export type NodeReadings = {
  readonly name: string;
  readonly appliedRevision: number;
  readonly acknowledgedRevision: number;
  /** The newest revision that the database has told of, less the applied one. */
  readonly behind: number;
  /** 0 where there is none. */
  readonly leaseLeftMs: number;
  /** Whether memory lives on after the lease, because the database cannot be reached and a grace was allowed. */
  readonly isInGrace: boolean;
  /** Null while it serves, or would with a lease. */
  readonly refusal: RefusalReason | null;
  /** The node's clock less the database's, as far as that is certain; null before the first renewal. */
  readonly clockApartMs: number | null;
  /** Whether a COMMIT waits for a standby; null before the first renewal. */
  readonly isSynchronous: boolean | null;
  /** Counts since the start. */
  readonly renewals: number;
  readonly polls: number;
  readonly lapses: number;
  /** Every row, its own too. */
  readonly nodes: readonly NodeState[];
};

/** A serving thread as one of the nodes of a database. */
export type Node = AsyncDisposable & {
  readonly freshness: Freshness;
  /** The newest change that was applied. */
  head(): JournalHead;
  /** Whether it has a lease and the database answers it, or memory lives on by the grace. */
  isServing(): boolean;
  appliedRevision(): number;
  /** Throws UNDECIDED while the node must serve nothing at all: every read and write asks this first. */
  requireServing(): void;
  /** The poll, to be sent right behind a COMMIT: so this thread has applied its own changes before it answers them. */
  behindCommit(): { readonly statement: Statement; readonly values: readonly unknown[] };
  /** Applies the rows of a poll, whoever sent it. */
  take(rows: readonly ChangeRow[]): void;
  readings(): NodeReadings;
};

export type NodeOptions = {
  readonly name: string;
  /** The version of the schema that this release speaks. */
  readonly schemaVersion: number;
  /** For how long memory lives on after the lease when the database cannot be reached. */
  readonly graceMs: number;
  readonly log: Log;
};

/** What a node needs of its session; `session.ts` has the whole of it. */
export type NodeSession = {
  run<Row>(
    statement: Statement,
    values?: readonly unknown[],
  ): Promise<{ readonly rows: readonly Row[]; readonly hasWarning: boolean }>;
  destroy(): void;
};

/** What a node needs of its line. */
export type NodeLine = {
  /** Rejects with UNDECIDED when there is none within a second. */
  session(): Promise<NodeSession>;
};

/** Makes this thread a node of the database. It has a lease when this resolves. Disposes of the line with itself. */
export async function openNode(_line: NodeLine & AsyncDisposable, _options: NodeOptions): Promise<Node> {
  throw new Error("not made yet");
}
