import Database from "better-sqlite3";
import { StartError } from "../../machine/start-error.ts";
import { dataFiles, ensurePrivateFile, prepareDataDirectory } from "./data-directory.ts";
import { isBusy } from "./sqlite-error.ts";
import { type FileIdentity, identify } from "./watched-files.ts";

export type DataDirectoryLock = Disposable & {
  /** A holder that finds another identity at the lock's path has lost the directory. */
  readonly identity: FileIdentity;
};

/**
 * Makes the data directory if need be and owns it until disposed; the end of the process, however it comes, releases it
 * too. Throws at once when another process, or this one, owns it already.
 *
 * Node has no flock. An exclusive transaction on a database of its own is a lock that the operating system releases.
 */
export function lockDataDirectory(directory: string): DataDirectoryLock {
  prepareDataDirectory(directory);
  const files = dataFiles(directory);
  ensurePrivateFile(files.lock);
  const db = new Database(files.lock, { timeout: 0 });
  try {
    // Nothing is ever written, so no journal is needed beside it.
    db.pragma("journal_mode = MEMORY");
    db.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    db.close();
    if (isBusy(error)) {
      throw new StartError(
        `the data directory ${files.directory} is in use by another process: end that one first, one process owns a data directory`,
        { cause: error },
      );
    }
    throw error;
  }
  return {
    identity: identify(files.lock),
    [Symbol.dispose]() {
      db.close();
    },
  };
}
