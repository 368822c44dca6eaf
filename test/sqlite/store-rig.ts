import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import Database from "better-sqlite3";
import { onTestFinished } from "vitest";
import type { Log } from "../../src/machine/log.ts";
import {
  openSqliteTokenStore,
  type SqliteTokenStore,
  type SqliteTokenStoreOptions,
} from "../../src/stores/sqlite/open-sqlite-token-store.ts";

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

/** A process with a store, which store-child.ts says more about. */
export type StoreChild = {
  readonly process: ChildProcessWithoutNullStreams;
  readonly pid: number;
  /** Sends an order and returns the answer to it. */
  ask(order: object): Promise<Record<string, unknown>>;
  /** The next line it says that answers nothing. */
  next(): Promise<Record<string, unknown>>;
  readonly exit: Promise<number | null>;
};

export const childFile = fileURLToPath(new URL("./store-child.ts", import.meta.url));

/** Starts the process, under another command if one is given, and waits until its store is open. */
export async function startStoreChild(
  directory: string,
  wrap: (command: readonly string[]) => readonly string[] = (command) => command,
): Promise<StoreChild> {
  const [command = "", ...parameters] = wrap([process.execPath, childFile, directory]);
  const child = spawn(command, parameters);
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  let complaints = "";
  child.stderr.on("data", (data) => {
    complaints += data;
  });
  const exit = once(child, "exit").then(([code]) => code as number | null);
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await exit;
  });

  async function next(): Promise<Record<string, unknown>> {
    const line = await lines.next();
    if (line.done) {
      throw new Error(`the process ended: ${complaints}`);
    }
    return JSON.parse(line.value);
  }

  const opened = await next();
  return {
    process: child,
    pid: Number(opened.pid),
    async ask(order) {
      child.stdin.write(`${JSON.stringify(order)}\n`);
      return next();
    },
    next,
    exit,
  };
}
