// What Stryker mutates, and how. Run by `npm run suite:mutants`.

const bounded = [
  "src/authority/{caller,judge,key,page-token,permission,token,generational-cache}.ts",
  "src/calls/presented-key.ts",
  "src/calls/policy.ts",
  "src/doors/rpc/lanes/decode-authenticate-request.ts",
  "src/wire/protobuf/{field-text,grpc-timeout,wire-reader}.ts",
];
/** Their tests open stores, so that each mutant takes seconds. */
const slow = [
  "src/authority/{clock,delegated-tokens,delegation,key-index,last-use-recorder,sealer,token-authority,validation}.ts",
  "src/doors/gateway/decode-check-request.ts",
];

export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "test/suites/mutants/vitest.config.ts", related: false },
  mutate: process.env.STRYKER_WHOLE === undefined ? bounded : [...bounded, ...slow],
  ignorePatterns: [".cache", "docs", "examples", "bench"],
  // TypeScript 7 has no API that Stryker could read a tsconfig with: it finds none of this name.
  tsconfigFile: "no-tsconfig.json",
  coverageAnalysis: "perTest",
  concurrency: 2,
  reporters: ["json", "progress-append-only"],
  jsonReporter: { fileName: process.env.STRYKER_RESULTS ?? ".cache/stryker.json" },
  tempDirName: ".cache/stryker",
  cleanTempDir: "always",
  disableTypeChecks: false,
};
