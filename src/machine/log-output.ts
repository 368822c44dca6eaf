import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { Socket } from "node:net";

const maxWaitingBytes = 1024 * 1024;
// Kept for lines that matter when all others have lost their room.
const reservedBytes = 4 * 1024 * 1024;
const chunkBytes = 64 * 1024;
const firstRetryMs = 10;
const lastRetryMs = 500;

/** Where lines of text go. Writing never waits and never throws: what finds no room is dropped and counted. */
export type LogOutput = {
  /** What `matters` is dropped only when 4 MiB of such lines wait as well. */
  write(line: string, matters: boolean): void;
  /** Lines dropped since the start. */
  dropped(): number;
  /** Resolves once all is written, or after `withinMs`. */
  flush(withinMs: number): Promise<void>;
};

/**
 * Opens a descriptor of the process for lines. When it takes nothing, be it that a disk is full, that nobody reads a
 * pipe, or that its reader went away, up to 1 MiB waits in memory and is tried again twice a second. `onResumed` hears
 * once of lines that were dropped, when there is room again.
 */
export function openLogOutput(descriptor: number, onResumed: (dropped: number) => void): LogOutput {
  const target = withoutWaiting(descriptor);
  const waiting: Buffer[] = [];
  let waitingBytes = 0;
  let dropped = 0;
  let told = 0;
  let retryMs = firstRetryMs;
  let isRetryDue = false;

  /** Writes what waits, as far as it goes; whether all of it went. */
  function writeWaiting(): boolean {
    while (waiting.length > 0) {
      const chunk = takeChunk();
      const written = tryToWrite(target, chunk);
      waitingBytes -= written;
      if (written > 0) {
        retryMs = firstRetryMs;
      }
      if (written < chunk.length) {
        // The rest of a line comes first: half a line would spoil the next one as well.
        waiting.unshift(chunk.subarray(written));
        return false;
      }
    }
    return true;
  }

  function takeChunk(): Buffer {
    let bytes = 0;
    let count = 0;
    while (count < waiting.length && (count === 0 || bytes + (waiting[count]?.length ?? 0) <= chunkBytes)) {
      bytes += waiting[count]?.length ?? 0;
      count += 1;
    }
    return Buffer.concat(waiting.splice(0, count));
  }

  function keep(bytes: Buffer): void {
    waiting.push(bytes);
    waitingBytes += bytes.length;
    tryAgainLater();
  }

  function tryAgainLater(): void {
    if (!isRetryDue) {
      isRetryDue = true;
      setTimeout(tryAgain, retryMs).unref();
    }
  }

  function tryAgain(): void {
    isRetryDue = false;
    if (writeWaiting()) {
      retryMs = firstRetryMs;
      tellOfDropped();
    } else {
      retryMs = Math.min(retryMs * 2, lastRetryMs);
      tryAgainLater();
    }
  }

  function tellOfDropped(): void {
    if (dropped > told) {
      const lines = dropped - told;
      told = dropped;
      onResumed(lines);
    }
  }

  return {
    write(line, matters) {
      const bytes = Buffer.from(line);
      if (waiting.length === 0) {
        const written = tryToWrite(target, bytes);
        if (written < bytes.length) {
          keep(bytes.subarray(written));
        }
      } else if (waitingBytes + bytes.length <= (matters ? maxWaitingBytes + reservedBytes : maxWaitingBytes)) {
        keep(bytes);
      } else {
        dropped += 1;
      }
    },
    dropped: () => dropped,
    async flush(withinMs) {
      const endMs = performance.now() + withinMs;
      while (!writeWaiting() && performance.now() < endMs) {
        await new Promise((resolve) => setTimeout(resolve, firstRetryMs));
      }
      if (waiting.length === 0) {
        tellOfDropped();
      }
    },
  };
}

/** How many bytes were taken: 0 when none are now, for whatever reason. */
function tryToWrite(descriptor: number, bytes: Buffer): number {
  try {
    return writeSync(descriptor, bytes);
  } catch {
    // EAGAIN, ENOSPC, EPIPE, EIO: each may pass, a pipe may be given another reader, and there is no other place to
    // tell of it.
    return 0;
  }
}

/** A descriptor of the same file whose writes do not wait for a reader. */
function withoutWaiting(descriptor: number): number {
  const stats = fstatSync(descriptor);
  if (stats.isFile()) {
    // Opened again, it would have another place to write at.
    return descriptor;
  }
  try {
    // A new open file of our own: the flag on the one that we were given would be seen by everybody who shares it.
    return openSync(`/proc/self/fd/${descriptor}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    // A socket, another user's pipe, or a system without /proc. libuv sets the flag on what it opens; Node puts it back
    // at the end.
    if (stats.isSocket() || stats.isFIFO()) {
      new Socket({ fd: descriptor, readable: false }).on("error", () => {});
    }
    return descriptor;
  }
}
