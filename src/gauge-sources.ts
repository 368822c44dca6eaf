import type { SteadyClock } from "./authority/clock.ts";
import type { Listener } from "./http/listener.ts";
import type { GaugeSource } from "./prometheus/metrics.ts";
import type { SqliteTokenStore } from "./sqlite/open-sqlite-token-store.ts";
import type { CertificateSource } from "./tls/certificate-source.ts";

/** Where the readings come from. */
export type GaugedParts = {
  readonly store: SqliteTokenStore;
  readonly clock: SteadyClock;
  readonly certificates: CertificateSource | null;
  readonly listener: () => Listener;
  readonly isServing: () => boolean;
};

/** What the metrics read when they are asked for, by name. */
export function gaugeSources(parts: GaugedParts): Readonly<Record<string, GaugeSource>> {
  const { store, clock, certificates, listener, isServing } = parts;
  return {
    token_authority_serving: {
      help: "1 while calls can be answered, else 0.",
      read: () => (isServing() ? 1 : 0),
    },
    token_authority_journal_revision: {
      help: "The number of the newest change; 0 while it cannot be read.",
      read: () => (isServing() ? store.head().revision : 0),
    },
    token_authority_database_bytes: { help: "Size of the database file.", read: () => store.stats().databaseBytes },
    token_authority_wal_bytes: { help: "Size of the write-ahead log.", read: () => store.stats().walBytes },
    token_authority_reserve_bytes: {
      help: "Size of the ballast that Revoke lives on when the disk is full.",
      read: () => store.stats().ballastBytes,
    },
    token_authority_disk_free_bytes: {
      help: "Free room on the disk of the data directory.",
      read: () => store.stats().freeBytes,
    },
    token_authority_clock_behind_seconds: {
      help: "By how much the system's clock is behind the greatest time seen.",
      read: () => clock.behindMs() / 1000,
    },
    token_authority_connections: { help: "Open connections.", read: () => listener().counts().open },
    token_authority_connections_refused: {
      help: "Connections that were refused since the start, for there were too many.",
      read: () => listener().counts().refused,
    },
    ...(certificates === null ? {} : certificateGauges(certificates)),
  };
}

function certificateGauges(certificates: CertificateSource): Readonly<Record<string, GaugeSource>> {
  return {
    token_authority_certificate_expiry_timestamp_seconds: {
      help: "When the server's certificate expires, in Unix seconds.",
      read: () => certificates.expiresAtMs() / 1000,
    },
  };
}
