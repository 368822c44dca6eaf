import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // They start processes, stop them for seconds, and measure: side by side they would disturb each other.
    fileParallelism: false,
  },
});
