import { closeSync, fsyncSync, openSync, statSync } from "node:fs";
import type Database from "better-sqlite3";
import { createFacts, emptyHead, hashChange, reasonFacts } from "../../src/authority/journal.ts";
import { digestKey, isKey, keyHint } from "../../src/authority/key.ts";
import type { NewToken } from "../../src/authority/token-store.ts";
import { dataFiles, prepareDataDirectory } from "../../src/stores/sqlite/data-directory.ts";
import { selectJournalHead } from "../../src/stores/sqlite/journal-head.ts";
import { openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { readAuthorityId } from "../../src/stores/sqlite/store-identity.ts";
import { openMarker } from "../../src/stores/sqlite/writer/marker.ts";
import { openRevocationLog } from "../../src/stores/sqlite/writer/revocation-log.ts";
import { type Population, revokedAfterTokens, type SeededToken, seededToken } from "./seeded-token.ts";

/** At each commit most pages of the unique indexes are written again: few commits are fast. */
const tokensInTransaction = 1_000_000;
const caller = "bench";

/** What the limit of tokens of an account must be for the load to create more of them. */
export const maxLiveTokens = 1_000_000;

/**
 * Fills a data directory with the population, straight into the tables: rows, digests, indexes and the journal's chain
 * of hashes are what the server would have made. Returns the bytes of the database.
 */
export function seed(directory: string, population: Population): number {
  prepareDataDirectory(directory);
  const files = dataFiles(directory);
  const file = files.database;
  const db = openWriterDatabase(file);
  try {
    // Nothing is lost when a half-made database is: no journal, no fsync, and room in memory for the unique indexes.
    db.unsafeMode();
    db.pragma("journal_mode = OFF");
    db.pragma("synchronous = OFF");
    db.pragma("foreign_keys = OFF");
    db.pragma("ignore_check_constraints = ON");
    db.pragma(`cache_size = -${2 * 1024 * 1024}`);
    const indexes = dropIndexes(db);
    const writer = createRowWriter(db);
    for (let start = 0; start < population.tokens; start += tokensInTransaction) {
      const end = Math.min(start + tokensInTransaction, population.tokens);
      db.transaction(() => seedSome(writer, population, start, end))();
    }
    // Sorted once they are a fraction of what they cost row by row.
    for (const sql of indexes) {
      db.exec(sql);
    }
    db.pragma("journal_mode = WAL");
    // Without them the server takes it for an old copy.
    openRevocationLog(files, db, { noteFull() {}, giveUpBallast: () => false }, () => 0, true)[Symbol.dispose]();
    const head = selectJournalHead(db)() ?? emptyHead;
    openMarker(files.marker, readAuthorityId(db), head, 0, () => {})[Symbol.dispose]();
  } finally {
    db.close();
  }
  syncFile(file);
  return statSync(file).size;
}

/** Returns what makes them again. Those behind UNIQUE have no SQL of their own, and stay. */
function dropIndexes(db: Database.Database): readonly string[] {
  const indexes = db
    .prepare<[], { readonly name: string; readonly sql: string }>(
      "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL",
    )
    .all();
  for (const { name } of indexes) {
    db.exec(`DROP INDEX ${name}`);
  }
  return indexes.map(({ sql }) => sql);
}

type RowWriter = {
  create(token: SeededToken): void;
  /** Revokes those that are to be revoked, of the tokens created before this place in the order. */
  revokeBefore(index: number, atMs: number): void;
};

function createRowWriter(db: Database.Database): RowWriter {
  const insertChange = db.prepare(
    "INSERT INTO journal (revision, at_ms, caller, action, token_revision, facts, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const insertToken = db.prepare(
    `INSERT INTO token (revision, id, account, name, type, livemode, permissions, created_by, created_at_ms, expires_at_ms)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
  );
  const insertKey = db.prepare(
    "INSERT INTO token_key (digest, token_revision, issue_revision, key_hint) VALUES (?, ?, ?, ?)",
  );
  const insertUse = db.prepare("INSERT INTO last_use (issue_revision, used_at_ms) VALUES (?, ?)");
  const markRevoked = db.prepare(
    "UPDATE token SET revoked_at_ms = ?, revoke_reason = ?, revoke_revision = ? WHERE revision = ?",
  );
  /** Those still to be revoked, in the order of creation. */
  const doomed: { readonly token: SeededToken; readonly revision: number }[] = [];
  let { revision, hash } = emptyHead;

  function append(
    action: "create" | "revoke",
    { id }: SeededToken,
    created: number,
    facts: string,
    atMs: number,
  ): void {
    revision += 1;
    hash = hashChange(hash, { revision, atMs, caller, action, subject: { tokenId: id } }, facts);
    insertChange.run(revision, atMs, caller, action, created, action === "create" ? null : facts, hash);
  }

  return {
    create(token) {
      if (!isKey(token.key)) {
        throw new Error("a seeded key has not the authority's format");
      }
      const { id, account, type, key, createdAtMs, expiresAtMs, lastUsedAtMs } = token;
      const digest = digestKey(key);
      const name = `Seeded token ${token.index}`;
      const facts = createFacts({ ...token, name, keyHint: keyHint(key) }, digest);
      append("create", token, revision + 1, facts, createdAtMs);
      insertToken.run(
        revision,
        id,
        account,
        name,
        type,
        token.livemode ? 1 : 0,
        JSON.stringify(token.permissions),
        caller,
        createdAtMs,
        expiresAtMs,
      );
      insertKey.run(digest, revision, revision, keyHint(key));
      if (lastUsedAtMs !== null) {
        insertUse.run(revision, lastUsedAtMs);
      }
      if (token.isRevoked) {
        doomed.push({ token, revision });
      }
    },
    revokeBefore(index, atMs) {
      for (let first = doomed[0]; first !== undefined && first.token.index < index; first = doomed[0]) {
        doomed.shift();
        const reason = "bench";
        append("revoke", first.token, first.revision, reasonFacts(reason), atMs);
        markRevoked.run(atMs, reason, revision, first.revision);
      }
    },
  };
}

/** Creates and revokes in the order of time. */
function seedSome(writer: RowWriter, population: Population, start: number, end: number): void {
  for (let index = start; index < end; index += 1) {
    const token = seededToken(population, index);
    writer.create(token);
    writer.revokeBefore(index - revokedAfterTokens, token.createdAtMs);
  }
  if (end === population.tokens) {
    writer.revokeBefore(end, population.nowMs);
  }
}

/** A creation as the store's writer takes it. */
export function createCall(token: NewToken, atMs: number) {
  return { method: "create", token, request: null, maxLiveTokens, context: { caller, atMs, bearerKey: null } } as const;
}

/** Waits for the disk, so that writing back what was seeded does not disturb what is measured. */
export function syncFile(file: string): void {
  const descriptor = openSync(file, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
