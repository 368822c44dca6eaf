import type Database from "better-sqlite3";
import type { Log } from "../../../machine/log.ts";
import { isFatal } from "../sqlite-error.ts";

/**
 * About 8 MiB of pages. Fewer would be more fsyncs; from 4062 on the index of the WAL has to grow, which a full disk
 * makes fatal.
 */
const maxWaitingFrames = 2048;
const maxWaitingFramesWhenTight = 16;
/** Without such a reader it starts anew long before: this is 32 MiB. */
const maxKeptFrames = 4 * maxWaitingFrames;
/** Readers are short, so one that is in the way is gone soon. Nobody should wait for one that is not. */
const truncateTimeoutMs = 50;

type CheckpointRow = { readonly busy: number; readonly log: number; readonly checkpointed: number };

/**
 * Moves what the WAL holds into the database once it is much, so that the WAL starts anew and stays bounded. On a tight
 * disk, little is much. `markLong` hears whether readers are to be short from now on: at a quarter of that already, and
 * until the WAL has started anew.
 */
export function checkpointWhenLong(
  db: Database.Database,
  isTight: boolean,
  log: Log,
  markLong: (isLong: boolean) => void,
): void {
  const waiting = checkpoint(db, "NOOP");
  const much = isTight ? maxWaitingFramesWhenTight : maxWaitingFrames;
  markLong(waiting.log >= much / 4);
  if (waiting.log - waiting.checkpointed >= much) {
    tryCheckpoint(db, "PASSIVE", log);
  }
}

/**
 * Warns when the WAL grows and cannot start anew: all of it is kept as long as a reader needs what it held before.
 */
export function warnWhenHeld(db: Database.Database, log: Log): void {
  const { log: frames } = checkpoint(db, "NOOP");
  if (frames > maxKeptFrames) {
    log.warn({ frames }, "the write-ahead log grows: another program holds a read transaction on the database open");
  }
}

/** Moves everything into the database and empties the WAL: afterwards, what was erased is in no file. */
export function checkpointAll(db: Database.Database, log: Log): boolean {
  const timeoutBefore = db.pragma("busy_timeout", { simple: true });
  db.pragma(`busy_timeout = ${truncateTimeoutMs}`);
  try {
    return tryCheckpoint(db, "TRUNCATE", log);
  } finally {
    db.pragma(`busy_timeout = ${timeoutBefore}`);
  }
}

/** Throws only what is fatal: without a checkpoint the WAL keeps everything, and the next one does the work. */
function tryCheckpoint(db: Database.Database, mode: "PASSIVE" | "TRUNCATE", log: Log): boolean {
  try {
    return checkpoint(db, mode).busy === 0;
  } catch (error) {
    if (isFatal(error)) {
      throw error;
    }
    log.warn({ err: error }, "could not move the write-ahead log into the database");
    return false;
  }
}

function checkpoint(db: Database.Database, mode: string): CheckpointRow {
  const rows = db.pragma(`wal_checkpoint(${mode})`) as readonly CheckpointRow[];
  return rows[0] ?? { busy: 1, log: 0, checkpointed: 0 };
}
