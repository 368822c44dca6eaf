// Measures the authority and prints what it found: see README.md. Asserts nothing.
//
//   npm run bench -- [--tokens 100000] [--rounds 5] [--round-ms 1000] [--seed bench] [--directory DIR] [--only SECTION,…]
import { constants, copyFileSync, mkdtempDisposableSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dataFiles, prepareDataDirectory } from "../src/sqlite/data-directory.ts";
import type { BenchContext } from "./bench-context.ts";
import { formatNumber, printFigures } from "./figures.ts";
import { startLoadGenerator } from "./load-generator.ts";
import { describeMachine } from "./machine.ts";
import { measureAuthenticate } from "./sections/authenticate.ts";
import { measureBeside } from "./sections/beside.ts";
import { measureCheck } from "./sections/check.ts";
import { measureCreate } from "./sections/create.ts";
import { measureGet } from "./sections/get.ts";
import { measureHot } from "./sections/hot.ts";
import { measureList } from "./sections/list.ts";
import { measureStart } from "./sections/start.ts";
import { seed } from "./seed.ts";
import type { Population } from "./seeded-token.ts";
import { type ProcessMemory, startAuthority, startEcho } from "./server-process.ts";

/** In this order: the later ones change the database. */
const sections = {
  hot: measureHot,
  authenticate: measureAuthenticate,
  check: measureCheck,
  get: measureGet,
  list: measureList,
  beside: measureBeside,
  create: measureCreate,
} satisfies Record<string, (context: BenchContext) => Promise<void>>;

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "100000" },
    rounds: { type: "string", default: "5" },
    "round-ms": { type: "string", default: "1000" },
    seed: { type: "string", default: "bench" },
    directory: { type: "string", default: tmpdir() },
    only: { type: "string" },
  },
});

const rounds = wholeNumber("rounds", 1, 100);
const roundMs = wholeNumber("round-ms", 100, 60_000);
const population: Population = {
  tokens: wholeNumber("tokens", 1000, 100_000_000),
  seed: values.seed,
  nowMs: Date.now(),
};
const chosen = chooseSections(values.only);

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
  console.log(
    `bench     npm run bench -- --tokens ${population.tokens} --rounds ${rounds} --round-ms ${roundMs}${only()}`,
  );
  console.log(describeMachine(scratch).join("\n"));
  console.log("figures   median, least and greatest of the rounds; ratios are of arms run in turn, round by round");

  const directory = join(scratch, "data");
  const copy = seedTwice(directory, join(scratch, "copy"));
  await measureStart(directory, scratch, population, rounds, interrupted);

  const failures: Record<string, number> = {};
  let current = "";
  const authority = run.use(await startAuthority(directory, interrupted));
  const context: BenchContext = {
    population,
    rounds,
    roundMs,
    copy,
    authority,
    echo: run.use(await startEcho(interrupted)),
    load: run.use(startLoadGenerator("foreground")),
    backgroundLoad: run.use(startLoadGenerator("background")),
    noteFailures(some) {
      for (const [what, count] of Object.entries(some)) {
        const where = `${what} in ${current}`;
        failures[where] = (failures[where] ?? 0) + count;
      }
    },
  };
  const memory: (readonly [string, ProcessMemory])[] = [["after start", authority.memory()]];
  for (const name of chosen) {
    current = name;
    await sections[name](context);
    memory.push([`after ${name}`, authority.memory()]);
  }
  printMemory(memory);

  const failed = Object.entries(failures).map(([what, count]) => `${count} with ${what}`);
  console.log(`\ncalls that failed: ${failed.length === 0 ? "none" : `${failed.join(", ")}: the figures are void`}`);
  console.log(`took ${formatNumber((performance.now() - startMs) / 1000)} s`);
  process.exitCode = failed.length === 0 ? 0 : 1;
}

/** One for the server, and one for what must be measured without it. Returns the second. */
function seedTwice(directory: string, copy: string): string {
  const startMs = performance.now();
  const bytes = seed(directory, population);
  const seconds = (performance.now() - startMs) / 1000;
  prepareDataDirectory(copy);
  copyFileSync(dataFiles(directory).database, dataFiles(copy).database, constants.COPYFILE_FICLONE);
  console.log(
    `seeded    ${formatNumber(population.tokens)} tokens in ${formatNumber(seconds)} s, ${formatNumber(bytes / 2 ** 20)} MiB (${formatNumber(bytes / population.tokens)} bytes a token)`,
  );
  return copy;
}

function printMemory(memory: readonly (readonly [string, ProcessMemory])[]): void {
  const names = { anonymousMib: "RssAnon", residentMib: "VmRSS", peakMib: "peak (VmHWM)" } as const;
  printFigures(
    "Memory of the authority",
    memory.flatMap(([when, figures]) =>
      (["anonymousMib", "residentMib", "peakMib"] as const).map((one) => ({
        name: `${when}: ${names[one]}`,
        unit: "MiB",
        values: [figures[one]],
      })),
    ),
  );
}

function chooseSections(text: string | undefined): readonly (keyof typeof sections)[] {
  const all = Object.keys(sections) as (keyof typeof sections)[];
  const wanted = text?.split(",");
  const unknown = wanted?.find((one) => !all.some((name) => name === one));
  if (unknown !== undefined) {
    throw new Error(`--only: there is no section ${unknown}, but ${all.join(", ")}`);
  }
  return all.filter((name) => wanted?.includes(name) ?? true);
}

function only(): string {
  return values.only === undefined ? "" : ` --only ${values.only}`;
}

function wholeNumber(name: "tokens" | "rounds" | "round-ms", min: number, max: number): number {
  const value = Number(values[name]);
  if (!(Number.isInteger(value) && value >= min && value <= max)) {
    throw new Error(`--${name}: must be a whole number from ${min} to ${max}`);
  }
  return value;
}
