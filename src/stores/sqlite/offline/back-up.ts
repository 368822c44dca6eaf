import { existsSync, linkSync, renameSync, rmSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type Database from "better-sqlite3";
import type { JournalHead } from "../../../authority/journal.ts";
import { createPrivateFile, syncDirectory } from "../../../machine/private-file.ts";
import { StartError } from "../../../machine/start-error.ts";
import { dataFiles, syncFile } from "../data-directory.ts";
import { inspect, openCopy } from "../open-database.ts";
import { isDamaged } from "../sqlite-error.ts";
import { asDiskFault, requireDatabase } from "../store-fault.ts";
import { systemCodeOf } from "../system-error.ts";
import { verifyDatabase } from "./verify-journal.ts";

/** As many as there are. Copied in several steps, a database that changes in between is copied anew each time. */
const allPages = 0x7fffffff;

/**
 * Copies the database of a data directory into a new file, also beside a running server, and returns the newest change
 * in it. The file appears once it is checked and would survive a power cut; it is never overwritten. No server serves
 * it: see restore().
 *
 * `pid` tells the unfinished files of two processes apart.
 */
export async function backUp(directory: string, target: string, pid: number): Promise<JournalHead> {
  const files = dataFiles(directory);
  const { database } = files;
  requireDatabase(files);
  const file = resolve(target);
  if (existsSync(file)) {
    throw new StartError(`${file} exists: a backup overwrites nothing`);
  }
  if (!existsSync(dirname(file))) {
    throw new StartError(`the directory ${dirname(file)} does not exist`);
  }
  const unfinished = `${file}.unfinished-${pid}`;
  createUnfinished(unfinished, database);
  try {
    await copy(database, unfinished);
    const head = finish(unfinished, database);
    syncFile(unfinished);
    giveName(unfinished, file);
    syncDirectory(dirname(file));
    return head;
  } catch (error) {
    removeDatabase(unfinished);
    throw asCopyError(error, dirname(file), database);
  }
}

/** Exclusive: what lies there is not ours, and may be a link to a file that matters. */
function createUnfinished(file: string, source: string): void {
  try {
    createPrivateFile(file);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") {
      throw new StartError(`${file} exists, left by a backup that was killed: remove it`, { cause: error });
    }
    throw asCopyError(error, dirname(file), source);
  }
}

/** Unlike a rename, a link overwrites nothing that was made in the meantime; some file systems have none. */
function giveName(unfinished: string, file: string): void {
  try {
    linkSync(unfinished, file);
    rmSync(unfinished);
  } catch (error) {
    const code = systemCodeOf(error);
    if (code === "EEXIST") {
      throw new StartError(`${file} exists: a backup overwrites nothing`, { cause: error });
    }
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "EOPNOTSUPP") {
      throw error;
    }
    renameSync(unfinished, file);
  }
}

async function copy(from: string, to: string): Promise<void> {
  using source = inspect(from);
  await source.db.backup(to, { progress: () => allPages });
}

function finish(file: string, source: string): JournalHead {
  const db = openCopy(file);
  try {
    db.transaction(dropSealedKeys)(db);
    return requireWhole(db, source);
  } finally {
    db.close();
  }
}

/**
 * A sealed key is of use for 24 hours, and a backup may lie about for years. A Create that is retried after a restore
 * answers that its key cannot be shown again.
 */
function dropSealedKeys(db: Database.Database): void {
  db.exec("UPDATE create_request SET sealed_slot = NULL; DELETE FROM free_sealed_key; DELETE FROM sealed_key");
}

/** Throws unless SQLite and the journal find nothing wrong with it. Returns its newest change. */
export function requireWhole(db: Database.Database, name: string): JournalHead {
  const complaint = String(db.pragma("integrity_check(1)", { simple: true }));
  if (complaint !== "ok") {
    throw new StartError(`${name} is damaged: ${complaint.replaceAll("\n", ": ")}`);
  }
  const verdict = verifyDatabase(db, null);
  if (verdict.fault !== null) {
    throw new StartError(`${name}: the journal is at fault: ${verdict.fault}`);
  }
  return verdict.head;
}

/** What went wrong between a database and its copy in a directory, in one line; what is not known as it is. */
export function asCopyError(error: unknown, directory: string, source: string): unknown {
  return isDamaged(error)
    ? new StartError(`${source} is damaged, or no database: ${error}`, { cause: error })
    : asDiskFault(error, directory, source);
}

/** Removes a database, and what SQLite may have left beside it. */
export function removeDatabase(file: string): void {
  for (const suffix of ["", "-journal", "-wal", "-shm"]) {
    rmSync(`${file}${suffix}`, { force: true });
  }
}
