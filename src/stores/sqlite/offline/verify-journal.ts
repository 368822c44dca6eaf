import type Database from "better-sqlite3";
import {
  createFacts,
  emptyHead,
  hashChange,
  type JournalHead,
  keyFacts,
  reasonFacts,
} from "../../../authority/journal.ts";
import type { StoredToken } from "../../../authority/token.ts";
import { dataFiles } from "../data-directory.ts";
import { readFacts } from "../made-changes.ts";
import {
  type Attestation,
  attestAction,
  createAttestation,
  hashOldChange,
  readLastOldRevision,
  type Uncovered,
} from "../old-hashes.ts";
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
const beforeAll = Number.MIN_SAFE_INTEGER;

type OnePlace = [number];

type ChangeRow = {
  readonly change_revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: string;
  readonly token_revision: number | null;
  readonly subject_account: string | null;
  readonly facts: string | null;
  readonly hash: Uint8Array;
};
/** All of the token is null when the journal names none, or one that is not there; of its first key likewise. */
type ChangeWithTokenRow = ChangeRow & {
  readonly [Column in keyof StoredTokenRow]: StoredTokenRow[Column] | null;
} & { readonly digest: Uint8Array | null };
type WholeRow = ChangeRow & StoredTokenRow & { readonly digest: Uint8Array };

type TokenWithChangesRow = {
  readonly revision: number;
  readonly id: string;
  readonly revoked_at_ms: number | null;
  readonly revoke_reason: string;
  readonly revoke_revision: number | null;
  readonly created_token: number | null;
  readonly created_action: string | null;
  readonly revoked_token: number | null;
  readonly revoked_action: string | null;
  readonly hold_revision: number | null;
  /** The change that holds it, as the journal has it. */
  readonly held_by: number | null;
};

type AccountRow = {
  readonly account: string;
  readonly hold_revision: number | null;
  readonly close_revision: number | null;
  /** The changes that hold and close it, as the journal has them. */
  readonly held_by: number | null;
  readonly closed_by: number | null;
};

type KeyRow = {
  readonly digest: Uint8Array;
  readonly token_revision: number;
  readonly issue_revision: number;
  readonly key_hint: string;
  readonly ends_at_ms: number | null;
  readonly end_revision: number | null;
};
type KeyOfTokenRow = Pick<KeyRow, "token_revision" | "issue_revision" | "ends_at_ms" | "end_revision"> & {
  readonly token_id: string | null;
  /** Whether anything was done to its token but to create and to revoke it. */
  readonly has_later: number;
};
type LaterChangeRow = { readonly revision: number; readonly action: string; readonly facts: string | null };

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

class Fault extends Error {}

function verifyChanges(
  db: Database.Database,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
): JournalHead {
  const lastOld = readLastOldRevision(db);
  const attestation = createAttestation();
  let head = emptyHead;
  const select = db.prepare<[number, number], ChangeWithTokenRow>(changesSql);
  for (const row of inChunks(
    (after: number, rows: number) => select.all(after, rows),
    ({ change_revision }): OnePlace => [change_revision],
    [beforeAll],
  )) {
    if (row.change_revision === head.revision) {
      throw new Fault(`revision ${head.revision} issued one key, and there are more that say so`);
    }
    if (row.change_revision !== head.revision + 1) {
      throw new Fault(`revision ${head.revision + 1} is missing: after ${head.revision} comes ${row.change_revision}`);
    }
    const isOld = row.change_revision <= lastOld;
    const isAttestation = lastOld > 0 && row.change_revision === lastOld + 1;
    const hash = isAttestation ? attestedHash(row, head, attestation) : changeHash(row, head, isOld);
    if (!isEqual(row.hash, hash)) {
      throw new Fault(
        `the hash of revision ${row.change_revision} fits neither its row nor ${subjectOf(row)} nor the row before: one was changed`,
      );
    }
    if (isOld && row.action === "create") {
      attestation.add(uncoveredOf(row, lastOld));
    }
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

/** The hash that the change must have, by its row, its token and the change before. */
function changeHash(row: ChangeWithTokenRow, before: JournalHead, isOld: boolean): Uint8Array {
  const where = `revision ${row.change_revision}`;
  const isOfKeys = isKeyAction(row.action) && !isOld;
  if (isHoldAction(row.action) && !isOld) {
    return holdHash(row, before);
  }
  if (row.action !== "create" && row.action !== "revoke" && !isOfKeys) {
    throw new Fault(`${where} has the unknown action ${JSON.stringify(row.action)}`);
  }
  if (!isWhole(row)) {
    throw new Fault(
      row.id === null
        ? `${where} is about the token of revision ${row.token_revision}, which is not there`
        : `the token ${row.id} has not the key that revision ${row.revision} issued`,
    );
  }
  const token = toTokenOrFault(row);
  const change = { revision: row.change_revision, atMs: row.at_ms, caller: row.caller };
  if (isOfKeys) {
    requireFacts(row, row.facts ?? "");
    // What it says of the keys is replayed when the keys are looked at.
    const { action } = row;
    return hashChange(before.hash, { ...change, action, subject: { tokenId: token.id } }, row.facts ?? "");
  }
  requireDone(row, token);
  if (isOld) {
    requireFacts(row, null);
    return hashOldChange(before.hash, { ...change, action: row.action, tokenId: token.id }, token, row.digest);
  }
  const subject = { tokenId: token.id };
  if (row.action === "create") {
    requireFacts(row, null);
    return hashChange(before.hash, { ...change, action: row.action, subject }, createFacts(token, row.digest));
  }
  requireFacts(row, reasonFacts(token.revokeReason));
  return hashChange(before.hash, { ...change, action: row.action, subject }, row.facts ?? "");
}

/** The hash of a hold, its end or a closure. Whether it is so is asked where tokens and accounts are looked at. */
function holdHash(row: ChangeWithTokenRow, before: JournalHead): Uint8Array {
  const { change_revision: revision, at_ms: atMs, caller, action, id, subject_account: account, facts } = row;
  if (account === null && id === null) {
    throw new Fault(`revision ${revision} is about the token of revision ${row.token_revision}, which is not there`);
  }
  if (account === null && action === "close") {
    throw new Fault(`revision ${revision} closes the token ${id}, and only accounts are closed`);
  }
  const subject = account === null ? { tokenId: id ?? "" } : { account };
  return hashChange(before.hash, { revision, atMs, caller, action, subject }, facts ?? "");
}

/** Throws unless the token says of the change what the journal says. */
function requireDone(row: ChangeRow, token: StoredToken): void {
  const where = `revision ${row.change_revision}`;
  if (row.action === "create") {
    if (token.createRevision !== row.change_revision) {
      throw new Fault(`${where} creates the token ${token.id}, which says revision ${token.createRevision} did`);
    }
    if (token.createdAtMs !== row.at_ms || token.createdBy !== row.caller) {
      throw new Fault(`the token ${token.id} says another creation time or creator than ${where}`);
    }
    return;
  }
  if (token.revokeRevision !== row.change_revision) {
    throw new Fault(`${where} revokes the token ${token.id}, which says ${byWhichRevoked(token.revokeRevision)}`);
  }
  if (token.revokedAtMs !== row.at_ms) {
    throw new Fault(`the token ${token.id} says another revocation time than ${where}`);
  }
}

function requireFacts(row: ChangeRow, facts: string | null): void {
  if (row.subject_account !== null || row.facts !== facts) {
    throw new Fault(`revision ${row.change_revision} says something else of ${subjectOf(row)} than is so`);
  }
}

/** The hash of the change that covers what those before it left out. */
function attestedHash(row: ChangeRow, before: JournalHead, attestation: Attestation): Uint8Array {
  const { change_revision: revision, at_ms: atMs, caller, action } = row;
  if (action !== attestAction || row.token_revision !== null || row.subject_account !== null) {
    throw new Fault(`revision ${revision} does not attest the changes before it, as it must`);
  }
  const facts = attestation.facts();
  if (row.facts !== facts) {
    throw new Fault(
      `the name, key hint or revoke reason of a token that was changed before revision ${revision} is not what it was then`,
    );
  }
  return hashChange(before.hash, { revision, atMs, caller, action, subject: null }, facts);
}

/** A token that was revoked later had no reason by then. */
function uncoveredOf(row: ChangeWithTokenRow, lastOld: number): Uncovered {
  const { revision, name, key_hint: keyHint, revoke_revision, revoke_reason } = row;
  const isRevokedBefore = revoke_revision !== null && revoke_revision <= lastOld;
  return {
    revision: revision ?? 0,
    name: name ?? "",
    keyHint: keyHint ?? "",
    revokeReason: isRevokedBefore ? (revoke_reason ?? "") : "",
  };
}

function isWhole(row: ChangeWithTokenRow): row is WholeRow {
  return row.id !== null && row.digest !== null;
}

function subjectOf({ id, token_revision, subject_account }: ChangeRow & { readonly id?: string | null }): string {
  if (subject_account !== null) {
    return `its account ${subject_account}`;
  }
  return id === null || id === undefined ? `its token of revision ${token_revision}` : `its token ${id}`;
}

function verifyTokens(db: Database.Database): void {
  const select = db.prepare<[number, number], TokenWithChangesRow>(tokensSql);
  for (const row of inChunks(
    (after: number, rows: number) => select.all(after, rows),
    ({ revision }): OnePlace => [revision],
    [beforeAll],
  )) {
    if (row.created_action !== "create" || row.created_token !== row.revision) {
      throw new Fault(`the token ${row.id} says revision ${row.revision} created it, and the journal does not`);
    }
    if ((row.revoke_revision === null) !== (row.revoked_at_ms === null)) {
      throw new Fault(`the token ${row.id} is revoked by half`);
    }
    if (row.revoke_revision === null && row.revoke_reason !== "") {
      throw new Fault(`the token ${row.id} has a revoke reason, and is not revoked`);
    }
    if (row.revoke_revision !== null && (row.revoked_action !== "revoke" || row.revoked_token !== row.revision)) {
      throw new Fault(`the token ${row.id} says revision ${row.revoke_revision} revoked it, and the journal does not`);
    }
    if (row.hold_revision !== row.held_by) {
      throw new Fault(
        `the token ${row.id} says that ${asHeld(row.hold_revision)}, and the journal ${asHeld(row.held_by)}`,
      );
    }
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
    if (row.hold_revision !== row.held_by) {
      throw new Fault(
        `the account ${row.account} says that ${asHeld(row.hold_revision)}, and the journal ${asHeld(row.held_by)}`,
      );
    }
    if (row.close_revision !== row.closed_by) {
      throw new Fault(
        `the account ${row.account} says that ${asClosed(row.close_revision)}, and the journal ${asClosed(row.closed_by)}`,
      );
    }
  }
}

function asHeld(revision: number | null): string {
  return revision === null ? "it is not held" : `revision ${revision} holds it`;
}

function asClosed(revision: number | null): string {
  return revision === null ? "it is not closed" : `revision ${revision} has closed it`;
}

function isHoldAction(action: string): boolean {
  return action === "hold" || action === "resume" || action === "close";
}

function isKeyAction(action: string): action is "rotate_key" | "end_key" | "cancel_rotation" {
  return action === "rotate_key" || action === "end_key" || action === "cancel_rotation";
}

/** Every token has the keys that the journal says were issued, each with the end that the journal gave it last. */
function verifyKeys(db: Database.Database): void {
  const select = db.prepare<[number, number, number], KeyOfTokenRow>(keysSql);
  const replay = prepareReplayOfKeys(db);
  let replayed: number | null = null;
  for (const row of inChunks(
    (token: number, issue: number, rows: number) => select.all(token, issue, rows),
    ({ token_revision, issue_revision }): [number, number] => [token_revision, issue_revision],
    [beforeAll, beforeAll],
  )) {
    if (row.token_id === null) {
      throw new Fault(`a key is of the token of revision ${row.token_revision}, which is not there`);
    }
    if (row.has_later === 1) {
      if (replayed !== row.token_revision) {
        replayed = row.token_revision;
        replay(row.token_revision, row.token_id);
      }
      continue;
    }
    if (row.issue_revision !== row.token_revision) {
      throw new Fault(keyNotIssued(row.token_id, row.issue_revision));
    }
    if (row.ends_at_ms !== null || row.end_revision !== null) {
      throw new Fault(`a key of the token ${row.token_id} says that it ends, and the journal does not`);
    }
  }
}

/** Does to the keys of one token what the journal says, and compares. In one read transaction: a server may go on. */
function prepareReplayOfKeys(db: Database.Database): (tokenRevision: number, tokenId: string) => void {
  const selectKeys = db.prepare<[number], KeyRow>(keysOfTokenSql);
  const selectChanges = db.prepare<[number], LaterChangeRow>(laterChangesSql);
  return db.transaction((tokenRevision: number, tokenId: string) => {
    const issued = new Map<number, { readonly digest: Uint8Array; readonly keyHint: string }>();
    const ends = new Map<number, { readonly atMs: number; readonly revision: number } | null>();
    for (const { revision, facts } of selectChanges.all(tokenRevision).filter(({ action }) => isKeyAction(action))) {
      const done = factsOrFault(revision, facts);
      if (done.issued !== null) {
        issued.set(revision, done.issued);
      }
      for (const { issueRevision, endsAtMs } of done.ends) {
        ends.set(issueRevision, endsAtMs === null ? null : { atMs: endsAtMs, revision });
      }
    }
    for (const key of selectKeys.all(tokenRevision)) {
      const issue = issued.get(key.issue_revision);
      const isFirst = key.issue_revision === tokenRevision;
      if (!isFirst && (issue === undefined || !isEqual(issue.digest, key.digest) || issue.keyHint !== key.key_hint)) {
        throw new Fault(keyNotIssued(tokenId, key.issue_revision));
      }
      issued.delete(key.issue_revision);
      const end = ends.get(key.issue_revision) ?? null;
      ends.delete(key.issue_revision);
      if (key.ends_at_ms !== (end?.atMs ?? null) || key.end_revision !== (end?.revision ?? null)) {
        throw new Fault(
          `the key of the token ${tokenId} that revision ${key.issue_revision} issued says another end than the journal`,
        );
      }
    }
    const [missing] = [...issued.keys(), ...ends.keys()];
    if (missing !== undefined) {
      throw new Fault(`the token ${tokenId} has not the key that revision ${missing} issued`);
    }
  });
}

function factsOrFault(revision: number, text: string | null): ReturnType<typeof readFacts> {
  try {
    const facts = readFacts(text);
    if (keyFacts(facts) === text) {
      return facts;
    }
  } catch {
    // Told below.
  }
  throw new Fault(`revision ${revision} does not say of keys what this program writes`);
}

function keyNotIssued(tokenId: string, revision: number): string {
  return `a key of the token ${tokenId} says revision ${revision} issued it, and the journal does not`;
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
