/** What Stryker mutates, and how. Run by `npm run suite:mutants`. */
export default {
  testRunner: "vitest",
  plugins: ["@stryker-mutator/vitest-runner"],
  vitest: { configFile: "test/suites/mutants/vitest.config.ts", related: false },
  mutate: [
    "src/authority/{caller,clock,delegated-tokens,delegation,generational-cache,key-index,key,last-use-recorder}.ts",
    "src/authority/{page-token,permission,sealer,token-authority,token,validation}.ts",
    "src/bearer/presented-key.ts",
    "src/connect/policy.ts",
    "src/grpc/{decode-authenticate-request,decode-check-request,field-text,grpc-timeout,wire-reader}.ts",
  ],
  ignorePatterns: [".cache", "docs", "examples", "bench"],
  // TypeScript 7 has no API that Stryker could read a tsconfig with: it finds none of this name.
  tsconfigFile: "no-tsconfig.json",
  coverageAnalysis: "perTest",
  concurrency: 2,
  timeoutMS: 10_000,
  reporters: ["json", "progress-append-only"],
  jsonReporter: { fileName: process.env.STRYKER_RESULTS ?? ".cache/stryker.json" },
  tempDirName: ".cache/stryker",
  cleanTempDir: "always",
  disableTypeChecks: false,
};
