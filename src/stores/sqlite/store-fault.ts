import { statSync } from "node:fs";
import { StartError } from "../../machine/start-error.ts";
import { type DataFiles, readFreeBytes } from "./data-directory.ts";
import { hasNoRoomForIndex, isDamaged, isFull, sqliteCodeOf } from "./sqlite-error.ts";
import { isFullDisk, systemCodeOf } from "./system-error.ts";

/** The least that SQLite makes of the index of a write-ahead log. */
const indexBytes = 32 * 1024;

/** Why the store could not be opened, in one line that says what to do. What is not known is left as it is. */
export function asStartError(error: unknown, { directory, database }: DataFiles): unknown {
  return isDamaged(error) ? asDamage(error, database) : asDiskFault(error, directory, database);
}

/**
 * The same of what can befall every file: a full disk, another user's directory, a disk that is read-only or failing.
 * `file` is what was used, unless the error knows better.
 */
export function asDiskFault(error: unknown, directory: string, file: string): unknown {
  if (error instanceof StartError) {
    return error;
  }
  const options = { cause: error };
  if (isFull(error) || isFullDisk(error) || (hasNoRoomForIndex(error) && readFreeBytes(directory) < indexBytes)) {
    return new StartError(`the disk of ${directory} is full: make room on it, and try again`, options);
  }
  const path = error instanceof Error && "path" in error ? error.path : file;
  const code = systemCodeOf(error);
  if (code === "EACCES" || code === "EPERM") {
    return new StartError(
      `this user may not use ${path} (${code}): the directory ${directory} ${ownerOf(directory)}: start as that user, or give the directory and all files in it to this one`,
      options,
    );
  }
  if (code === "EROFS") {
    return new StartError(`${path} is on a file system that is read-only (EROFS): it must be writable`, options);
  }
  const sqliteCode = sqliteCodeOf(error);
  const isOfTheDisk = sqliteCode !== null && /^SQLITE_(CANTOPEN|READONLY|PERM|IOERR)/.test(sqliteCode);
  return isOfTheDisk
    ? new StartError(
        `${file} cannot be read or written (${sqliteCode}): look at its disk, and at who may use ${directory}`,
        options,
      )
    : error;
}

/** Throws a StartError unless there is a database that this user can look for. */
export function requireDatabase({ directory, database }: DataFiles): void {
  let isThere: boolean;
  try {
    isThere = statSync(database, { throwIfNoEntry: false }) !== undefined;
  } catch (error) {
    throw asDiskFault(error, directory, database);
  }
  if (!isThere) {
    throw new StartError(`there is no database of a token authority: ${database}`);
  }
}

/** The same error, and what is to be done, when it says that the database is damaged. */
export function explainDamage(error: unknown, database: string): unknown {
  return isDamaged(error) ? asDamage(error, database) : error;
}

function asDamage(error: unknown, database: string): StartError {
  return new StartError(
    `${database} is damaged (${sqliteCodeOf(error)}): npm run verify-journal says where. Move the data directory away and make a new one with npm run restore, from a backup and the revocation log`,
    { cause: error },
  );
}

function ownerOf(directory: string): string {
  try {
    return `belongs to the user with the number ${statSync(directory).uid}`;
  } catch {
    return "cannot be looked at";
  }
}
