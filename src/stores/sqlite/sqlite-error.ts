import Database from "better-sqlite3";

/** The disk is full. The change did not happen. */
export function isFull(error: unknown): boolean {
  return sqliteCodeOf(error) === "SQLITE_FULL";
}

/** The log's index could not be made longer: on a disk that is full, SQLite says no more than this. */
export function hasNoRoomForIndex(error: unknown): boolean {
  return sqliteCodeOf(error) === "SQLITE_IOERR_SHMSIZE";
}

/** Another connection holds the database. Nothing happened. */
export function isBusy(error: unknown): boolean {
  return sqliteCodeOf(error)?.startsWith("SQLITE_BUSY") ?? false;
}

/** The file is not, or no longer, a database in good order. */
export function isDamaged(error: unknown): boolean {
  const code = sqliteCodeOf(error);
  return code !== null && (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB");
}

/** The file, or one that SQLite needs beside it, cannot be written or made. */
export function isUnwritable(error: unknown): boolean {
  const code = sqliteCodeOf(error);
  return code !== null && /^SQLITE_(CANTOPEN|READONLY)/.test(code);
}

/** A read that met this will not go better the next time. */
export function isLost(error: unknown): boolean {
  return isDamaged(error) || (sqliteCodeOf(error)?.startsWith("SQLITE_IOERR") ?? false);
}

/**
 * Whether it is unknown what is on the disk now, so that only a new start can tell: a failed fsync above all.
 *
 * The codes that are known to leave the last commit as it was are listed; any other is fatal.
 */
export function isFatal(error: unknown): boolean {
  const code = sqliteCodeOf(error);
  return (
    code !== null &&
    !isFull(error) &&
    !isBusy(error) &&
    !code.startsWith("SQLITE_CONSTRAINT") &&
    code !== "SQLITE_TOOBIG" &&
    code !== "SQLITE_RANGE"
  );
}

/** The code of an error of SQLite, such as `SQLITE_FULL`; null for any other error. */
export function sqliteCodeOf(error: unknown): string | null {
  return error instanceof Database.SqliteError ? error.code : null;
}
