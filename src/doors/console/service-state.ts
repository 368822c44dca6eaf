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
  readonly databaseBytes: number;
  /** On the disk of the data directory. */
  readonly freeBytes: number;
  /** With less, no tokens are created. */
  readonly minFreeBytes: number;
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
