import type Database from "better-sqlite3";
import type { StoredToken } from "../../../authority/token.ts";
import { type StoredTokenRow, toStoredToken } from "../../reading/token-row.ts";
import { storedTokenColumns } from "../token-row.ts";

/**
 * Of pages, in KiB. The upper pages of ten million tokens' index and table fit in; the lower ones hardly come again.
 */
const cacheKib = 8192;

/** Looks keys up for one serving thread. Throws what the driver throws. */
export type LookUp = Disposable & {
  /** Hot path. */
  findByDigest(digest: Uint8Array): StoredToken | null;
  /** Look-ups after this call see the database as it is then, or newer. */
  renew(): void;
};

/** What tells whether look-ups may share what they see of the database. */
export type SharingSignals = {
  /** Moves with each change, before that is answered. */
  readonly changeSignal: () => number;
  /** Whether the write-ahead log waits for a moment without readers. */
  readonly isLogLong: () => boolean;
};

/**
 * Takes over a connection that only reads. The look-ups of one turn of the event loop share a read transaction: to
 * begin and end one takes as long as to find a token. It ends with the turn, and before that when something has
 * changed, so that no look-up is staler than one by itself; and there is none while the write-ahead log is long, so
 * that the log starts anew.
 */
export function createLookUp(db: Database.Database, { changeSignal, isLogLong }: SharingSignals): LookUp {
  db.pragma(`cache_size = -${cacheKib}`);
  const begin = db.prepare("BEGIN");
  // Nothing was changed. A COMMIT would fail where a read has failed before it.
  const end = db.prepare("ROLLBACK");
  // The key comes from a query of its own: measured, a plain join of the two tables takes five times as long.
  const find = db.prepare<[Uint8Array], StoredTokenRow>(
    `SELECT ${storedTokenColumns}
     FROM (SELECT token_revision, key_hint, issue_revision, ends_at_ms FROM token_key WHERE digest = ? LIMIT 1)
       CROSS JOIN token ON token.revision = token_revision`,
  );
  /** The signal that the shared read transaction began at; null while there is none. */
  let sharedAt: number | null = null;
  let isEndComing = false;

  /** The signal is read first: what changes in between ends the transaction though it was seen. */
  function share(): void {
    const signal = changeSignal();
    if (signal === sharedAt) {
      return;
    }
    endSharing();
    if (isLogLong()) {
      return;
    }
    begin.run();
    sharedAt = signal;
    if (!isEndComing) {
      isEndComing = true;
      setImmediate(endTurn);
    }
  }

  function endTurn(): void {
    isEndComing = false;
    try {
      endSharing();
    } catch {
      // Nobody waits for an end. The transaction is still open: the next look-up fails at the same, and its caller
      // hears of it.
    }
  }

  function endSharing(): void {
    sharedAt = null;
    if (db.inTransaction) {
      end.run();
    }
  }

  return {
    findByDigest(digest) {
      share();
      const row = find.get(digest);
      return row === undefined ? null : toStoredToken(row);
    },
    renew: endSharing,
    [Symbol.dispose]() {
      db.close();
    },
  };
}
