import type Database from "better-sqlite3";
import { type Action, type Change, changeBytes } from "../../../authority/journal.ts";
import type { ChangeFilter, ChangePage, ChangeQuery } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import { selectJournalHead } from "../journal-head.ts";

/** How many rows are looked at in one turn of the event loop. */
const sliceChanges = 250;

/** The changes below `before` and not below `from` that pass the filter. Null parameters pass everything. */
const matchSql = `SELECT journal.revision, journal.at_ms, journal.caller, journal.action, token.id AS token_id, journal.hash,
    token.account, token.name, CASE journal.action WHEN 'revoke' THEN token.revoke_reason ELSE '' END AS revoke_reason
  FROM journal CROSS JOIN token ON token.revision = journal.token_revision
  WHERE journal.revision < :before AND journal.revision >= :from
    AND (:caller IS NULL OR journal.caller = :caller)
    AND (:action IS NULL OR journal.action = :action)
    AND (:changed_from_ms IS NULL OR journal.at_ms >= :changed_from_ms)
    AND (:changed_before_ms IS NULL OR journal.at_ms < :changed_before_ms)
    AND (:account IS NULL OR token.account = :account)
  ORDER BY journal.revision DESC`;

type ChangeRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: Action;
  readonly token_id: string;
  readonly hash: Uint8Array;
  readonly account: string;
  readonly name: string;
  readonly revoke_reason: string;
};
type FilterParameters = {
  readonly caller: string | null;
  readonly action: Action | null;
  readonly changed_from_ms: number | null;
  readonly changed_before_ms: number | null;
  readonly account: string | null;
};
type MatchParameters = FilterParameters & Window;
type RevisionsRow = { readonly revision: number; readonly revoke_revision: number | null };

/** The rows below `before` and not below `from`. Revisions have no gaps: so many numbers are so many rows. */
type Window = { readonly before: number; readonly from: number };

/**
 * Prepares TokenStore.listChanges on a reading connection. It answers in slices, and holds no read transaction from one
 * to the next.
 */
export function createChangeList(
  db: Database.Database,
  turns: Turns,
): (query: ChangeQuery) => Promise<ChangePage | null> {
  const findRevisions = db.prepare<[string], RevisionsRow>("SELECT revision, revoke_revision FROM token WHERE id = ?");
  const findHead = selectJournalHead(db);
  const findMatches = db.prepare<[MatchParameters], ChangeRow>(matchSql);

  /** A token knows its own rows, one or two: the journal needs no index by token. Null when there is no such token. */
  function windowsOf(tokenId: string, after: number | null): readonly Window[] | null {
    const token = findRevisions.get(tokenId);
    return token === undefined
      ? null
      : [token.revoke_revision, token.revision].flatMap((revision) =>
          revision === null || (after !== null && revision >= after) ? [] : [{ before: revision + 1, from: revision }],
        );
  }

  function windowsBelow(after: number | null, scanLimit: number): readonly Window[] {
    const start = after ?? (findHead()?.revision ?? 0) + 1;
    const end = Math.max(1, start - scanLimit);
    const windows: Window[] = [];
    for (let before = start; before > end; before -= sliceChanges) {
      windows.push({ before, from: Math.max(end, before - sliceChanges) });
    }
    return windows;
  }

  return async ({ filter, after, limit, scanLimit, maxBytes }) => {
    const windows = filter.tokenId === null ? windowsBelow(after, scanLimit) : windowsOf(filter.tokenId, after);
    if (windows === null) {
      return null;
    }
    const parameters = toFilterParameters(filter);
    const changes: Change[] = [];
    let bytes = 0;
    for (const window of windows) {
      await turns.next();
      for (const row of findMatches.iterate({ ...parameters, ...window })) {
        const change = toChange(row);
        const last = changes.at(-1);
        bytes += changeBytes(change);
        if (last !== undefined && (changes.length === limit || bytes > maxBytes)) {
          return { changes, next: last.revision };
        }
        changes.push(change);
      }
    }
    const end = filter.tokenId === null ? (windows.at(-1)?.from ?? 1) : 1;
    return { changes, next: end > 1 ? end : null };
  };
}

function toFilterParameters({
  caller,
  action,
  changedFromMs,
  changedBeforeMs,
  account,
}: ChangeFilter): FilterParameters {
  return { caller, action, changed_from_ms: changedFromMs, changed_before_ms: changedBeforeMs, account };
}

function toChange(row: ChangeRow): Change {
  return {
    revision: row.revision,
    atMs: row.at_ms,
    caller: row.caller,
    action: row.action,
    subject: { tokenId: row.token_id },
    hash: row.hash,
    account: row.account,
    tokenName: row.name,
    revokeReason: row.revoke_reason,
  };
}
