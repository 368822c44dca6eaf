import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runProgram } from "../../test/suites/support/run-program.ts";
import { authority } from "../baselines/authority.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { MissingError } from "../runner/missing-error.ts";
import { loadCore, pinned } from "../runner/pinned.ts";

/** A client's cache is measured in a process of its language: bench/cache/ says what each job prints. */
type CacheProgram = {
  readonly language: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Of the process that keeps a million keys. */
  readonly mostMiB: number;
};

const programs: readonly CacheProgram[] = [
  {
    language: "TypeScript",
    command: process.execPath,
    args: [fileURLToPath(new URL("../cache/typescript.ts", import.meta.url))],
    // 400 MB.
    mostMiB: 381,
  },
];

const rememberedKeys = 1_000_000;
const unknownKeys = 10_000_000;
const tracedHits = 100_000;
const timeoutMs = 10 * 60_000;

/** What a decision from the clients' memory costs, beside what it cannot cost less than and beside a call. */
export async function measureCache(context: BenchContext): Promise<void> {
  const server = await context.start(authority());
  for (const program of programs) {
    const { language, mostMiB } = program;
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
      { name: "memory with 1 000 000 keys kept", unit: "MiB", values: numbers(mib), target: { atMost: mostMiB } },
      {
        name: "memory while 10 000 000 unknown keys come, five looks",
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
  const line = [...under, program.command, ...program.args, ...args.map(String)];
  const [command = "", ...rest] = pinned(loadCore, line[0] ?? "", line.slice(1));
  const { exitCode, stdout, stderr } = await runProgram(command, rest, { timeoutMs });
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
