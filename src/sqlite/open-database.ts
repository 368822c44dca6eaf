import Database from "better-sqlite3";
import { ensurePrivateFile } from "./data-directory.ts";
import { assertNotNewer, assertOurs, migrate, migrateBackup } from "./schema.ts";

const busyTimeoutMs = 5000;
/** The serving thread would rather answer an error than keep everybody waiting. Beside our own writer it never has to. */
const readerBusyTimeoutMs = 500;
const keptWalBytes = 16 * 1024 * 1024;

/** Opens the one connection that writes, after making or migrating the database. Throws, and changes nothing, when it is newer than this program. */
export function openWriterDatabase(file: string): Database.Database {
  ensurePrivateFile(file);
  refuseUntouched(file);
  return open(file, false, (db) => {
    setPragma(db, "journal_mode", "wal");
    // Our SQLite build falls to NORMAL (1) in WAL mode, which may forget a revocation in a power cut.
    setPragma(db, "synchronous", 2);
    // Freed bytes are overwritten with zeros: a sealed key that is erased is gone from the file.
    setPragma(db, "secure_delete", 1);
    // Checkpoints come after answers are sent, by our own hand, never inside a commit.
    setPragma(db, "wal_autocheckpoint", 0);
    setPragma(db, "journal_size_limit", keptWalBytes);
    migrate(db);
  });
}

/** Opens a connection that only reads, beside the writer. Each serving thread has its own. */
export function openReaderDatabase(file: string): Database.Database {
  return open(file, false, (db) => {
    expectPragma(db, "journal_mode", "wal");
    setPragma(db, "busy_timeout", readerBusyTimeoutMs);
    setPragma(db, "query_only", 1);
    assertOurs(db);
  });
}

/** Opens a connection that cannot write at all, for a look at a database that somebody else may be serving. */
export function openInspectorDatabase(file: string): Database.Database {
  return open(file, true, assertOurs);
}

/**
 * Opens a copy of a database that nobody else knows of, to make a backup of it or to restore it. It is one file: what was copied from a
 * write-ahead log's database does without one. A crash may leave it in any state.
 */
export function openCopy(file: string): Database.Database {
  return open(file, false, (db) => {
    setPragma(db, "journal_mode", "delete");
    setPragma(db, "journal_mode", "memory");
    setPragma(db, "synchronous", 0);
    setPragma(db, "secure_delete", 1);
    migrateBackup(db);
  });
}

function open(file: string, readonly: boolean, prepare: (db: Database.Database) => void): Database.Database {
  const db = new Database(file, { fileMustExist: true, readonly });
  try {
    setPragma(db, "busy_timeout", busyTimeoutMs);
    setPragma(db, "foreign_keys", 1);
    // What stands in a schema that somebody else may have edited is not trusted to run functions.
    setPragma(db, "trusted_schema", 0);
    setPragma(db, "cell_size_check", 1);
    // Temporary data stays in memory: none on the disk, and no need for room there.
    setPragma(db, "temp_store", 2);
    prepare(db);
    return db;
  } catch (error) {
    db.close();
    throw error;
  }
}

/** Looks through a connection that cannot write: even closing a writing one would change the file. */
function refuseUntouched(file: string): void {
  const db = new Database(file, { readonly: true });
  try {
    assertNotNewer(db);
  } finally {
    db.close();
  }
}

function setPragma(db: Database.Database, name: string, value: number | string): void {
  db.pragma(`${name} = ${value}`);
  expectPragma(db, name, value);
}

function expectPragma(db: Database.Database, name: string, value: number | string): void {
  const actual = db.pragma(name, { simple: true });
  if (actual !== value) {
    throw new Error(`SQLite does not keep the setting ${name} = ${value}: it says ${actual}`);
  }
}
