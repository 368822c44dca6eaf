import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";

/** Enough for the databases of a few tests at once, and for the room that the authority keeps free. */
const neededBytes = 4 * 1024 ** 3;

/** How tests run, in this process or with servers of their own: vitest's configurations begin with it. */
export const testSettings = {
  // Processes, not threads: the store starts worker threads of its own and holds locks that belong to a process.
  pool: "forks" as const,
  env: { TMPDIR: temporaryDirectory() },
  // What an event brings about comes late on a busy machine, and is looked for often on a quiet one.
  expect: { poll: { timeout: 50_000, interval: 5 } },
  teardownTimeout: 10_000,
  // A spy does not outlive its test.
  restoreMocks: true,
};

/**
 * Memory where there is enough, else the disk. Hundreds of tests open a database, and would wait for its disk half of
 * their time. Each fsync is asked for all the same; that a disk keeps what was synced is what `npm run suite:crash` and
 * `suite:backup` try.
 */
function temporaryDirectory(): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize > neededBytes ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir();
  }
}
