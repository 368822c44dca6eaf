import { join, resolve } from "node:path";
import { defineConfig } from "vitest/config";

const root = resolve(import.meta.dirname, "../../..");

/** One file after the other: each starts servers of its own. */
export default defineConfig({
  root,
  test: {
    include: [join(import.meta.dirname, "*.test.ts")],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 50_000, interval: 5 } },
    teardownTimeout: 10_000,
  },
});
