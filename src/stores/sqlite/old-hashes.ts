import type Database from "better-sqlite3";
import { hashChange, type JournalHead } from "../../authority/journal.ts";
import { attestAction, createAttestation, type Uncovered } from "../changes/old-hash.ts";
import { selectJournalHead } from "./journal-head.ts";

const attester = "upgrade";

/** The newest change whose hash is of version 1; 0 when there is none. */
export function readLastOldRevision(db: Database.Database): number {
  const last = db.prepare<[], number>("SELECT last_old_revision FROM authority").pluck().get();
  if (last === undefined) {
    throw new Error(`${db.name} does not say which hashes are old`);
  }
  return last;
}

/**
 * Appends the change that covers what older hashes leave out, unless there is nothing that is not covered, and returns
 * it. Must run in the transaction that begins to make hashes of version 2.
 */
export function attestOldChanges(db: Database.Database): JournalHead | null {
  const head = selectJournalHead(db)();
  if (head === null || head.revision !== readLastOldRevision(db)) {
    return null;
  }
  const attestation = createAttestation();
  const tokens = db.prepare<[], Uncovered>(
    `SELECT token.revision, token.name, token_key.key_hint AS keyHint, token.revoke_reason AS revokeReason
     FROM token JOIN token_key ON token_key.token_revision = token.revision ORDER BY token.revision`,
  );
  for (const token of tokens.iterate()) {
    attestation.add(token);
  }
  const facts = attestation.facts();
  // No clock is asked, so that the times of changes do not fall.
  const change = {
    revision: head.revision + 1,
    atMs: head.atMs,
    caller: attester,
    action: attestAction,
    subject: null,
  };
  const hash = hashChange(head.hash, change, facts);
  db.prepare<[number, number, string, string, string, Uint8Array]>(
    "INSERT INTO journal (revision, at_ms, caller, action, facts, hash) VALUES (?, ?, ?, ?, ?, ?)",
  ).run(change.revision, change.atMs, change.caller, change.action, facts, hash);
  return { revision: change.revision, atMs: change.atMs, hash };
}
