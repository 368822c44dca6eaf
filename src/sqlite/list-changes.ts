import type Database from "better-sqlite3";
import type { Action, Change } from "../authority/journal.ts";
import type { ChangePage, ChangeQuery } from "../authority/token-store.ts";
import type { TakeTurn } from "./turns.ts";

/** How many rows are read in one turn of the event loop. */
const sliceChanges = 250;

const columns = "revision, at_ms, caller, action, token_id, hash";

type ChangeRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: Action;
  readonly token_id: string;
  readonly hash: Uint8Array;
};
type RevisionsRow = { readonly revision: number; readonly revoke_revision: number | null };

/** Prepares TokenStore.listChanges on a reading connection. */
export function createChangeList(
  db: Database.Database,
  takeTurn: TakeTurn,
): (query: ChangeQuery) => Promise<ChangePage | null> {
  const findRevisions = db.prepare<[string], RevisionsRow>("SELECT revision, revoke_revision FROM token WHERE id = ?");
  const findChange = db.prepare<[number], ChangeRow>(`SELECT ${columns} FROM journal WHERE revision = ?`);
  const findBefore = db.prepare<[number, number], ChangeRow>(
    `SELECT ${columns} FROM journal WHERE revision < ? ORDER BY revision DESC LIMIT ?`,
  );

  /** A token knows its own rows, one or two: the journal needs no index by token. */
  function changesOf(tokenId: string): readonly ChangeRow[] | null {
    const token = findRevisions.get(tokenId);
    return token === undefined
      ? null
      : [token.revoke_revision, token.revision].flatMap((revision) =>
          revision === null ? [] : findChange.all(revision),
        );
  }

  async function changesBefore(before: number, wanted: number): Promise<readonly ChangeRow[]> {
    const rows: ChangeRow[] = [];
    for (;;) {
      await takeTurn();
      const slice = Math.min(wanted - rows.length, sliceChanges);
      const found = findBefore.all(rows.at(-1)?.revision ?? before, slice);
      rows.push(...found);
      if (found.length < slice || rows.length === wanted) {
        return rows;
      }
    }
  }

  return async ({ tokenId, after, limit }) => {
    const before = after ?? Number.MAX_SAFE_INTEGER;
    // One more than the page holds tells whether it has a next.
    const rows =
      tokenId === null
        ? await changesBefore(before, limit + 1)
        : (changesOf(tokenId)?.filter(({ revision }) => revision < before) ?? null);
    if (rows === null) {
      return null;
    }
    const changes = rows.slice(0, limit).map(toChange);
    return { changes, next: rows.length > limit ? (changes.at(-1)?.revision ?? null) : null };
  };
}

function toChange(row: ChangeRow): Change {
  return {
    revision: row.revision,
    atMs: row.at_ms,
    caller: row.caller,
    action: row.action,
    tokenId: row.token_id,
    hash: row.hash,
  };
}
