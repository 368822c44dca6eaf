import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { installPythonClient } from "../../test/suites/clients/python.ts";
import { runProgram } from "../../test/suites/support/run-program.ts";
import { authority } from "../baselines/authority.ts";
import { buildCacheFigures } from "../go/programs.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { MissingError } from "../runner/missing-error.ts";
import { loadCore, pinned } from "../runner/pinned.ts";

/** A client's cache is measured in a process of its language: bench/cache/typescript.ts says what each job prints. */
type CacheProgram = {
  readonly language: string;
  /** The command line of a job, and what it needs in the environment. */
  readonly command: (job: readonly string[]) => { readonly line: readonly string[]; readonly env: Environment };
  /** Of the process that keeps a million keys; null for no bound. */
  readonly mostMiB: number | null;
  /** How many come: as many as a few minutes hold. */
  readonly unknownKeys: number;
};

type Environment = Readonly<Record<string, string>>;

const typeScript: CacheProgram = {
  language: "TypeScript",
  command: (job) => ({
    line: [process.execPath, fileURLToPath(new URL("../cache/typescript.ts", import.meta.url)), ...job],
    env: {},
  }),
  // 400 MB.
  mostMiB: 381,
  unknownKeys: 10_000_000,
};

async function prepareGo(scratch: string): Promise<CacheProgram> {
  const program = await buildCacheFigures(scratch);
  return {
    language: "Go",
    command: (job) => ({ line: [program], env: { CACHE_FIGURES: job.join(" ") } }),
    // 250 MB.
    mostMiB: 238,
    unknownKeys: 10_000_000,
  };
}

async function preparePython(): Promise<CacheProgram> {
  const interpreter = await installPythonClient();
  return {
    language: "Python",
    command: (job) => ({
      line: [interpreter, fileURLToPath(new URL("../cache/python.py", import.meta.url)), ...job],
      env: { PYTHONPATH: fileURLToPath(new URL("../../clients/python/src", import.meta.url)) },
    }),
    mostMiB: null,
    unknownKeys: 1_000_000,
  };
}

const rememberedKeys = 1_000_000;
const tracedHits = 100_000;
const timeoutMs = 10 * 60_000;

/** What a decision from the clients' memory costs, beside what it cannot cost less than and beside a call. */
export async function measureCache(context: BenchContext): Promise<void> {
  const server = await context.start(authority());
  const preparations = {
    TypeScript: () => typeScript,
    Go: () => prepareGo(context.setup.scratch),
    Python: preparePython,
  };
  for (const [language, prepare] of Object.entries(preparations)) {
    let program: CacheProgram;
    try {
      program = await prepare();
    } catch (error) {
      context.leaveOut(`the cache of the ${language} client`, error);
      continue;
    }
    const { mostMiB, unknownKeys } = program;
    const { rounds, roundMs, setup } = context;
    const place = [server.address, setup.randomKeys];
    const { bare = [], bareLater = [], hit = [], rpc = [] } = await run(program, ["decide", ...place, rounds, roundMs]);
    const hits = await countSystemCalls(context, program, place);
    const { mib } = await run(program, ["remember", rememberedKeys]);
    const flood = await run(program, ["flood", unknownKeys]);
    context.print(`The cache of the ${language} client, 1 000 hot keys`, [
      cpu("SHA-256 and a map, called directly", bare),
      cpu("SHA-256 and a map, behind a function like the client's", bareLater),
      cpu("a decision from memory", hit),
      cpu("a decision by a call, 8 at once", rpc),
      ratio("a decision from memory, of SHA-256 and a map behind such a function", hit, bareLater, { atMost: 1.5 }),
      ratio("a decision from memory, of SHA-256 and a map called directly", hit, bare),
      ratio("a call, of a decision from memory", rpc, hit, { atLeast: 50 }),
      ...hits,
      {
        name: "memory with 1 000 000 keys kept",
        unit: "MiB",
        values: numbers(mib),
        ...(mostMiB === null ? {} : { target: { atMost: mostMiB } }),
      },
      {
        name: `memory while ${unknownKeys / 1_000_000} 000 000 unknown keys come, five looks`,
        unit: "MiB",
        values: numbers(flood.mib),
      },
      cpu("a good key's decision before and between", flood.hitUs),
    ]);
  }
}

function cpu(name: string, values: readonly number[] | number | undefined): Figure {
  return { name, unit: "us", values: numbers(values) };
}

function numbers(values: readonly number[] | number | undefined): readonly number[] {
  return typeof values === "number" ? [values] : (values ?? []);
}

type Printed = Readonly<Record<string, readonly number[]>> & { readonly mib: readonly number[] | number };

async function run(program: CacheProgram, args: readonly (string | number)[], under: readonly string[] = []) {
  const { line, env } = program.command(args.map(String));
  const [command = "", ...rest] = [...under, ...line];
  const [pinner = "", ...pinnedRest] = pinned(loadCore, command, rest);
  const { exitCode, stdout, stderr } = await runProgram(pinner, pinnedRest, { timeoutMs, env });
  if (exitCode !== 0) {
    throw new Error(`${program.language}: ${args[0]} ended with ${exitCode}: ${stderr.slice(-2_000)}`);
  }
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Printed;
}

/** System calls of the thread that decides, between the program's two marks. */
async function countSystemCalls(context: BenchContext, program: CacheProgram, place: readonly string[]) {
  const trace = join(context.setup.scratch, `${program.language}.strace`);
  try {
    await run(program, ["hits", ...place, tracedHits], ["strace", "--output", trace]);
  } catch (error) {
    if (existsSync(trace)) {
      throw error;
    }
    context.leaveOut("system calls of a decision", new MissingError("strace"));
    return [];
  }
  const lines = readFileSync(trace, "utf8").split("\n");
  const [from, to] = ["/the-hits-begin", "/the-hits-end"].map((mark) => lines.findIndex((one) => one.includes(mark)));
  const calls = (to ?? 0) - (from ?? 0) - 1;
  return [
    {
      name: "system calls a decision from memory, of 100 000",
      unit: "",
      values: [calls / tracedHits],
      target: { atMost: 0.001 },
    },
  ];
}
