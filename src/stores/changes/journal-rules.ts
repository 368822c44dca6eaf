import {
  createFacts,
  emptyHead,
  hashChange,
  type JournalHead,
  keyFacts,
  reasonFacts,
} from "../../authority/journal.ts";
import type { StoredToken } from "../../authority/token.ts";
import { readFacts } from "./facts.ts";
import { type Attestation, attestAction, createAttestation, hashOldChange, type Uncovered } from "./old-hash.ts";

// What must be so in every store of the authority: the rows are read by the store, and judged here.

export type JournalVerdict =
  | { readonly fault: null; readonly head: JournalHead }
  /** A sentence that names the revision or token. */
  | { readonly fault: string };

/** What is not as it must be, in a sentence that names the revision, token or account. */
export class Fault extends Error {}

/** A change as the journal has it. */
export type ChangeRow = {
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
export type ChangeWithTokenRow<TokenRow> = ChangeRow &
  Partly<TokenRow & NamedRow> & { readonly digest: Uint8Array | null };
type WholeRow<TokenRow> = ChangeRow & TokenRow & NamedRow & { readonly digest: Uint8Array };
type Partly<Row> = { readonly [Column in keyof Row]: Row[Column] | null };
/** What is read here of a token's row; all of it is read by its store. */
type NamedRow = {
  readonly revision: number;
  readonly id: string;
  readonly name: string;
  readonly key_hint: string;
  readonly revoke_reason: string;
  readonly revoke_revision: number | null;
};

/** A token beside the changes that it names. */
export type TokenWithChangesRow = {
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

/** An account that the journal or the table of accounts names. */
export type AccountRow = {
  readonly account: string;
  readonly hold_revision: number | null;
  readonly close_revision: number | null;
  /** The changes that hold and close it, as the journal has them. */
  readonly held_by: number | null;
  readonly closed_by: number | null;
};

export type KeyRow = {
  readonly digest: Uint8Array;
  readonly token_revision: number;
  readonly issue_revision: number;
  readonly key_hint: string;
  readonly ends_at_ms: number | null;
  readonly end_revision: number | null;
};
/** A key beside what is known of its token. */
export type KeyOfTokenRow = Pick<KeyRow, "token_revision" | "issue_revision" | "ends_at_ms" | "end_revision"> & {
  readonly token_id: string | null;
  /** Whether anything was done to its token but to create and to revoke it. */
  readonly has_later: number;
};
/** What was done to a token beside creating and revoking it. */
export type LaterChangeRow = { readonly revision: number; readonly action: string; readonly facts: string | null };

/** Takes the changes one by one, oldest first. Throws a Fault at the first that is not as it must be. */
export type JournalCheck<TokenRow> = {
  take(row: ChangeWithTokenRow<TokenRow>): void;
  /** Returns the newest change once all were taken. */
  end(): JournalHead;
};

/**
 * Checks the chain of the journal, each change against its token, and, when a head is given, that the journal still
 * holds it. `lastOld` is the newest change with a hash of version 1. `toToken` throws when a row cannot be read.
 */
export function createJournalCheck<TokenRow>(
  lastOld: number,
  expectedHead: Pick<JournalHead, "revision" | "hash"> | null,
  toToken: (row: TokenRow) => StoredToken,
): JournalCheck<TokenRow> {
  const attestation = createAttestation();
  let head = emptyHead;

  return {
    take(row) {
      if (row.change_revision === head.revision) {
        throw new Fault(`revision ${head.revision} issued one key, and there are more that say so`);
      }
      if (row.change_revision !== head.revision + 1) {
        throw new Fault(
          `revision ${head.revision + 1} is missing: after ${head.revision} comes ${row.change_revision}`,
        );
      }
      const isOld = row.change_revision <= lastOld;
      const isAttestation = lastOld > 0 && row.change_revision === lastOld + 1;
      const hash = isAttestation ? attestedHash(row, head, attestation) : changeHash(row, head, isOld, toToken);
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
    },
    end() {
      if (expectedHead !== null && expectedHead.revision > head.revision) {
        throw new Fault(
          `the journal ends at revision ${head.revision}, before the expected revision ${expectedHead.revision}`,
        );
      }
      return head;
    },
  };
}

/** The hash that the change must have, by its row, its token and the change before. */
function changeHash<TokenRow>(
  row: ChangeWithTokenRow<TokenRow>,
  before: JournalHead,
  isOld: boolean,
  toToken: (row: TokenRow) => StoredToken,
): Uint8Array {
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
  const token = toTokenOrFault(row, toToken);
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
function holdHash(row: ChangeWithTokenRow<unknown>, before: JournalHead): Uint8Array {
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
function uncoveredOf(row: ChangeWithTokenRow<unknown>, lastOld: number): Uncovered {
  const { revision, name, key_hint: keyHint, revoke_revision, revoke_reason } = row;
  const isRevokedBefore = revoke_revision !== null && revoke_revision <= lastOld;
  return {
    revision: revision ?? 0,
    name: name ?? "",
    keyHint: keyHint ?? "",
    revokeReason: isRevokedBefore ? (revoke_reason ?? "") : "",
  };
}

function isWhole<TokenRow>(
  row: ChangeWithTokenRow<TokenRow>,
): row is WholeRow<TokenRow> & ChangeWithTokenRow<TokenRow> {
  return row.id !== null && row.digest !== null;
}

function subjectOf({ id, token_revision, subject_account }: ChangeRow & { readonly id?: string | null }): string {
  if (subject_account !== null) {
    return `its account ${subject_account}`;
  }
  return id === null || id === undefined ? `its token of revision ${token_revision}` : `its token ${id}`;
}

/** Throws a Fault unless the journal created, revoked and holds the token as it says. */
export function checkToken(row: TokenWithChangesRow): void {
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

/** Throws a Fault unless the changes that the journal says hold or close the account, and no other does. */
export function checkAccount(row: AccountRow): void {
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

/**
 * Throws a Fault unless the journal issued the key, and gave it the end that it has. Returns the id of its token where
 * something was done to that since its creation, so that all its keys are to be checked together; else null.
 */
export function checkKey(row: KeyOfTokenRow): string | null {
  if (row.token_id === null) {
    throw new Fault(`a key is of the token of revision ${row.token_revision}, which is not there`);
  }
  if (row.has_later === 1) {
    return row.token_id;
  }
  if (row.issue_revision !== row.token_revision) {
    throw new Fault(keyNotIssued(row.token_id, row.issue_revision));
  }
  if (row.ends_at_ms !== null || row.end_revision !== null) {
    throw new Fault(`a key of the token ${row.token_id} says that it ends, and the journal does not`);
  }
  return null;
}

/**
 * Does to the keys of one token what the journal says, and compares: all its keys, and the changes after its creation,
 * oldest first, as they were at one moment.
 */
export function checkKeysTogether(
  tokenRevision: number,
  tokenId: string,
  keys: readonly KeyRow[],
  changes: readonly LaterChangeRow[],
): void {
  const issued = new Map<number, { readonly digest: Uint8Array; readonly keyHint: string }>();
  const ends = new Map<number, { readonly atMs: number; readonly revision: number } | null>();
  for (const { revision, facts } of changes.filter(({ action }) => isKeyAction(action))) {
    const done = factsOrFault(revision, facts);
    if (done.issued !== null) {
      issued.set(revision, done.issued);
    }
    for (const { issueRevision, endsAtMs } of done.ends) {
      ends.set(issueRevision, endsAtMs === null ? null : { atMs: endsAtMs, revision });
    }
  }
  for (const key of keys) {
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

function toTokenOrFault<TokenRow>(row: WholeRow<TokenRow>, toToken: (row: TokenRow) => StoredToken): StoredToken {
  try {
    return toToken(row);
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
