import {
  closeSync,
  constants,
  existsSync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import type Database from "better-sqlite3";
import { emptyHead, type JournalHead, type MadeChange } from "../../../authority/journal.ts";
import { syncDirectory } from "../../../machine/private-file.ts";
import { StartError } from "../../../machine/start-error.ts";
import {
  firstLine,
  headLine,
  type JournalLine,
  parseJournalLine,
  takeawayLine,
} from "../../changes/revocation-line.ts";
import type { DataFiles } from "../data-directory.ts";
import { selectJournalHead } from "../journal-head.ts";
import { selectTakeaways } from "../made-changes.ts";
import { readAuthorityId } from "../store-identity.ts";
import { isFullDisk, systemCodeOf } from "../system-error.ts";
import type { StorageRoom } from "./storage-room.ts";

/**
 * Every change that takes something away from keys or gives it back, a line each, outside the database: what a restored
 * backup needs so that it brings no revoked key back to life.
 *
 * It is append-only. A takeaway stands in it before it is answered, so that it may be behind the journal, by what a
 * crash left unanswered, and is never ahead.
 */
export type RevocationLog = Disposable & {
  /**
   * Appends them, oldest first; they would survive a power cut once this returns. Throws when that cannot be, also when
   * the file is no longer at its place, or another program has written to it.
   */
  append(takeaways: readonly MadeChange[]): void;
  /** Notes how far the log reaches, when it is behind. A full disk is no reason to fail: nothing is lost without it. */
  noteHead(head: JournalHead): void;
  /** The same, once a minute at the most. */
  followHead(head: JournalHead): void;
};

/**
 * Zeros that are kept ahead of the last line: to write into them is one flush of the disk, where a file that grows
 * needs several.
 */
const aheadBytes = 64 * 1024;
/**
 * Longer than all lines of one commit and the zeros after them. What one write has left out in a power cut is in it.
 */
const tailBytes = 4 * 1024 * 1024;
const chunkRows = 256;
const followEveryMs = 60_000;

/**
 * Opens the log of a database, and appends what a crash has left out. A database without a change gets a new one.
 * Throws a StartError when the log tells of changes that the database does not have, and when there is no log though
 * the database has changes: then this is an old or another database, and revoked keys would live again. With
 * `makeAnew`, the log that is missing is made from the journal.
 *
 * On the disk of the database, a full disk gives up the ballast for it as well.
 */
export function openRevocationLog(
  files: Pick<DataFiles, "database" | "revocationLog">,
  db: Database.Database,
  room: Pick<StorageRoom, "noteFull" | "giveUpBallast">,
  monotonicMs: () => number,
  makeAnew: boolean,
): RevocationLog {
  const file = files.revocationLog;
  const head = selectJournalHead(db)() ?? emptyHead;
  const mayBeNew = makeAnew || head.revision === 0;
  finishRestore(file, db);
  if (!mayBeNew && sizeOf(file) === 0) {
    throw missing(file, head);
  }
  const descriptor = openForAppending(file);
  const sharesDisk = isOnDiskOf(file, files.database);

  function makeRoom(): boolean {
    room.noteFull();
    return sharesDisk && room.giveUpBallast();
  }

  try {
    const last = readLastLine(file, descriptor);
    if (last === null && !mayBeNew) {
      throw missing(file, head);
    }
    if (last !== null && makeAnew) {
      throw new StartError(`--new-log: the revocation log ${file} is there: start without --new-log`);
    }
    requireSameHistory(file, db, last);
    const log = createRevocationLog(file, descriptor, last?.revision ?? 0, makeRoom, monotonicMs);
    if (last === null) {
      log.begin(readAuthorityId(db));
    }
    appendMissing(file, db, last?.revision ?? 0, log);
    return log;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Where a restore makes the log of its database. */
export function unfinishedLog(file: string): string {
  return `${file}.unfinished`;
}

/**
 * A restore that was killed between giving the database its name and giving the log its own has left the log beside its
 * place.
 */
function finishRestore(file: string, db: Database.Database): void {
  const unfinished = unfinishedLog(file);
  if (existsSync(file) || !existsSync(unfinished)) {
    return;
  }
  const descriptor = openForAppending(unfinished);
  try {
    requireSameHistory(unfinished, db, readLastLine(unfinished, descriptor));
  } finally {
    closeSync(descriptor);
  }
  renameSync(unfinished, file);
  syncDirectory(dirname(file));
}

/** Whether the file is there and tells of a change. An unreadable file does not: opening it as a log says why. */
export function tellsOfChanges(file: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch {
    return false;
  }
  try {
    return fstatSync(descriptor).isFile() && (findLastLine(descriptor).line?.revision ?? 0) > 0;
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Whether a file is on the file system of the database: they may be lost together, or both come back from one old copy.
 */
export function isOnDiskOf(file: string, database: string): boolean {
  return statSync(file).dev === statSync(database).dev;
}

function missing(file: string, { revision }: JournalHead): StartError {
  return new StartError(
    `there is no revocation log ${file}, though the database has ${revision} changes: without it an old copy of the database would bring revoked keys back to life. Set TOKEN_AUTHORITY_REVOCATION_LOG to the log, or restore a backup with npm run restore; if the log is lost and this is the newest database, start once with --new-log`,
  );
}

function sizeOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0;
}

type OpenedLog = RevocationLog & {
  /** Writes the first line of a new log. */
  begin(authority: string): void;
};

function createRevocationLog(
  file: string,
  descriptor: number,
  lastRevision: number,
  makeRoom: () => boolean,
  monotonicMs: () => number,
): OpenedLog {
  let reached = lastRevision;
  const { dev, ino } = fstatSync(descriptor);
  let sizeBytes = fstatSync(descriptor).size;
  let roomBytes = sizeBytes;
  let followedAtMs = Number.NEGATIVE_INFINITY;

  /** No restore finds a line in a file that was moved away, or among the lines of another store. */
  function requireOurs(): void {
    const there = statSync(file, { throwIfNoEntry: false });
    if (there?.dev !== dev || there.ino !== ino || there.size !== roomBytes) {
      throw new Error(`the revocation log ${file} was moved, removed, or written to by somebody else`);
    }
  }

  function cutRoom(): void {
    ftruncateSync(descriptor, sizeBytes);
    roomBytes = sizeBytes;
  }

  function makeRoomAhead(bytes: number): void {
    if (sizeBytes + bytes <= roomBytes) {
      return;
    }
    try {
      writeAll(descriptor, Buffer.alloc(bytes + aheadBytes), sizeBytes);
      roomBytes = sizeBytes + bytes + aheadBytes;
    } catch (error) {
      cutRoom();
      if (!isFullDisk(error)) {
        throw error;
      }
    }
  }

  function write(lines: string, mayRetry: () => boolean): void {
    const bytes = Buffer.from(lines, "utf8");
    requireOurs();
    makeRoomAhead(bytes.length);
    try {
      writeAll(descriptor, bytes, sizeBytes);
    } catch (error) {
      // Half a line must not stay.
      cutRoom();
      if (!isFullDisk(error) || !mayRetry()) {
        throw error;
      }
      writeAll(descriptor, bytes, sizeBytes);
    }
    fdatasyncSync(descriptor);
    sizeBytes += bytes.length;
    // Without room ahead, the line made its own.
    roomBytes = Math.max(roomBytes, sizeBytes);
    // Again: a program that moves the file from now on, as a restore does, finds these lines in it.
    requireOurs();
  }

  function noteHead(head: JournalHead): void {
    if (head.revision <= reached) {
      return;
    }
    try {
      write(headLine(reached, head), () => false);
      reached = head.revision;
    } catch (error) {
      if (!isFullDisk(error)) {
        throw error;
      }
    }
  }

  return {
    begin(authority) {
      try {
        write(firstLine(authority), makeRoom);
      } catch (error) {
        throw unusable(file, "written", error);
      }
    },
    append(takeaways) {
      let after = reached;
      let lines = "";
      for (const change of takeaways) {
        lines += takeawayLine(after, change);
        after = change.revision;
      }
      if (lines !== "") {
        write(lines, makeRoom);
        reached = after;
      }
    },
    noteHead,
    followHead(head) {
      if (head.revision > reached && monotonicMs() - followedAtMs >= followEveryMs) {
        followedAtMs = monotonicMs();
        noteHead(head);
      }
    },
    [Symbol.dispose]() {
      cutRoom();
      closeSync(descriptor);
    },
  };
}

/** What a crash between a commit and its line has left out, or all of it when the log is new. */
function appendMissing(file: string, db: Database.Database, last: number, log: RevocationLog): void {
  const findAfter = selectTakeaways(db);
  try {
    let changes = findAfter(last, chunkRows);
    while (changes.length > 0) {
      log.append(changes);
      changes = findAfter(changes.at(-1)?.revision ?? 0, chunkRows);
    }
    log.noteHead(selectJournalHead(db)() ?? emptyHead);
  } catch (error) {
    throw unusable(file, "written", error);
  }
}

function openForAppending(file: string): number {
  const isNew = !existsSync(file);
  try {
    const descriptor = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    if (!fstatSync(descriptor).isFile()) {
      closeSync(descriptor);
      throw new StartError(`the revocation log ${file} is not a file`);
    }
    if (isNew) {
      syncDirectory(dirname(file));
    }
    return descriptor;
  } catch (error) {
    throw unusable(file, "opened", error);
  }
}

/**
 * Null when it has no line. Cuts off what a crash may have left at the end: half a line, or zeros where pages were not
 * written.
 */
function readLastLine(file: string, descriptor: number): JournalLine | null {
  const { line, tail, endsAtByte, sizeBytes } = findLastLine(descriptor);
  const isHalfOfTheFirst = endsAtByte === 0 && (tail.length === 0 || tail[0] === 0x7b);
  if (line === null && !isHalfOfTheFirst) {
    throw new StartError(`${file} is not a revocation log: its last line is none that this program writes`);
  }
  if (endsAtByte < sizeBytes) {
    ftruncateSync(descriptor, endsAtByte);
  }
  return line;
}

/** Looks for it in the last bytes of the file, before the zeros at its end; `tail` is what stands there. */
function findLastLine(descriptor: number): {
  readonly line: JournalLine | null;
  readonly tail: Buffer;
  readonly endsAtByte: number;
  readonly sizeBytes: number;
} {
  const { size: sizeBytes } = fstatSync(descriptor);
  const all = Buffer.alloc(Math.min(sizeBytes, tailBytes));
  readSync(descriptor, all, 0, all.length, sizeBytes - all.length);
  const zero = all.indexOf(0);
  const tail = zero === -1 ? all : all.subarray(0, zero);
  const end = tail.lastIndexOf("\n") + 1;
  const start = end < 2 ? 0 : tail.lastIndexOf("\n", end - 2) + 1;
  const line = parseJournalLine(tail.toString("utf8", start, end));
  return { line, tail, endsAtByte: sizeBytes - all.length + end, sizeBytes };
}

function requireSameHistory(file: string, db: Database.Database, last: JournalLine | null): void {
  if (last === null) {
    return;
  }
  if (last.authority !== null) {
    if (last.authority !== readAuthorityId(db)) {
      throw new StartError(
        `the revocation log ${file} is of another installation than the database: set TOKEN_AUTHORITY_REVOCATION_LOG to the log of this one`,
      );
    }
    return;
  }
  const row = db
    .prepare<[number], { readonly hash: Uint8Array }>("SELECT hash FROM journal WHERE revision = ?")
    .get(last.revision);
  if (row !== undefined && Buffer.from(row.hash).toString("hex") === last.hash) {
    return;
  }
  const what =
    row === undefined
      ? `tells of revision ${last.revision}, which the database does not have`
      : `tells of another revision ${last.revision} than the database`;
  throw new StartError(
    `the revocation log ${file} ${what}: this is an old or another database, in which revoked keys would live again: restore a backup with npm run restore, or set TOKEN_AUTHORITY_REVOCATION_LOG to the log of this database`,
  );
}

function writeAll(descriptor: number, bytes: Buffer, position: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += writeSync(descriptor, bytes, written, bytes.length - written, position + written);
  }
}

function unusable(file: string, what: "opened" | "written", error: unknown): unknown {
  const code = systemCodeOf(error);
  if (code === "ELOOP") {
    return new StartError(
      `the revocation log ${file} is a link: set TOKEN_AUTHORITY_REVOCATION_LOG to the file itself`,
    );
  }
  return code === null
    ? error
    : new StartError(`the revocation log ${file} cannot be ${what} (${code})`, { cause: error });
}
