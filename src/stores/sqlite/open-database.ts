import { accessSync, chmodSync, constants, copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import Database from "better-sqlite3";
import { ensurePrivateFile } from "./data-directory.ts";
import { assertNotNewer, assertOurs, type Migration, migrate, migrateBackup } from "./schema.ts";
import { isUnwritable } from "./sqlite-error.ts";

const busyTimeoutMs = 5000;
/**
 * The serving thread would rather answer an error than keep everybody waiting. Beside our own writer it never has to.
 */
const readerBusyTimeoutMs = 500;
const keptWalBytes = 16 * 1024 * 1024;

/**
 * Opens the one connection that writes, after making or migrating the database. Throws, and changes nothing, when it is
 * newer than this program.
 */
export function openWriterDatabase(file: string, migration: Migration = {}): Database.Database {
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
    migrate(db, migration);
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

/** A look at a database that another process may be serving. Disposed, it leaves nothing behind. */
export type Inspection = Disposable & { readonly db: Database.Database };

/**
 * Opens a database for a look that changes nothing of it, also where nothing can be written.
 *
 * A reader of a write-ahead log needs the log's index beside it. Where both are there, somebody serves the database, or
 * was killed: a connection that cannot write leaves them as they are. Where neither is, and they can be made, one that
 * could write but does not is what removes them again. Otherwise a private copy is looked at: nobody serves what has no
 * index.
 */
export function inspect(file: string): Inspection {
  const [hasWal, hasShm] = [existsSync(`${file}-wal`), existsSync(`${file}-shm`)];
  if (hasWal && hasShm) {
    try {
      return inspectionOf(open(file, true, assertOurs));
    } catch (error) {
      if (!isUnwritable(error)) {
        throw error;
      }
    }
  } else if (!hasWal && !hasShm && isWritable(file) && isWritable(dirname(file))) {
    return inspectionOf(
      open(file, false, (db) => {
        setPragma(db, "query_only", 1);
        assertOurs(db);
      }),
    );
  }
  return inspectCopy(file);
}

function inspectionOf(db: Database.Database): Inspection {
  return {
    db,
    [Symbol.dispose]() {
      db.close();
    },
  };
}

function inspectCopy(file: string): Inspection {
  const directory = mkdtempSync(join(tmpdir(), "token-authority-"));
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    const copy = join(directory, basename(file));
    for (const suffix of ["", "-wal"].filter((one) => existsSync(`${file}${one}`))) {
      copyFileSync(`${file}${suffix}`, `${copy}${suffix}`, constants.COPYFILE_FICLONE);
      chmodSync(`${copy}${suffix}`, 0o600);
    }
    const db = open(copy, false, assertOurs);
    return {
      db,
      [Symbol.dispose]() {
        db.close();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Opens a copy of a database that nobody else knows of, to make a backup of it or to restore it. It is one file: what
 * was copied from a write-ahead log's database does without one. A crash may leave it in any state.
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
    // Another program may have edited the schema, so the schema is not trusted to run functions.
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
