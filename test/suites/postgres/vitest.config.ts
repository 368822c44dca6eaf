import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const root = resolve(import.meta.dirname, "../../..");

/** Enough for a few servers at once. */
const neededBytes = 4 * 1024 ** 3;

/** Memory where there is enough, else the disk. Each fsync is asked for all the same. */
function temporaryDirectory(): string {
  try {
    const { bavail, bsize } = statfsSync("/dev/shm");
    return bavail * bsize > neededBytes ? "/dev/shm" : tmpdir();
  } catch {
    return tmpdir();
  }
}

/** Each file starts servers of its own, and waits for much of its time. */
export default defineConfig({
  root,
  test: {
    include: [join(import.meta.dirname, "*.test.ts")],
    pool: "forks",
    env: { TMPDIR: temporaryDirectory() },
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 50_000, interval: 5 } },
    teardownTimeout: 10_000,
  },
});
