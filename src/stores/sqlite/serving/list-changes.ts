import type Database from "better-sqlite3";
import { type Action, type Change, changeBytes, createFacts, type Subject } from "../../../authority/journal.ts";
import type { TokenType } from "../../../authority/token.ts";
import type { ChangeFilter, ChangePage, ChangeQuery, Direction } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import { selectJournalHead } from "../journal-head.ts";
import { readLastOldRevision } from "../old-hashes.ts";

/** How many rows are looked at in one turn of the event loop. */
const sliceChanges = 250;

const orderOf = { older: "DESC", newer: "ASC" } satisfies Record<Direction, string>;

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

type ChangeRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: Action;
  readonly subject_account: string | null;
  readonly facts: string | null;
  readonly hash: Uint8Array;
  readonly token_id: string | null;
  readonly account: string;
  readonly name: string | null;
  readonly type: TokenType | null;
  readonly livemode: number | null;
  /** A JSON array. */
  readonly permissions: string | null;
  readonly expires_at_ms: number | null;
  readonly key_hint: string | null;
  readonly digest: Uint8Array | null;
  readonly reason: string;
};
type FilterParameters = {
  readonly caller: string | null;
  readonly action: Action | null;
  readonly changed_from_ms: number | null;
  readonly changed_before_ms: number | null;
  readonly account: string | null;
};

/** The rows from `from` on and below `before`. Revisions have no gaps: so many numbers are so many rows. */
type Window = { readonly from: number; readonly before: number };

/** What is looked at in one turn, and what is left after it. */
type Slice = { readonly windows: readonly Window[]; readonly lookedAt: number; readonly rest: Window };

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

  function sliceOf(window: Window, direction: Direction, slice: number): Slice {
    const { from, before } = window;
    const middle = direction === "older" ? Math.max(from, before - slice) : Math.min(before, from + slice);
    const [looked, rest] =
      direction === "older"
        ? [
            { from: middle, before },
            { from, before: middle },
          ]
        : [
            { from, before: middle },
            { from: middle, before },
          ];
    return { windows: [looked], lookedAt: looked.before - looked.from, rest };
  }

  function sliceOfToken(token: number, window: Window, direction: Direction, slice: number): Slice {
    const revisions = findOfToken[direction].all({ token, ...window, slice });
    const last = revisions.at(-1);
    const isLast = last === undefined || revisions.length < slice;
    const beyond =
      direction === "older" ? { from: window.from, before: last ?? 0 } : { ...window, from: (last ?? 0) + 1 };
    return {
      windows: revisions.map((revision) => ({ from: revision, before: revision + 1 })),
      lookedAt: revisions.length,
      rest: isLast ? { from: window.from, before: window.from } : beyond,
    };
  }

  return async ({ filter, direction, after, limit, scanLimit, maxBytes }) => {
    const token = filter.tokenId === null ? null : findToken.get(filter.tokenId);
    if (token === undefined) {
      return null;
    }
    const parameters = toFilterParameters(filter);
    const look = (window: Window, slice: number) =>
      token === null ? sliceOf(window, direction, slice) : sliceOfToken(token, window, direction, slice);
    const changes: Change[] = [];
    let bytes = 0;
    let left = scanLimit;
    let rest = windowOf(filter, direction, after, findHead()?.revision ?? 0);
    while (rest.from < rest.before && left > 0) {
      await turns.next();
      const slice = look(rest, Math.min(left, sliceChanges));
      for (const window of slice.windows) {
        for (const row of findMatches[direction].iterate({ ...parameters, ...window })) {
          const change = toChange(row, lastOldRevision);
          const last = changes.at(-1);
          bytes += changeBytes(change);
          if (last !== undefined && (changes.length === limit || bytes > maxBytes)) {
            return { changes, next: last.revision };
          }
          changes.push(change);
        }
      }
      left -= slice.lookedAt;
      rest = slice.rest;
    }
    const isMoreLeft = rest.from < rest.before && look(rest, 1).lookedAt > 0;
    return { changes, next: isMoreLeft ? (direction === "older" ? rest.before : rest.from - 1) : null };
  };
}

/** All that there is to look at. */
function windowOf({ afterRevision }: ChangeFilter, direction: Direction, after: number | null, newest: number): Window {
  const from = (afterRevision ?? 0) + 1;
  const before = newest + 1;
  if (after === null) {
    return { from, before };
  }
  return direction === "older"
    ? { from, before: Math.min(before, after) }
    : { from: Math.max(from, after + 1), before };
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

function toChange(row: ChangeRow, lastOldRevision: number): Change {
  return {
    revision: row.revision,
    atMs: row.at_ms,
    caller: row.caller,
    action: row.action,
    subject: subjectOf(row),
    hash: row.hash,
    account: row.account,
    tokenName: row.name ?? "",
    tokenType: row.type,
    reason: row.reason,
    facts: row.facts ?? (row.revision > lastOldRevision ? factsOfCreation(row) : ""),
  };
}

function subjectOf({ token_id, subject_account }: ChangeRow): Subject | null {
  if (token_id !== null) {
    return { tokenId: token_id };
  }
  return subject_account === null ? null : { account: subject_account };
}

/** The journal does not keep these: a token and its first key are what was done. */
function factsOfCreation(row: ChangeRow): string {
  const { account, name, type, livemode, permissions, expires_at_ms, key_hint, digest } = row;
  if (name === null || type === null || permissions === null || key_hint === null || digest === null) {
    throw new Error(`the change of revision ${row.revision} has no facts, and created no token`);
  }
  const token = {
    ...{ account, name, type, livemode: livemode === 1, permissions: JSON.parse(permissions) },
    ...{ expiresAtMs: expires_at_ms, keyHint: key_hint },
  };
  return createFacts(token, digest);
}
