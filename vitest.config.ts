import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Processes, not threads: the store starts worker threads of its own and holds locks that belong to a process.
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // What an event brings about comes late on a busy machine, and is looked for often on a quiet one.
    expect: { poll: { timeout: 50_000, interval: 5 } },
    teardownTimeout: 10_000,
    // A spy does not outlive its test.
    restoreMocks: true,
  },
});
