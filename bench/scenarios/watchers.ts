import { setTimeout as sleep } from "node:timers/promises";
import { authority } from "../baselines/authority.ts";
import type { LoadResult } from "../loads/node-load-job.ts";
import { startWatchers } from "../loads/watchers.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { cpuTimeUs } from "../runner/cpu-time.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

const many = 1_000;
const connections = 50;
const few = 3;
/** Long enough for each gateway to renew its lease ten times. */
const quietMs = 5_000;
const maxRevokes = 150;
const settleMs = 1_000;

/** What gateways cost that watch an authority and ask for nothing, and how long a Revoke waits for them. */
export async function measureWatchers(context: BenchContext): Promise<void> {
  for (const threads of [1, few]) {
    await measureFew(context, threads);
  }
  await measureMany(context);
}

async function measureFew(context: BenchContext, threads: number): Promise<void> {
  const server = await context.start(authority({ settings: { THREADS: String(threads) } }), "any");
  const results = await interleave(context.rounds, {
    none: (round) => revokes(context, server, 2 * round, threads),
    few: async (round) => {
      await using _gateways = await startWatchers(server.address, few, few);
      return await revokes(context, server, 2 * round + 1, threads);
    },
  });
  const p99s = (some: readonly LoadResult[]) => some.map(({ p99Ms }) => p99Ms);
  context.print(`Revoke, 1×1, with ${threads} serving thread${threads === 1 ? "" : "s"}`, [
    ...latencies("nobody watches", results.none),
    ...latencies("three gateways", results.few, 30),
    ratio("p99 with three gateways, of nobody", p99s(results.few), p99s(results.none), { atMost: 3 }),
  ]);
  await server[Symbol.asyncDispose]();
}

async function measureMany(context: BenchContext): Promise<void> {
  const server = await context.start(authority({ directory: "copy" }), "any");
  // So that what calls cost once is not taken for the watchers' memory.
  await revokes(context, server, 0, 0);
  const results = await interleave(context.rounds, {
    many: async (round) => {
      const before = server.memory().anonymousMib;
      await using _gateways = await startWatchers(server.address, many, connections);
      await sleep(settleMs);
      const cpuBefore = cpuTimeUs(server.pid);
      const startMs = performance.now();
      await sleep(quietMs);
      const share = (cpuTimeUs(server.pid) - cpuBefore) / 1_000 / (performance.now() - startMs);
      const kib = ((server.memory().anonymousMib - before) * 1_024) / many;
      return { share: 100 * share, kib, ...(await revokes(context, server, round + 1, 0)) };
    },
  });
  context.print(`${many} gateways that watch, over ${connections} connections`, [
    {
      name: "CPU of the authority while nobody asks",
      unit: "% of a core",
      values: results.many.map(({ share }) => share),
      target: { atMost: 15 },
    },
    {
      name: "memory a gateway",
      unit: "KiB",
      // What the first ones took is there for the others.
      values: [Math.max(...results.many.map(({ kib }) => kib))],
      target: { atMost: 64 },
    },
    { name: "CPU of the authority, a Revoke", unit: "ms", values: results.many.map((one) => one.serverCpuUs / 1_000) },
    ...latencies("Revoke", results.many, 100),
  ]);
}

/** Some tokens, each once: each part and series has tokens of its own. */
async function revokes(context: BenchContext, server: RunningWay, part: number, series: number): Promise<LoadResult> {
  const { population, rounds } = context;
  const parts = 8 * (rounds + 1);
  const first = Math.floor((population.tokens / parts) * (part + 2 * (rounds + 1) * series));
  const maxCalls = Math.min(maxRevokes, Math.floor((population.tokens / parts) * 0.5));
  return await context.call(server, { shape: [1, 1], calls: { kind: "revoke", population, first }, maxCalls });
}

function latencies(name: string, results: readonly LoadResult[], mostMs?: number): readonly Figure[] {
  return [
    { name: `${name}: p50`, unit: "ms", values: results.map(({ p50Ms }) => p50Ms) },
    {
      name: `${name}: p99`,
      unit: "ms",
      values: results.map(({ p99Ms }) => p99Ms),
      ...(mostMs === undefined ? {} : { target: { atMost: mostMs } }),
    },
    { name: `${name}: calls`, unit: "", values: results.map(({ calls }) => calls) },
  ];
}
