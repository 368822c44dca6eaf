import { defineConfig } from "vitest/config";

const bounded = [
  "test/authority/{caller,generational-cache,judge,key,page-token,permission,token}.test.ts",
  "test/bearer/*.test.ts",
  "test/connect/policy.test.ts",
  "test/grpc/{check-wire,decode-authenticate-request,encode-authenticate-response,grpc-timeout,wire-reader}.test.ts",
];
const whole = ["test/{authority,bearer,grpc}/**/*.test.ts", "test/connect/policy.test.ts"];

/** The tests of what is mutated. Stryker runs them in threads, beside one another. */
export default defineConfig({
  test: {
    include: process.env.STRYKER_WHOLE === undefined ? bounded : whole,
    // It sets the process' umask, which a thread cannot.
    exclude: ["test/machine/private-file.test.ts"],
    // A mutant is met by every test that reaches it: those of thousands of tokens, or of time, tell nothing more, and
    // take minutes.
    testNamePattern: /^(?!.*(to 10,000, and no further|of 1000 at the most|ends a page at a MiB|in linear time))/,
    testTimeout: 30_000,
    restoreMocks: true,
  },
});
