// Measures the authority and prints what it found: see README.md. Asserts nothing.
//
//   npm run bench -- [--tokens 100000] [--rounds 5] [--round-ms 1000] [--seed bench] [--directory DIR]
//     [--only SCENARIO,…] [--large] [--before DIR]
import { mkdtempDisposableSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildLoad } from "./go/programs.ts";
import { startNodeLoad } from "./loads/node-load.ts";
import { copyData } from "./population/copy-data.ts";
import { writeKeyFile } from "./population/key-file.ts";
import { seed } from "./population/seed.ts";
import type { Population } from "./population/seeded-token.ts";
import { type BenchOptions, createContext, type Notes, type Scenario } from "./runner/bench-context.ts";
import { writeCertificates } from "./runner/certificates.ts";
import { formatNumber, isReached, printFigures } from "./runner/figures.ts";
import { describeMachine } from "./runner/machine.ts";
import { MissingError } from "./runner/missing-error.ts";
import type { Setup } from "./runner/way.ts";
import { largeScenarios, onlyWhenAsked, scenarios } from "./scenarios/scenarios.ts";

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "100000" },
    rounds: { type: "string", default: "5" },
    "round-ms": { type: "string", default: "1000" },
    seed: { type: "string", default: "bench" },
    directory: { type: "string", default: tmpdir() },
    only: { type: "string" },
    large: { type: "boolean", default: false },
    before: { type: "string" },
  },
});

const largeTokens = 10_000_000;
const hotKeys = 100;
/** Enough that no round meets a key that the authority still keeps from an earlier one by going round the file. */
const randomKeys = 500_000;

const rounds = wholeNumber("rounds", 1, 100);
const roundMs = wholeNumber("round-ms", 100, 60_000);
const population: Population = {
  tokens: values.large ? largeTokens : wholeNumber("tokens", 1000, 100_000_000),
  seed: values.seed,
  nowMs: Date.now(),
};
const chosen = chooseScenarios();

const run = new AsyncDisposableStack();
const interruption = new AbortController();
const interrupted = interruption.signal;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    // First, so that nothing writes to the directory while it is removed.
    interruption.abort();
    void run.disposeAsync().finally(() => process.exit(1));
  });
}
try {
  await measure();
} finally {
  await run.disposeAsync();
}

async function measure(): Promise<void> {
  const startMs = performance.now();
  const scratch = run.use(mkdtempDisposableSync(join(values.directory, "token-authority-bench-"))).path;
  console.log(`bench     ${process.argv.slice(2).join(" ")}; ${rounds} rounds of ${roundMs} ms`);
  console.log(describeMachine(scratch).join("\n"));
  console.log("figures   median, least and greatest of the rounds; ratios are of arms run in turn, round by round");
  const options: BenchOptions = {
    population,
    setup: prepareSetup(scratch),
    rounds,
    roundMs,
    interrupted,
    nodeLoads: {
      foreground: run.use(startNodeLoad("foreground")),
      background: run.use(startNodeLoad("background")),
    },
    laneLoad: await buildLoad().catch(onlyMissing),
    before: values.before === undefined ? null : resolve(values.before),
  };
  const notes: Notes = { failures: new Map(), leftOut: new Set(), judged: [] };
  const took: string[] = [];
  for (const [name, scenario] of chosen) {
    took.push(`${name} ${secondsSince(await runScenario(name, scenario, options, notes))}`);
  }
  printEnd(notes);
  console.log(`took ${secondsSince(startMs)} s: ${took.join(", ")}`);
}

/** Returns when it began. */
async function runScenario(name: string, scenario: Scenario, options: BenchOptions, notes: Notes): Promise<number> {
  const startMs = performance.now();
  await using servers = new AsyncDisposableStack();
  const context = createContext(name, options, notes, servers);
  try {
    await scenario(context);
  } catch (error) {
    context.leaveOut(`scenario ${name}`, error);
  }
  return startMs;
}

function prepareSetup(scratch: string): Setup {
  const startMs = performance.now();
  const directory = join(scratch, "data");
  const copy = join(scratch, "copy");
  const bytes = seed(directory, population);
  console.log(
    `seeded    ${formatNumber(population.tokens)} tokens in ${secondsSince(startMs)} s, ${formatNumber(bytes / 2 ** 20)} MiB (${formatNumber(bytes / population.tokens)} bytes a token)`,
  );
  copyData(directory, copy);
  const files = { hotKeys: join(scratch, "hot-keys"), randomKeys: join(scratch, "random-keys") };
  writeKeyFile(files.hotKeys, population, hotKeys);
  writeKeyFile(files.randomKeys, population, randomKeys);
  const [hotKey = ""] = readFileSync(files.hotKeys, "utf8").split("\n");
  return { directory, copy, scratch, ...files, hotKey, certificates: writeCertificates(scratch) };
}

function printEnd({ judged, leftOut, failures }: Notes): void {
  const reached = judged.filter(({ figure: { values, target } }) => target === undefined || isReached(values, target));
  for (const [title, some] of Map.groupBy(judged, (one) => one.title)) {
    printFigures(
      `Targets: ${title}`,
      some.map(({ figure }) => figure),
    );
  }
  console.log(`\n${reached.length} of ${judged.length} targets are reached`);
  for (const line of leftOut) {
    console.log(`\n${line}`);
  }
  const failed = [...failures].map(([what, count]) => `${count} with ${what}`);
  console.log(`\ncalls that failed: ${failed.length === 0 ? "none" : `${failed.join(", ")}: the figures are void`}`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

function chooseScenarios(): readonly (readonly [string, Scenario])[] {
  const all = Object.entries(scenarios);
  const wanted = values.only?.split(",");
  const unknown = wanted?.find((one) => !Object.hasOwn(scenarios, one));
  if (unknown !== undefined) {
    throw new Error(`--only: there is no scenario ${unknown}, but ${all.map(([name]) => name).join(", ")}`);
  }
  const usual = values.large ? largeScenarios : Object.keys(scenarios).filter((name) => !onlyWhenAsked.includes(name));
  return all.filter(([name]) => (wanted ?? usual).includes(name));
}

function onlyMissing(error: unknown): MissingError {
  if (error instanceof MissingError) {
    return error;
  }
  throw error;
}

function secondsSince(startMs: number): string {
  return formatNumber((performance.now() - startMs) / 1000);
}

function wholeNumber(name: "tokens" | "rounds" | "round-ms", min: number, max: number): number {
  const value = Number(values[name]);
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw new Error(`--${name}: must be a whole number from ${min} to ${max}`);
  }
  return value;
}
