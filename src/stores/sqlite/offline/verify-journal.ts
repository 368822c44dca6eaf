import type Database from "better-sqlite3";
import type { JournalHead } from "../../../authority/journal.ts";
import {
  type AccountRow,
  type ChangeWithTokenRow,
  checkAccount,
  checkKey,
  checkKeysTogether,
  checkToken,
  createJournalCheck,
  Fault,
  type JournalVerdict,
  type KeyOfTokenRow,
  type KeyRow,
  type LaterChangeRow,
  type TokenWithChangesRow,
} from "../../changes/journal-rules.ts";
import { type StoredTokenRow, toStoredToken } from "../../reading/token-row.ts";
import { dataFiles } from "../data-directory.ts";
import { readLastOldRevision } from "../old-hashes.ts";
import { inspect } from "../open-database.ts";
import { isDamaged } from "../sqlite-error.ts";
import { asDiskFault, requireDatabase } from "../store-fault.ts";
import { storedTokenColumns } from "../token-row.ts";

/**
 * How many rows are looked at in one read transaction: longer ones would keep the WAL of a running server from starting
 * anew.
 */
const chunkRows = 1000;
const beforeAll = Number.NEGATIVE_INFINITY;

type OnePlace = [number];

const changesSql = `SELECT journal.revision AS change_revision, journal.at_ms, journal.caller, journal.action,
    journal.token_revision, journal.account AS subject_account, journal.facts, journal.hash, token_key.digest,
    ${storedTokenColumns}
  FROM journal
    LEFT JOIN token ON token.revision = journal.token_revision
    LEFT JOIN token_key ON token_key.token_revision = token.revision AND token_key.issue_revision = token.revision
  WHERE journal.revision > ? ORDER BY journal.revision LIMIT ?`;

const tokensSql = `SELECT token.revision, token.id, token.revoked_at_ms, token.revoke_reason, token.revoke_revision,
    created.token_revision AS created_token, created.action AS created_action,
    revoked.token_revision AS revoked_token, revoked.action AS revoked_action, token.hold_revision,
    (SELECT iif(action = 'hold', revision, NULL) FROM journal INDEXED BY journal_later
      WHERE token_revision = token.revision AND action NOT IN ('create', 'revoke') AND action IN ('hold', 'resume')
      ORDER BY revision DESC LIMIT 1) AS held_by
  FROM token
    LEFT JOIN journal AS created ON created.revision = token.revision
    LEFT JOIN journal AS revoked ON revoked.revision = token.revoke_revision
  WHERE token.revision > ? ORDER BY token.revision LIMIT ?`;

const keysSql = `SELECT token_key.token_revision, token_key.issue_revision, token_key.ends_at_ms, token_key.end_revision,
    token.id AS token_id,
    EXISTS (SELECT 1 FROM journal INDEXED BY journal_later
      WHERE journal.token_revision = token_key.token_revision AND action NOT IN ('create', 'revoke')) AS has_later
  FROM token_key LEFT JOIN token ON token.revision = token_key.token_revision
  WHERE (token_key.token_revision, token_key.issue_revision) > (?, ?)
  ORDER BY token_key.token_revision, token_key.issue_revision LIMIT ?`;

/** Of every account that the journal or the table names. A closure leaves the hold that was there. */
const accountsSql = `SELECT name.account, account_state.hold_revision, account_state.close_revision,
    (SELECT iif(action = 'hold', revision, NULL) FROM journal INDEXED BY journal_by_account
      WHERE account = name.account AND action IN ('hold', 'resume') ORDER BY revision DESC LIMIT 1) AS held_by,
    (SELECT revision FROM journal INDEXED BY journal_by_account
      WHERE account = name.account AND action = 'close' ORDER BY revision LIMIT 1) AS closed_by
  FROM (
      SELECT account FROM account_state WHERE account > :after
      UNION SELECT account FROM journal INDEXED BY journal_by_account WHERE account > :after
      ORDER BY account LIMIT :rows
    ) AS name
    LEFT JOIN account_state ON account_state.account = name.account
  ORDER BY name.account`;

const keysOfTokenSql = `SELECT digest, token_revision, issue_revision, key_hint, ends_at_ms, end_revision
  FROM token_key WHERE token_revision = ?`;

const laterChangesSql = `SELECT revision, action, facts FROM journal INDEXED BY journal_later
  WHERE token_revision = ? AND action NOT IN ('create', 'revoke') ORDER BY revision`;

/**
 * Checks the chain of the journal, each change against its token, each token, key and account against its changes, and,
 * when a head is given, that the journal still holds it. Answers the newest change, or the first fault. Changes
 * nothing; a server may run beside it.
 */
export function verifyJournal(
  directory: string,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): JournalVerdict {
  const files = dataFiles(directory);
  const { database } = files;
  requireDatabase(files);
  try {
    using inspection = inspect(database);
    return verifyDatabase(inspection.db, expectedHead);
  } catch (error) {
    return faultOf(asDiskFault(error, directory, database));
  }
}

/** The same, through an open connection. */
export function verifyDatabase(
  db: Database.Database,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): JournalVerdict {
  try {
    const head = verifyChanges(db, expectedHead);
    verifyTokens(db);
    verifyKeys(db);
    verifyAccounts(db);
    return { fault: null, head };
  } catch (error) {
    return faultOf(error);
  }
}

function faultOf(error: unknown): JournalVerdict {
  if (error instanceof Fault) {
    return { fault: error.message };
  }
  if (isDamaged(error)) {
    return { fault: `the database is damaged: ${String(error)}` };
  }
  throw error;
}

function verifyChanges(
  db: Database.Database,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): JournalHead {
  const check = createJournalCheck(readLastOldRevision(db), expectedHead, toStoredToken);
  const select = db.prepare<[number, number], ChangeWithTokenRow<StoredTokenRow>>(changesSql);
  for (const row of inChunks(
    (after: number, rows: number) => select.all(after, rows),
    ({ change_revision }): OnePlace => [change_revision],
    [beforeAll],
  )) {
    check.take(row);
  }
  return check.end();
}

function verifyTokens(db: Database.Database): void {
  const select = db.prepare<[number, number], TokenWithChangesRow>(tokensSql);
  for (const row of inChunks(
    (after: number, rows: number) => select.all(after, rows),
    ({ revision }): OnePlace => [revision],
    [beforeAll],
  )) {
    checkToken(row);
  }
}

/** Every account is held or closed by the changes that the journal says, and no other is. */
function verifyAccounts(db: Database.Database): void {
  const select = db.prepare<{ readonly after: string; readonly rows: number }, AccountRow>(accountsSql);
  for (const row of inChunks(
    (after: string, rows: number) => select.all({ after, rows }),
    ({ account }): [string] => [account],
    [""],
  )) {
    checkAccount(row);
  }
}

/** Every token has the keys that the journal says were issued, each with the end that the journal gave it last. */
function verifyKeys(db: Database.Database): void {
  const select = db.prepare<[number, number, number], KeyOfTokenRow>(keysSql);
  const selectKeys = db.prepare<[number], KeyRow>(keysOfTokenSql);
  const selectChanges = db.prepare<[number], LaterChangeRow>(laterChangesSql);
  // In one read transaction: a server may go on.
  const checkTogether = db.transaction((tokenRevision: number, tokenId: string) =>
    checkKeysTogether(tokenRevision, tokenId, selectKeys.all(tokenRevision), selectChanges.all(tokenRevision)),
  );
  let checked: number | null = null;
  for (const row of inChunks(
    (token: number, issue: number, rows: number) => select.all(token, issue, rows),
    ({ token_revision, issue_revision }): [number, number] => [token_revision, issue_revision],
    [beforeAll, beforeAll],
  )) {
    const tokenId = checkKey(row);
    if (tokenId !== null && checked !== row.token_revision) {
      checked = row.token_revision;
      checkTogether(row.token_revision, tokenId);
    }
  }
}

/** Goes up by the place of a row, to the row that is the last by then. */
function* inChunks<Row, Place extends (number | string)[]>(
  select: (...after: [...Place, number]) => readonly Row[],
  placeOf: (row: Row) => Place,
  start: Place,
): Generator<Row, void> {
  let after = start;
  for (;;) {
    const rows = select(...after, chunkRows);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < chunkRows) {
      return;
    }
    after = placeOf(last);
  }
}
