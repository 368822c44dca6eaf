import type pg from "pg";
import type { JournalHead } from "../../../authority/journal.ts";
import type { StoredToken } from "../../../authority/token.ts";
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
import { sqlStateOf } from "../sql-state.ts";

const chunkRows = 5000;
const beforeAll = 0;

type CheckedTokenRow = Omit<StoredTokenRow, "livemode" | "account_state" | "issue_revision" | "ends_at_ms"> & {
  readonly livemode: boolean;
};

const selectChanges = `SELECT journal.revision AS change_revision, journal.at_ms, journal.caller, journal.action,
    journal.token_revision, journal.account AS subject_account, journal.facts, journal.hash, token_key.digest,
    token.revision, token.id, token.account, token.name, token.type, token.livemode, token.permissions,
    token.created_by, token.created_at_ms, token.expires_at_ms, token.revoked_at_ms, token.revoke_reason,
    token.revoke_revision, token.hold_revision, token_key.key_hint
  FROM token_authority.journal
    LEFT JOIN token_authority.token ON token.revision = journal.token_revision
    LEFT JOIN token_authority.token_key
      ON token_key.token_revision = token.revision AND token_key.issue_revision = token.revision
  WHERE journal.revision > $1 ORDER BY journal.revision LIMIT $2`;

const selectTokens = `SELECT token.revision, token.id, token.revoked_at_ms, token.revoke_reason, token.revoke_revision,
    created.token_revision AS created_token, created.action AS created_action,
    revoked.token_revision AS revoked_token, revoked.action AS revoked_action, token.hold_revision,
    (SELECT CASE action WHEN 'hold' THEN revision END FROM token_authority.journal
      WHERE token_revision = token.revision AND action NOT IN ('create', 'revoke') AND action IN ('hold', 'resume')
      ORDER BY revision DESC LIMIT 1) AS held_by
  FROM token_authority.token
    LEFT JOIN token_authority.journal AS created ON created.revision = token.revision
    LEFT JOIN token_authority.journal AS revoked ON revoked.revision = token.revoke_revision
  WHERE token.revision > $1 ORDER BY token.revision LIMIT $2`;

/** EXISTS would have a server read all later changes of the journal for each chunk. */
const selectKeys = `SELECT token_key.token_revision, token_key.issue_revision, token_key.ends_at_ms,
    token_key.end_revision, token.id AS token_id,
    coalesce((SELECT 1 FROM token_authority.journal
      WHERE journal.token_revision = token_key.token_revision AND action NOT IN ('create', 'revoke') LIMIT 1), 0)
      AS has_later
  FROM token_authority.token_key LEFT JOIN token_authority.token ON token.revision = token_key.token_revision
  WHERE (token_key.token_revision, token_key.issue_revision) > ($1, $2)
  ORDER BY token_key.token_revision, token_key.issue_revision LIMIT $3`;

/** Of every account that the journal or the table names. A closure leaves the hold that was there. */
const selectAccounts = `SELECT name.account, account_state.hold_revision, account_state.close_revision,
    (SELECT CASE action WHEN 'hold' THEN revision END FROM token_authority.journal
      WHERE account = name.account AND action IN ('hold', 'resume') ORDER BY revision DESC LIMIT 1) AS held_by,
    (SELECT revision FROM token_authority.journal
      WHERE account = name.account AND action = 'close' ORDER BY revision LIMIT 1) AS closed_by
  FROM (
      SELECT account FROM token_authority.account_state WHERE account > $1
      UNION SELECT account FROM token_authority.journal WHERE account > $1
      ORDER BY account LIMIT $2
    ) AS name
    LEFT JOIN token_authority.account_state ON account_state.account = name.account
  ORDER BY name.account`;

/** What the whole of the tables is read by, in chunks: each goes on behind the chunk before. */
export const selectsOfChunks: readonly string[] = [selectChanges, selectTokens, selectKeys];

const selectKeysOfToken = `SELECT digest, token_revision, issue_revision, key_hint, ends_at_ms, end_revision
  FROM token_authority.token_key WHERE token_revision = $1`;

const selectLaterChanges = `SELECT revision, action, facts FROM token_authority.journal
  WHERE token_revision = $1 AND action NOT IN ('create', 'revoke') ORDER BY revision`;

/**
 * Checks what `verifyJournal` of SQLite's store checks, by the same rules, as of one moment. Changes nothing; nodes may
 * serve beside it.
 */
export async function verifyJournal(
  client: pg.Client,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): Promise<JournalVerdict> {
  await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
  try {
    return await verifyDatabase(client, expectedHead);
  } finally {
    await client.query("ROLLBACK");
  }
}

/** The same, in the transaction that the client is in: also of what it has not committed. */
export async function verifyDatabase(
  client: pg.Client,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): Promise<JournalVerdict> {
  try {
    const head = await verifyChanges(client, expectedHead);
    await verifyTokens(client);
    await verifyKeys(client);
    await verifyAccounts(client);
    return { fault: null, head };
  } catch (error) {
    if (error instanceof Fault) {
      return { fault: error.message };
    }
    if (isDamaged(error)) {
      return { fault: `the database is damaged: ${String(error)}` };
    }
    throw error;
  }
}

/** XX001 and XX002: the server has found pages or an index that cannot be so. */
function isDamaged(error: unknown): boolean {
  return sqlStateOf(error)?.startsWith("XX00") === true;
}

async function verifyChanges(
  client: pg.Client,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): Promise<JournalHead> {
  const { rows } = await client.query<{ last_old_revision: number }>(
    "SELECT last_old_revision FROM token_authority.authority",
  );
  const check = createJournalCheck(rows[0]?.last_old_revision ?? 0, expectedHead, toCreatedToken);
  await inChunks<ChangeWithTokenRow<CheckedTokenRow>>(
    client,
    selectChanges,
    [beforeAll],
    ({ change_revision }) => [change_revision],
    check.take,
  );
  return check.end();
}

async function verifyTokens(client: pg.Client): Promise<void> {
  await inChunks<TokenWithChangesRow>(client, selectTokens, [beforeAll], ({ revision }) => [revision], checkToken);
}

/** Every account is held or closed by the changes that the journal says, and no other is. */
async function verifyAccounts(client: pg.Client): Promise<void> {
  await inChunks<AccountRow>(client, selectAccounts, [""], ({ account }) => [account], checkAccount);
}

/** Every token has the keys that the journal says were issued, each with the end that the journal gave it last. */
async function verifyKeys(client: pg.Client): Promise<void> {
  const together = new Map<number, string>();
  await inChunks<KeyOfTokenRow>(
    client,
    selectKeys,
    [beforeAll, beforeAll],
    ({ token_revision, issue_revision }) => [token_revision, issue_revision],
    (row) => {
      const tokenId = checkKey(row);
      if (tokenId !== null) {
        together.set(row.token_revision, tokenId);
      }
    },
  );
  for (const [tokenRevision, tokenId] of together) {
    const keys = await ask<KeyRow>(client, selectKeysOfToken, [tokenRevision]);
    const changes = await ask<LaterChangeRow>(client, selectLaterChanges, [tokenRevision]);
    checkKeysTogether(tokenRevision, tokenId, keys, changes);
  }
}

/** Goes up by the place of a row, to the row that is the last by then. While rows are judged, the next are read. */
async function inChunks<Row>(
  client: pg.Client,
  sql: string,
  start: readonly (number | string)[],
  placeOf: (row: Row) => readonly (number | string)[],
  judge: (row: Row) => void,
): Promise<void> {
  let rows = await ask<Row>(client, sql, [...start, chunkRows]);
  for (;;) {
    const last = rows.at(-1);
    const isLast = last === undefined || rows.length < chunkRows;
    const next = isLast ? null : ask<Row>(client, sql, [...placeOf(last), chunkRows]);
    // Judging may throw first: then nobody is left to hear of this.
    next?.catch(() => {});
    for (const row of rows) {
      judge(row);
    }
    if (next === null) {
      return;
    }
    rows = await next;
  }
}

async function ask<Row>(client: pg.Client, text: string, values: readonly unknown[]): Promise<readonly Row[]> {
  const { rows } = await client.query<Row & pg.QueryResultRow>(text, [...values]);
  return rows;
}

/** As it was made: with its first key, whose end is not looked at. */
function toCreatedToken(row: CheckedTokenRow): StoredToken {
  return toStoredToken({ ...row, issue_revision: row.revision, ends_at_ms: null, account_state: null });
}
