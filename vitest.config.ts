import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Processes, not threads: the store starts worker threads of its own and holds locks that belong to a process.
    pool: "forks",
    testTimeout: 10_000,
    hookTimeout: 20_000,
    teardownTimeout: 10_000,
    // A test that leaves spies behind or prints noise is a fault in the test.
    restoreMocks: true,
  },
});
