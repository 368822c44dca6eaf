import type Database from "better-sqlite3";
import type { JournalHead } from "../../authority/journal.ts";

type HeadRow = { readonly revision: number; readonly at_ms: number; readonly hash: Uint8Array };

/** Prepares a look at the newest change: null when there is none. */
export function selectJournalHead(db: Database.Database): () => JournalHead | null {
  const select = db.prepare<[], HeadRow>("SELECT revision, at_ms, hash FROM journal ORDER BY revision DESC LIMIT 1");
  return () => {
    const row = select.get();
    return row === undefined ? null : { revision: row.revision, atMs: row.at_ms, hash: row.hash };
  };
}
