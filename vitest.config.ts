import { defineConfig } from "vitest/config";
import { testSettings } from "./test/support/test-settings.ts";

export default defineConfig({
  test: {
    ...testSettings,
    // Beside its own, the pure ones of the TypeScript client's cache, which decides on keys: suite:clients runs all.
    include: ["test/**/*.test.ts", "clients/typescript/test/cache/*.test.ts"],
    // They start PostgreSQL: npm run suite:postgres runs them.
    exclude: ["test/suites/postgres/**"],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
