import { chmodSync, closeSync, existsSync, fsyncSync, mkdirSync, openSync, statfsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createPrivateFile, requireRegularFile, syncDirectory } from "../../machine/private-file.ts";
import { StartError } from "../../machine/start-error.ts";

const lockName = "lock.db";
const databaseName = "tokens.db";
const ballastName = "ballast";
const revocationLogName = "revocations.log";
const leasesName = "leases";

export type DataFiles = {
  readonly directory: string;
  /** Held by the process that owns the directory. Nothing else may ever open it. */
  readonly lock: string;
  readonly database: string;
  readonly wal: string;
  readonly shm: string;
  /** Room that is given up so that a revocation fits on a full disk. */
  readonly ballast: string;
  /** There while leases may be out, which a start after a crash waits for. */
  readonly leases: string;
  /** Where it is unless a setting says otherwise. */
  readonly revocationLog: string;
  /**
   * Where it is unless a setting says otherwise: beside the directory, so that losing or copying the directory leaves
   * the marker where it is.
   */
  readonly marker: string;
};

/** Files that may be elsewhere than the store puts them. Null, and absent, mean where the store puts them. */
export type Elsewhere = { readonly revocationLog?: string | null; readonly marker?: string | null };

/** The paths of the files in a data directory and beside it, whether they exist or not. */
export function dataFiles(directory: string, { revocationLog, marker }: Elsewhere = {}): DataFiles {
  const root = resolve(directory);
  const database = join(root, databaseName);
  return {
    directory: root,
    lock: join(root, lockName),
    database,
    wal: `${database}-wal`,
    shm: `${database}-shm`,
    ballast: join(root, ballastName),
    leases: join(root, leasesName),
    revocationLog: revocationLog ?? join(root, revocationLogName),
    marker: marker ?? `${root}.marker`,
  };
}

/** Whether there is a database: an empty file is none yet. */
export function hasDatabase(database: string): boolean {
  return (statSync(database, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Makes the directory with mode 0700, or accepts one that only its owner can write to. Throws on any other. */
export function prepareDataDirectory(directory: string): void {
  const root = resolve(directory);
  if (!existsSync(root)) {
    try {
      makeDirectory(root);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : "unknown";
      throw new StartError(`the data directory ${root} cannot be made (${code})`, { cause: error });
    }
    chmodSync(root, 0o700);
    syncDirectory(dirname(root));
    return;
  }
  const stats = statSync(root);
  if (!stats.isDirectory()) {
    throw new StartError(`the data directory ${root} is not a directory`);
  }
  if ((stats.mode & 0o022) !== 0) {
    throw new StartError(
      `the data directory ${root} can be written by others than its owner (mode ${(stats.mode & 0o777).toString(8)}): run chmod 700 on it`,
    );
  }
}

/**
 * Makes those above it first. Node's own recursive way never returns where a file system takes no directory, as /proc
 * does.
 */
function makeDirectory(path: string): void {
  const parent = dirname(path);
  if (!existsSync(parent)) {
    makeDirectory(parent);
  }
  mkdirSync(path, { mode: 0o700 });
}

/**
 * Makes an empty file with mode 0600 unless there is one. SQLite gives the mode of a database to the files beside it.
 * Throws a StartError where something else is, such as a link.
 */
export function ensurePrivateFile(path: string): void {
  try {
    // Exclusive: opening and closing a file that exists would drop the locks that SQLite holds on it in this process.
    createPrivateFile(path);
    syncDirectory(dirname(path));
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) {
      throw error;
    }
    requireRegularFile(path);
    chmodSync(path, 0o600);
  }
}

/** How many bytes on the disk this process could still write. */
export function readFreeBytes(directory: string): number {
  const stats = statfsSync(directory);
  return stats.bavail * stats.bsize;
}

/** Makes what is in a file survive a power cut. */
export function syncFile(path: string): void {
  const descriptor = openSync(path, "r+");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
