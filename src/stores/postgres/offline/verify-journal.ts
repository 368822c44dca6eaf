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
  type KeyRow,
  type LaterChangeRow,
  type TokenWithChangesRow,
} from "../../changes/journal-rules.ts";
import { type StoredTokenRow, toStoredToken } from "../../reading/token-row.ts";
import { sqlStateOf } from "../sql-state.ts";

const chunkRows = 5000;
/** A row before the first revision is a fault, and not one to pass over. No smaller number can be served. */
const beforeAll = Number.MIN_SAFE_INTEGER - 1;

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

const selectKeys = `SELECT token_key.token_revision, token_key.issue_revision, token_key.ends_at_ms,
    token_key.end_revision, token_key.digest, token_key.key_hint, token.id AS token_id
  FROM token_authority.token_key LEFT JOIN token_authority.token ON token.revision = token_key.token_revision
  WHERE (token_key.token_revision, token_key.issue_revision) > ($1, $2)
  ORDER BY token_key.token_revision, token_key.issue_revision LIMIT $3`;

/** In the order of the keys: so both are read once. */
const selectLaterChanges = `SELECT token_revision, revision, action, facts FROM token_authority.journal
  WHERE (token_revision, revision) > ($1, $2) AND action NOT IN ('create', 'revoke')
  ORDER BY token_revision, revision LIMIT $3`;

/**
 * Of every account that the journal or the table names. A closure leaves the hold that was there. A limit of each part:
 * to leave out those that both name, a server would else read all that is left of both.
 */
const selectAccounts = `SELECT name.account, account_state.hold_revision, account_state.close_revision,
    (SELECT CASE action WHEN 'hold' THEN revision END FROM token_authority.journal
      WHERE account = name.account AND action IN ('hold', 'resume') ORDER BY revision DESC LIMIT 1) AS held_by,
    (SELECT revision FROM token_authority.journal
      WHERE account = name.account AND action = 'close' ORDER BY revision LIMIT 1) AS closed_by
  FROM (
      (SELECT account FROM token_authority.account_state WHERE account > $1 ORDER BY account LIMIT $2)
      UNION (SELECT DISTINCT account FROM token_authority.journal WHERE account > $1 ORDER BY account LIMIT $2)
      ORDER BY account LIMIT $2
    ) AS name
    LEFT JOIN token_authority.account_state ON account_state.account = name.account
  ORDER BY name.account`;

/** What the whole of the tables is read by, in chunks: each goes on behind the chunk before. */
export const selectsOfChunks = { selectChanges, selectTokens, selectKeys, selectLaterChanges, selectAccounts };

type KeyWithTokenRow = KeyRow & { readonly token_id: string | null };
type LaterChangeOfTokenRow = LaterChangeRow & { readonly token_revision: number };

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
  const keys = await openRows<KeyWithTokenRow>(
    client,
    selectKeys,
    [beforeAll, beforeAll],
    ({ token_revision, issue_revision }) => [token_revision, issue_revision],
  );
  const laterChanges = await openRows<LaterChangeOfTokenRow>(
    client,
    selectLaterChanges,
    [beforeAll, beforeAll],
    ({ token_revision, revision }) => [token_revision, revision],
  );
  for (let key = keys.next(); key !== null; key = keys.next()) {
    const tokenRevision = key.token_revision;
    // Of tokens without a key, of which the chain tells.
    for (let of = nextToken(laterChanges); of < tokenRevision; of = nextToken(laterChanges)) {
      await takeToken(laterChanges, of);
    }
    checkKeysOf(tokenRevision, await takeToken(keys, tokenRevision), await takeToken(laterChanges, tokenRevision));
  }
}

function checkKeysOf(
  tokenRevision: number,
  keys: readonly KeyWithTokenRow[],
  laterChanges: readonly LaterChangeRow[],
): void {
  const has_later = laterChanges.length > 0 ? 1 : 0;
  let tokenId: string | null = null;
  for (const key of keys) {
    tokenId = checkKey({ ...key, has_later });
  }
  if (tokenId !== null) {
    checkKeysTogether(tokenRevision, tokenId, keys, laterChanges);
  }
}

type OfToken = { readonly token_revision: number };

function nextToken(rows: Rows<OfToken>): number {
  return rows.next()?.token_revision ?? Number.POSITIVE_INFINITY;
}

/** The rows of this token, if they are next. */
async function takeToken<Row extends OfToken>(rows: Rows<Row>, tokenRevision: number): Promise<readonly Row[]> {
  const taken: Row[] = [];
  for (let row = rows.next(); row?.token_revision === tokenRevision; row = rows.next()) {
    taken.push(row);
    if (!rows.pass()) {
      await rows.read();
    }
  }
  return taken;
}

/** Rows in the order of their places, of which a chunk is kept. While its rows are judged, the next are read. */
type Rows<Row> = {
  /** Null behind the last one. */
  next(): Row | null;
  /** Goes on to the row behind. False where that is to be read. */
  pass(): boolean;
  read(): Promise<void>;
};

/** Goes up by the place of a row, to the row that is the last by then. */
async function openRows<Row>(
  client: pg.Client,
  sql: string,
  start: readonly (number | string)[],
  placeOf: (row: Row) => readonly (number | string)[],
): Promise<Rows<Row>> {
  let chunk: readonly Row[] = [];
  let at = 0;
  let reading = askFor(start);

  function askFor(after: readonly (number | string)[]): Promise<readonly Row[]> {
    const asked = ask<Row>(client, sql, [...after, chunkRows]);
    // Judging may throw first: then nobody is left to hear of this.
    asked.catch(() => {});
    return asked;
  }

  async function read(): Promise<void> {
    chunk = await reading;
    at = 0;
    const last = chunk.at(-1);
    reading = last === undefined || chunk.length < chunkRows ? Promise.resolve([]) : askFor(placeOf(last));
  }

  await read();
  return {
    next: () => chunk[at] ?? null,
    pass() {
      at += 1;
      return at < chunk.length;
    },
    read,
  };
}

/** Judges row by row, in the order of their places. */
async function inChunks<Row>(
  client: pg.Client,
  sql: string,
  start: readonly (number | string)[],
  placeOf: (row: Row) => readonly (number | string)[],
  judge: (row: Row) => void,
): Promise<void> {
  const rows = await openRows(client, sql, start, placeOf);
  for (let row = rows.next(); row !== null; row = rows.next()) {
    judge(row);
    if (!rows.pass()) {
      await rows.read();
    }
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
