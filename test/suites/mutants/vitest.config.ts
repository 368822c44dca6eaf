import { defineConfig } from "vitest/config";

/** The tests of what is mutated, none of which starts a process or a thread of its own. */
export default defineConfig({
  test: {
    include: ["test/{authority,bearer,grpc}/**/*.test.ts", "test/connect/policy.test.ts"],
    // It sets the process' umask, which a thread cannot.
    exclude: ["test/authority/private-file.test.ts"],
    // A mutant is met by every test that reaches it: those that make thousands of tokens tell nothing more, and take minutes.
    testNamePattern: /^(?!.*(to 10,000, and no further|of 1000 at the most|ends a page at a MiB))/,
    testTimeout: 30_000,
    restoreMocks: true,
  },
});
