import type Database from "better-sqlite3";
import type { Action } from "../../../authority/journal.ts";
import type { ChangeFilter, ChangePage, ChangeQuery, Direction } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import {
  type ChangeRow,
  orderOf,
  pageOfChanges,
  splitWindow,
  type Window,
  windowAfter,
} from "../../reading/change-pages.ts";
import { selectJournalHead } from "../journal-head.ts";
import { readLastOldRevision } from "../old-hashes.ts";

/** How many rows are looked at in one turn of the event loop. */
const sliceChanges = 250;

/**
 * The changes in a window that pass the filter, with the token that was changed and the key that was issued. Null
 * parameters pass everything.
 */
function matchSql(direction: Direction): string {
  return `SELECT journal.revision, journal.at_ms, journal.caller, journal.action, journal.account AS subject_account,
    journal.facts, journal.hash, token.id AS token_id, coalesce(journal.account, token.account, '') AS account,
    token.name, token.type, token.livemode, token.permissions, token.expires_at_ms, token_key.key_hint, token_key.digest,
    coalesce(json_extract(journal.facts, '$.reason'), CASE journal.action WHEN 'revoke' THEN token.revoke_reason END, '') AS reason
  FROM journal
    LEFT JOIN token ON token.revision = journal.token_revision
    LEFT JOIN token_key ON token_key.token_revision = journal.token_revision AND token_key.issue_revision = journal.revision
  WHERE journal.revision >= :from AND journal.revision < :before
    AND (:caller IS NULL OR journal.caller = :caller)
    AND (:action IS NULL OR journal.action = :action)
    AND (:changed_from_ms IS NULL OR journal.at_ms >= :changed_from_ms)
    AND (:changed_before_ms IS NULL OR journal.at_ms < :changed_before_ms)
    AND (:account IS NULL OR coalesce(journal.account, token.account) = :account)
  ORDER BY journal.revision ${orderOf[direction]}`;
}

/** The revisions in a window of the changes of one token, whatever they did. */
function ofTokenSql(direction: Direction): string {
  const inWindow = (revision: string) => `${revision} >= :from AND ${revision} < :before`;
  return `SELECT revision FROM token WHERE revision = :token AND ${inWindow("revision")}
    UNION ALL
    SELECT revoke_revision FROM token WHERE revision = :token AND ${inWindow("revoke_revision")}
    UNION ALL
    SELECT revision FROM journal INDEXED BY journal_later
      WHERE token_revision = :token AND action NOT IN ('create', 'revoke') AND ${inWindow("revision")}
    ORDER BY 1 ${orderOf[direction]} LIMIT :slice`;
}

type FilterParameters = {
  readonly caller: string | null;
  readonly action: Action | null;
  readonly changed_from_ms: number | null;
  readonly changed_before_ms: number | null;
  readonly account: string | null;
};

/**
 * Prepares TokenStore.listChanges on a reading connection. It answers in slices, and holds no read transaction from one
 * to the next.
 */
export function createChangeList(
  db: Database.Database,
  turns: Turns,
): (query: ChangeQuery) => Promise<ChangePage | null> {
  const findToken = db.prepare<[string], number>("SELECT revision FROM token WHERE id = ?").pluck();
  const findHead = selectJournalHead(db);
  const prepareMatches = (direction: Direction) =>
    db.prepare<[FilterParameters & Window], ChangeRow>(matchSql(direction));
  const findMatches = { older: prepareMatches("older"), newer: prepareMatches("newer") };
  const prepareOfToken = (direction: Direction) =>
    db.prepare<[Window & { readonly token: number; readonly slice: number }], number>(ofTokenSql(direction)).pluck();
  const findOfToken = { older: prepareOfToken("older"), newer: prepareOfToken("newer") };
  const lastOldRevision = readLastOldRevision(db);

  return async (query) => {
    const { filter, direction } = query;
    const token = filter.tokenId === null ? null : findToken.get(filter.tokenId);
    if (token === undefined) {
      return null;
    }
    const parameters = toFilterParameters(filter);
    // Nothing is read before the first row is asked for.
    const matches = (windows: readonly Window[]) =>
      windows.values().flatMap((window) => findMatches[direction].iterate({ ...parameters, ...window }));
    const bounds = { newest: findHead()?.revision ?? 0, lastOldRevision };
    return pageOfChanges(query, bounds, sliceChanges, async (window, size) => {
      await turns.next();
      if (token === null) {
        const { first, rest } = splitWindow(window, direction, size);
        return { rows: matches([first]), lookedAt: first.before - first.from, rest };
      }
      const revisions = findOfToken[direction].all({ token, ...window, slice: size });
      const rows = matches(revisions.map((revision) => ({ from: revision, before: revision + 1 })));
      return { rows, lookedAt: revisions.length, rest: windowAfter(revisions, window, direction, size) };
    });
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
