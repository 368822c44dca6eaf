import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { onTestFinished } from "vitest";
import type { Log } from "../../src/machine/log.ts";
import {
  openSqliteTokenStore,
  type SqliteTokenStore,
  type SqliteTokenStoreOptions,
} from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { type StoreProcess, startStoreProcess } from "./store-process.ts";

export const quietLog: Log = { info() {}, warn() {}, error() {} };

/** A path for a data directory that does not exist yet, gone when the test ends. */
export function temporaryDataDirectory(): string {
  const parent = mkdtempSync(join(tmpdir(), "sqlite-store-"));
  onTestFinished(() => rmSync(parent, { recursive: true }));
  return join(parent, "data");
}

/** A store that is disposed when the test ends, unless it was before. */
export async function openStore(
  directory: string,
  minFreeBytes = 0,
  options: Partial<SqliteTokenStoreOptions> = {},
): Promise<SqliteTokenStore> {
  const store = await openSqliteTokenStore(directory, {
    minFreeBytes,
    log: quietLog,
    onFatal(error) {
      throw error;
    },
    ...options,
  });
  onTestFinished(() => store[Symbol.asyncDispose]());
  return store;
}

/** Runs SQL as a person with a file at hand would, past every rule of ours. */
export function editByHand(file: string, ...statements: readonly string[]): void {
  const db = new Database(file);
  db.pragma("foreign_keys = 0");
  db.pragma("ignore_check_constraints = 1");
  for (const statement of statements) {
    if (db.prepare(statement).run().changes === 0) {
      throw new Error(`this changed nothing: ${statement}`);
    }
  }
  db.close();
}

/** Starts a process with a store, under another command if one is given. It ends with the test. */
export async function startStoreChild(...parameters: Parameters<typeof startStoreProcess>): Promise<StoreProcess> {
  const child = await startStoreProcess(...parameters);
  onTestFinished(() => child[Symbol.asyncDispose]());
  return child;
}
