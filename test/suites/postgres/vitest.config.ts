import { join, resolve } from "node:path";
import { defineConfig } from "vitest/config";
import { testSettings } from "../../support/test-settings.ts";

const root = resolve(import.meta.dirname, "../../..");

/** Each file starts servers of its own, and waits for much of its time. */
export default defineConfig({
  root,
  test: {
    ...testSettings,
    include: [join(import.meta.dirname, "*.test.ts")],
    maxWorkers: 2,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
