import type { WatcherState } from "../../authority/watchers.ts";
import type { RefusedRow } from "./refused-keys.ts";

/** How the service is, as its operators see it. */
export type ServiceState = {
  readonly version: string;
  /** Since it listens. */
  readonly uptimeMs: number;
  /** The machine's name. */
  readonly host: string;
  /** Where it listens, as the log's `listening` has it. */
  readonly address: string;
  readonly threads: number;
  readonly isServing: boolean;
  /** Null where nothing is kept on this machine's disk. */
  readonly disk: DiskState | null;
  /** Null where one process alone serves the database. */
  readonly nodes: NodesState | null;
  /** Those that the server shows, and those that its callers have shown of late; the soonest end first. */
  readonly certificates: readonly CertificateEnd[];
  readonly refused: readonly RefusedRow[];
  /** The newest change. */
  readonly revision: number;
  /** Gateways that decide from memory; those that know least first. At most 100. */
  readonly watchers: readonly WatcherState[];
  readonly watcherCount: number;
};

export type CertificateEnd = {
  readonly of: "server" | "rest" | "caller";
  /** The caller's identity; null for the server's own. */
  readonly caller: string | null;
  readonly endsAtMs: number;
};

export type DiskState = {
  readonly databaseBytes: number;
  /** On the disk of the data directory. */
  readonly freeBytes: number;
  /** With less, no tokens are created. */
  readonly minFreeBytes: number;
};

/** The nodes of a database that many machines serve: each thread that serves is one. */
export type NodesState = {
  /** Why a thread of this process serves nothing: `JOURNAL_WENT_BACK`; null while all serve. */
  readonly refusal: string | null;
  /** How many threads of this process go on from memory because the database cannot be reached. */
  readonly inGrace: number;
  /** Whether a COMMIT waits for a standby; null while that is not known. */
  readonly isSynchronous: boolean | null;
  /** This machine's clock less the database's; null while that is not known. */
  readonly clockApartMs: number | null;
  readonly count: number;
  /** Those of this process first, then those that know least. At most 100. */
  readonly rows: readonly {
    readonly name: string;
    readonly isOwn: boolean;
    /** Whether it has renewed its lease lately. */
    readonly isAlive: boolean;
    readonly acknowledgedRevision: number;
    /** Gateways that hold a lease of it. */
    readonly holders: number;
    /** Gateways that did not acknowledge in the last minute, newest first. */
    readonly silent: readonly string[];
    /** Whether a thread of this process and one of another have this name, and both are alive. */
    readonly isNamesake: boolean;
  }[];
};
