import Database from "better-sqlite3";

/** The disk is full. The change did not happen. */
export function isFull(error: unknown): boolean {
  return codeOf(error) === "SQLITE_FULL";
}

/** Another connection holds the database. Nothing happened. */
export function isBusy(error: unknown): boolean {
  return codeOf(error)?.startsWith("SQLITE_BUSY") ?? false;
}

/** The file is not, or no longer, a database in good order. */
export function isDamaged(error: unknown): boolean {
  const code = codeOf(error);
  return code !== null && (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB");
}

/**
 * Whether it is unknown what is on the disk now, so that only a new start can tell: a failed fsync above all.
 *
 * The codes that are known to leave the last commit as it was are listed; any other is fatal.
 */
export function isFatal(error: unknown): boolean {
  const code = codeOf(error);
  return (
    code !== null &&
    !isFull(error) &&
    !isBusy(error) &&
    !code.startsWith("SQLITE_CONSTRAINT") &&
    code !== "SQLITE_TOOBIG" &&
    code !== "SQLITE_RANGE"
  );
}

function codeOf(error: unknown): string | null {
  return error instanceof Database.SqliteError ? error.code : null;
}
