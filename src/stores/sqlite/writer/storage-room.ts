import { randomFillSync } from "node:crypto";
import { closeSync, fsyncSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { Log } from "../../../machine/log.ts";
import { type DataFiles, readFreeBytes } from "../data-directory.ts";

export const ballastBytes = 8 * 1024 * 1024;

const pieceBytes = 1024 * 1024;
const freeBytesTrustedMs = 1000;
const tightMs = 10_000;
const startBytes = 1024 * 1024;
/** How often it is tried to put the ballast back. */
export const ballastRetryMs = 10_000;

/**
 * Watches over the room on the disk, so that a revocation always fits.
 *
 * The ballast is a file that takes room and can give it up. While it is not in place nothing is created: what it gave
 * up is for revocations.
 */
export type StorageRoom = {
  /** Before the database is opened, which takes some room itself: gives up the ballast when there is next to none. */
  makeRoomToStart(): void;
  /** Whether it is too late to create tokens. Looks at the disk at most once a second. */
  isLow(): boolean;
  /** Remembers that the disk was full just now. */
  noteFull(): void;
  /**
   * Whether the disk was full a moment ago, or the ballast is gone: what is written should take up no more room than it
   * must.
   */
  isTight(): boolean;
  hasBallast(): boolean;
  /** Gives up the ballast; false when there was none to give. */
  giveUpBallast(): boolean;
  /** Puts the ballast back when there is room for it again. Tries at most every 10 seconds. */
  restoreBallast(): void;
};

/**
 * `monotonicMs` tells how much time has passed. The revocation log may lie on another disk, which must not fill up
 * either.
 */
export function createStorageRoom(
  files: DataFiles,
  minFreeBytes: number,
  monotonicMs: () => number,
  log: Log,
): StorageRoom {
  let freeBytes = 0;
  let lookedAtMs = Number.NEGATIVE_INFINITY;
  let wasFullAtMs = Number.NEGATIVE_INFINITY;
  let triedAtMs = Number.NEGATIVE_INFINITY;
  let hasWarned = false;
  let isBallastThere = hasSize(files.ballast, ballastBytes);

  function lookAtFreeBytes(): number {
    if (monotonicMs() - lookedAtMs >= freeBytesTrustedMs) {
      freeBytes = Math.min(readFreeBytes(files.directory), readFreeBytes(dirname(files.revocationLog)));
      lookedAtMs = monotonicMs();
    }
    return freeBytes;
  }

  function warnOnce(fields: object, message: string): void {
    if (!hasWarned) {
      hasWarned = true;
      log.warn(fields, message);
    }
  }

  function giveUpBallast(): boolean {
    if (!isBallastThere) {
      return false;
    }
    rmSync(files.ballast, { force: true });
    isBallastThere = false;
    log.warn({ ballastBytes }, "the disk is full: gave up the reserve, no tokens are created until there is room");
    return true;
  }

  return {
    makeRoomToStart() {
      if (readFreeBytes(files.directory) < startBytes) {
        giveUpBallast();
      }
    },

    isLow() {
      return !isBallastThere || lookAtFreeBytes() < minFreeBytes;
    },

    noteFull() {
      lookedAtMs = Number.NEGATIVE_INFINITY;
      wasFullAtMs = monotonicMs();
    },

    isTight() {
      return !isBallastThere || monotonicMs() - wasFullAtMs < tightMs;
    },

    hasBallast() {
      return isBallastThere;
    },

    giveUpBallast,

    restoreBallast() {
      if (isBallastThere || monotonicMs() - triedAtMs < ballastRetryMs) {
        return;
      }
      triedAtMs = monotonicMs();
      if (readFreeBytes(files.directory) < ballastBytes + Math.max(minFreeBytes, pieceBytes)) {
        warnOnce({ ballastBytes, minFreeBytes }, "the disk has no room for the reserve: no tokens are created");
        return;
      }
      try {
        writeBallast(files.ballast);
        isBallastThere = true;
        hasWarned = false;
        log.info({ ballastBytes }, "the reserve on the disk is in place");
      } catch (error) {
        rmSync(files.ballast, { force: true });
        warnOnce({ err: error }, "could not write the reserve on the disk: no tokens are created");
      } finally {
        lookedAtMs = Number.NEGATIVE_INFINITY;
      }
    },
  };
}

function writeBallast(path: string): void {
  rmSync(path, { force: true });
  const descriptor = openSync(path, "wx", 0o600);
  try {
    // Random bytes take their room also where the file system compresses.
    const piece = Buffer.alloc(pieceBytes);
    for (let written = 0; written < ballastBytes; ) {
      written += writeSync(descriptor, randomFillSync(piece), 0, Math.min(pieceBytes, ballastBytes - written));
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function hasSize(path: string, bytes: number): boolean {
  return statSync(path, { throwIfNoEntry: false })?.size === bytes;
}
