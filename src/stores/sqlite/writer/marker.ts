import { createHash, randomBytes } from "node:crypto";
import { closeSync, constants, fdatasync, fdatasyncSync, fstatSync, openSync, readFileSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type Database from "better-sqlite3";
import { emptyHead, type JournalHead } from "../../../authority/journal.ts";
import type { Log } from "../../../machine/log.ts";
import { syncDirectory } from "../../../machine/private-file.ts";
import { StartError } from "../../../machine/start-error.ts";
import { selectJournalHead } from "../journal-head.ts";
import { readAuthorityId } from "../store-identity.ts";
import { isFullDisk, systemCodeOf } from "../system-error.ts";
import { type FileIdentity, identify } from "../watched-files.ts";

/** What the marker says of a database: whose it is, that it has this change, and that this time has passed. */
export type Noted = {
  readonly authority: string;
  readonly revision: number;
  /** Lower-case hexadecimal. */
  readonly hash: string;
  /** The greatest time that was seen, in Unix milliseconds. */
  readonly timeMs: number;
};

/**
 * A small file in a place of its own, which knows what the database was last. It is how a start notices that the
 * database is gone, or is a copy from before: a copy of the data directory brings its revocation log along, and not the
 * marker.
 *
 * It is written after each commit and before its answers, so that it survives the end of the process, and flushed to
 * the disk once a second: of what a power cut takes from it, the revocation log still has every revocation.
 */
export type Marker = Disposable & {
  readonly identity: FileIdentity;
  /** Notes the newest change, and that this time has passed. A full disk leaves what was noted before. */
  note(head: JournalHead, timeMs: number): void;
  /** Begins to flush to the disk what was noted since the last time. */
  flush(): void;
};

/** Two notes, which are written in turn: a power cut spoils one of them at the most. */
const slots = 2;
const slotBytes = 512;

/** Reads the marker: null where there is none. Throws a StartError when it cannot be read, or is something else. */
export function readMarker(file: string): Noted | null {
  let text: string;
  try {
    text = readRegularFile(file);
  } catch (error) {
    if (systemCodeOf(error) === "ENOENT") {
      return null;
    }
    throw error instanceof StartError ? error : unusable(file, "read", error);
  }
  if (text === "") {
    return null;
  }
  const newest = newestIn(text);
  if (newest === null) {
    throw new StartError(`${file} is no marker of a token authority: set TOKEN_AUTHORITY_MARKER to another file`);
  }
  return newest;
}

/**
 * Throws a StartError unless this is the database that the marker tells of, as new as it says or newer: otherwise
 * revoked keys would live again. `noted` is null where there is no marker.
 */
export function requireNoted(file: string, noted: Noted | null, db: Database.Database, makeAnew: boolean): void {
  const head = selectJournalHead(db)() ?? emptyHead;
  if (noted === null) {
    if (head.revision > 0 && !makeAnew) {
      throw new StartError(
        `there is no marker ${file}, though the database ${db.name} has ${head.revision} changes: without it nobody knows whether this is an old copy, in which revoked keys would live again. Set TOKEN_AUTHORITY_MARKER to the marker; if this is the newest database, start once with --new-marker`,
      );
    }
    return;
  }
  if (makeAnew) {
    throw new StartError(`--new-marker: the marker ${file} is there: start without --new-marker`);
  }
  const what = `the marker ${file} tells of revision ${noted.revision}`;
  if (noted.authority !== readAuthorityId(db)) {
    throw new StartError(
      `${what} of another installation than the database ${db.name}: set TOKEN_AUTHORITY_MARKER to the marker of this one`,
    );
  }
  requireHistory(file, noted, db);
}

/**
 * Returns the name that a database from before markers shall have, which is the marker's. Makes the marker when there
 * is none; when there is one, a start was ended between this and the migration, or the database is a copy, and a
 * StartError says where they disagree.
 */
export function nameByMarker(file: string, noted: Noted | null, db: Database.Database, log: Log): string {
  if (noted !== null) {
    requireHistory(file, noted, db);
    return noted.authority;
  }
  const authority = randomBytes(16).toString("hex");
  const head = selectJournalHead(db)() ?? emptyHead;
  openMarker(file, authority, head, 0, () => {})[Symbol.dispose]();
  log.warn(
    { marker: file, revision: head.revision },
    "made the marker: the database is of a release that had none, so that this start could not tell whether it is an old copy",
  );
  return authority;
}

/** Throws a StartError unless the database has the change that the marker tells of. */
function requireHistory(file: string, noted: Noted, db: Database.Database): void {
  const head = selectJournalHead(db)() ?? emptyHead;
  const what = `the marker ${file} tells of revision ${noted.revision}`;
  if (noted.revision > head.revision) {
    throw new StartError(
      `${what}, and the database ${db.name} ends at ${head.revision}: this is an old copy, in which revoked keys would live again: put the newest back, or restore a backup with npm run restore`,
    );
  }
  const row = db
    .prepare<[number], { readonly hash: Uint8Array }>("SELECT hash FROM journal WHERE revision = ?")
    .get(noted.revision);
  const hash = row === undefined ? null : Buffer.from(row.hash).toString("hex");
  if (noted.revision > 0 && hash !== noted.hash) {
    throw new StartError(
      `${what}, and the database ${db.name} has ${hash === null ? "none" : "another one"}: this is a copy from before a restore, in which revoked keys would live again: put the newest back, or restore a backup with npm run restore`,
    );
  }
}

/** Opens the marker, or makes it, and notes the database as it is. The disk has it by the time this returns. */
export function openMarker(
  file: string,
  authority: string,
  head: JournalHead,
  timeMs: number,
  onError: (error: unknown) => void,
): Marker {
  const descriptor = openForWriting(file);
  let count = newestIn(readFileSync(file, "latin1"))?.count ?? 0;
  let noted: Noted | null = null;
  let isFlushed = true;
  let isFlushing = false;
  let isClosed = false;

  function note(newest: JournalHead, seenMs: number): void {
    const { revision, hash } = newest;
    const what = { authority, revision, hash: Buffer.from(hash).toString("hex"), timeMs: seenMs };
    if (what.hash === noted?.hash && seenMs === noted.timeMs) {
      return;
    }
    count += 1;
    try {
      writeSync(descriptor, slotOf({ ...what, count }), 0, slotBytes, (count % slots) * slotBytes);
      noted = what;
      isFlushed = false;
    } catch (error) {
      if (!isFullDisk(error)) {
        throw error;
      }
    }
  }

  try {
    note(head, timeMs);
    fdatasyncSync(descriptor);
    isFlushed = true;
    syncDirectory(dirname(file));
    const identity = identify(file);
    const { ino } = fstatSync(descriptor);
    if (identity.ino !== ino) {
      throw new StartError(`the marker ${file} was replaced during the start`);
    }
    return {
      identity,
      note,
      flush() {
        if (isFlushed || isFlushing) {
          return;
        }
        isFlushed = true;
        isFlushing = true;
        fdatasync(descriptor, (error) => {
          isFlushing = false;
          if (error !== null && !isClosed) {
            onError(error);
          }
        });
      },
      [Symbol.dispose]() {
        isClosed = true;
        fdatasyncSync(descriptor);
        closeSync(descriptor);
      },
    };
  } catch (error) {
    closeSync(descriptor);
    throw unusable(file, "written", error);
  }
}

/** Opening a pipe without O_NONBLOCK would wait for a writer. */
function readRegularFile(file: string): string {
  const descriptor = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(descriptor).isFile()) {
      throw new StartError(
        `the marker ${file} is no regular file: remove it, or set TOKEN_AUTHORITY_MARKER to another path`,
      );
    }
    return readFileSync(descriptor, "latin1");
  } finally {
    closeSync(descriptor);
  }
}

function openForWriting(file: string): number {
  try {
    return openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw unusable(file, "made", error);
  }
}

function newestIn(text: string): CountedNote | null {
  const notes = Array.from({ length: slots }, (_, slot) =>
    parseNote(text.slice(slot * slotBytes, (slot + 1) * slotBytes)),
  );
  return notes.filter((note) => note !== null).toSorted((a, b) => b.count - a.count)[0] ?? null;
}

type CountedNote = Noted & { readonly count: number };

function slotOf(note: CountedNote): Buffer {
  return Buffer.from(`${JSON.stringify({ ...note, check: checkOf(note) }).padEnd(slotBytes - 1)}\n`, "latin1");
}

/** Null when it is no note, or one that was written by half. */
function parseNote(text: string): CountedNote | null {
  try {
    const { check, ...note } = JSON.parse(text);
    return check === checkOf(note) ? note : null;
  } catch {
    return null;
  }
}

function checkOf({ count, authority, revision, hash, timeMs }: CountedNote): string {
  return createHash("sha256")
    .update(JSON.stringify([count, authority, revision, hash, timeMs]))
    .digest("hex")
    .slice(0, 16);
}

function unusable(file: string, what: "read" | "made" | "written", error: unknown): unknown {
  const code = systemCodeOf(error);
  return code === null
    ? error
    : new StartError(
        `the marker ${file} cannot be ${what} (${code}): set TOKEN_AUTHORITY_MARKER to a file that this user may write, outside the data directory`,
        { cause: error },
      );
}
