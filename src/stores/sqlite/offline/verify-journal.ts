import type Database from "better-sqlite3";
import { emptyHead, hashJournalRow, type JournalHead } from "../../../authority/journal.ts";
import { dataFiles } from "../data-directory.ts";
import { inspect } from "../open-database.ts";
import { isDamaged } from "../sqlite-error.ts";
import { asDiskFault, requireDatabase } from "../store-fault.ts";
import { type StoredTokenRow, storedTokenColumns, toStoredToken } from "../token-row.ts";

export type JournalVerdict =
  | { readonly fault: null; readonly head: JournalHead }
  /** A sentence that names the revision or token. */
  | { readonly fault: string };

/**
 * How many rows are looked at in one read transaction: longer ones would keep the WAL of a running server from starting
 * anew.
 */
const chunkRows = 1000;

type ChangeRow = {
  readonly change_revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: string;
  readonly token_id: string;
  readonly hash: Uint8Array;
};
/** All of the token is null when the journal names one that is not there. */
type ChangeWithTokenRow = ChangeRow & StoredTokenRow & { readonly digest: Uint8Array | null };

type TokenWithChangesRow = {
  readonly revision: number;
  readonly id: string;
  readonly revoked_at_ms: number | null;
  readonly revoke_revision: number | null;
  readonly created_token_id: string | null;
  readonly created_action: string | null;
  readonly revoked_token_id: string | null;
  readonly revoked_action: string | null;
};

const changesSql = `SELECT journal.revision AS change_revision, journal.at_ms, journal.caller, journal.action,
    journal.token_id, journal.hash, token.digest, ${storedTokenColumns}
  FROM journal LEFT JOIN token ON token.id = journal.token_id
  WHERE journal.revision > ? ORDER BY journal.revision LIMIT ?`;

const tokensSql = `SELECT token.revision, token.id, token.revoked_at_ms, token.revoke_revision,
    created.token_id AS created_token_id, created.action AS created_action,
    revoked.token_id AS revoked_token_id, revoked.action AS revoked_action
  FROM token
    LEFT JOIN journal AS created ON created.revision = token.revision
    LEFT JOIN journal AS revoked ON revoked.revision = token.revoke_revision
  WHERE token.revision > ? ORDER BY token.revision LIMIT ?`;

/**
 * Checks the chain of the journal, each change against its token, each token against its changes, and, when a head is
 * given, that the journal still holds it. Answers the newest change, or the first fault. Changes nothing; a server may
 * run beside it.
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

class Fault extends Error {}

function verifyChanges(
  db: Database.Database,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): JournalHead {
  let head = emptyHead;
  for (const row of inChunks(
    db.prepare<[number, number], ChangeWithTokenRow>(changesSql),
    (one) => one.change_revision,
  )) {
    if (row.change_revision !== head.revision + 1) {
      throw new Fault(`revision ${head.revision + 1} is missing: after ${head.revision} comes ${row.change_revision}`);
    }
    verifyChange(row, head);
    head = { revision: row.change_revision, atMs: row.at_ms, hash: row.hash };
    if (expectedHead?.revision === head.revision && !isEqual(expectedHead.hash, head.hash)) {
      throw new Fault(`revision ${head.revision} is not the one expected: its hash is ${hex(head.hash)}`);
    }
  }
  if (expectedHead !== null && expectedHead.revision > head.revision) {
    throw new Fault(
      `the journal ends at revision ${head.revision}, before the expected revision ${expectedHead.revision}`,
    );
  }
  return head;
}

function verifyChange(row: ChangeWithTokenRow, before: JournalHead): void {
  const where = `revision ${row.change_revision}`;
  if (row.digest === null) {
    throw new Fault(`${where} names the token ${row.token_id}, which is not there`);
  }
  const token = toTokenOrFault(row);
  const { action } = row;
  switch (action) {
    case "create":
      if (token.createRevision !== row.change_revision) {
        throw new Fault(`${where} creates the token ${token.id}, which says revision ${token.createRevision} did`);
      }
      if (token.createdAtMs !== row.at_ms || token.createdBy !== row.caller) {
        throw new Fault(`the token ${token.id} says another creation time or creator than ${where}`);
      }
      break;
    case "revoke":
      if (token.revokeRevision !== row.change_revision) {
        throw new Fault(`${where} revokes the token ${token.id}, which says ${byWhichRevoked(token.revokeRevision)}`);
      }
      if (token.revokedAtMs !== row.at_ms) {
        throw new Fault(`the token ${token.id} says another revocation time than ${where}`);
      }
      break;
    default:
      throw new Fault(`${where} has the unknown action ${JSON.stringify(action)}`);
  }
  const change = { revision: row.change_revision, atMs: row.at_ms, caller: row.caller, action, tokenId: row.token_id };
  if (!isEqual(row.hash, hashJournalRow(before.hash, change, token, row.digest))) {
    throw new Fault(
      `the hash of ${where} fits neither its row nor its token ${token.id} nor the row before: one was changed`,
    );
  }
}

function verifyTokens(db: Database.Database): void {
  for (const row of inChunks(db.prepare<[number, number], TokenWithChangesRow>(tokensSql), (one) => one.revision)) {
    if (row.created_action !== "create" || row.created_token_id !== row.id) {
      throw new Fault(`the token ${row.id} says revision ${row.revision} created it, and the journal does not`);
    }
    if ((row.revoke_revision === null) !== (row.revoked_at_ms === null)) {
      throw new Fault(`the token ${row.id} is revoked by half`);
    }
    if (row.revoke_revision !== null && (row.revoked_action !== "revoke" || row.revoked_token_id !== row.id)) {
      throw new Fault(`the token ${row.id} says revision ${row.revoke_revision} revoked it, and the journal does not`);
    }
  }
}

/** Goes up by revision, to the row that is the last by then. */
function* inChunks<Row>(
  statement: Database.Statement<[number, number], Row>,
  revisionOf: (row: Row) => number,
): Generator<Row, void> {
  let after = Number.MIN_SAFE_INTEGER;
  for (;;) {
    const rows = statement.all(after, chunkRows);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < chunkRows) {
      return;
    }
    after = revisionOf(last);
  }
}

function toTokenOrFault(row: StoredTokenRow): ReturnType<typeof toStoredToken> {
  try {
    return toStoredToken(row);
  } catch (error) {
    throw new Fault(`the token ${row.id} cannot be read`, { cause: error });
  }
}

function byWhichRevoked(revision: number | null): string {
  return revision === null ? "it is not revoked" : `revision ${revision} did`;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
