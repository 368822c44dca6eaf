import { closeSync, fsyncSync, openSync, statSync } from "node:fs";
import { digestKey, isKey, keyHint } from "../../src/authority/key.ts";
import type { NewToken, TokenUse } from "../../src/authority/token-store.ts";
import { dataFiles, prepareDataDirectory } from "../../src/sqlite/data-directory.ts";
import { openWriterDatabase } from "../../src/sqlite/open-database.ts";
import { createWriter, type Writer } from "../../src/sqlite/writer.ts";
import { type Population, type SeededToken, seededToken } from "./seeded-token.ts";

const tokensInTransaction = 20_000;
const usesAtOnce = 1000;
/** A token is revoked when so many more have been created. */
const revokedAfterTokens = 1000;

/** What the limit of tokens of an account must be for the load to create more of them. */
export const maxLiveTokens = 1_000_000;

/**
 * Fills a data directory with the population, through the statements of the store's own writer: schema, digests, journal and
 * indexes are what the server would have made. Returns the bytes of the database.
 */
export function seed(directory: string, population: Population): number {
  prepareDataDirectory(directory);
  const file = dataFiles(directory).database;
  const db = openWriterDatabase(file);
  try {
    // Nothing is lost when a half-made database is: no write-ahead log, no fsync, room in memory for all that changes.
    db.pragma("journal_mode = MEMORY");
    db.pragma("synchronous = OFF");
    db.pragma(`cache_size = -${2 * 1024 * 1024}`);
    const writer = createWriter(db);
    for (let start = 0; start < population.tokens; start += tokensInTransaction) {
      const end = Math.min(start + tokensInTransaction, population.tokens);
      writer.transact(() => seedSome(writer, population, start, end));
    }
    db.pragma("journal_mode = WAL");
  } finally {
    db.close();
  }
  syncFile(file);
  return statSync(file).size;
}

function seedSome(writer: Writer, population: Population, start: number, end: number): void {
  const uses: TokenUse[] = [];
  for (let index = start; index < end; index += 1) {
    const token = seededToken(population, index);
    const createRevision = seedOne(writer, token);
    if (token.lastUsedAtMs !== null) {
      uses.push({ createRevision, usedAtMs: token.lastUsedAtMs });
    }
    if (index >= revokedAfterTokens) {
      revokeIfDoomed(writer, seededToken(population, index - revokedAfterTokens), token.createdAtMs);
    }
  }
  if (end === population.tokens) {
    for (let index = Math.max(0, end - revokedAfterTokens); index < end; index += 1) {
      revokeIfDoomed(writer, seededToken(population, index), population.nowMs);
    }
  }
  for (let first = 0; first < uses.length; first += usesAtOnce) {
    writer.recordUses(uses.slice(first, first + usesAtOnce));
  }
}

/** Returns the revision of the creation. */
function seedOne(writer: Writer, token: SeededToken): number {
  if (!isKey(token.key)) {
    throw new Error("a seeded key has not the authority's format");
  }
  const call = createCall(newToken(token), token.createdAtMs);
  const outcome = writer.create(call, () => false);
  if (outcome.kind !== "created") {
    throw new Error(`token ${token.index} was not created: ${outcome.kind}`);
  }
  return outcome.head.revision;
}

function revokeIfDoomed(writer: Writer, token: SeededToken, atMs: number): void {
  if (token.isRevoked) {
    writer.revoke({ method: "revoke", id: token.id, reason: "bench", context: { caller: "bench", atMs } });
  }
}

/** A creation as the writer takes it. */
export function createCall(token: NewToken, atMs: number) {
  return { method: "create", token, request: null, maxLiveTokens, context: { caller: "bench", atMs } } as const;
}

function newToken({ id, key, account, index, type, livemode, permissions, expiresAtMs }: SeededToken): NewToken {
  return {
    id,
    digest: digestKey(key),
    account,
    name: `Seeded token ${index}`,
    type,
    livemode,
    keyHint: keyHint(key),
    permissions,
    expiresAtMs,
  };
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
