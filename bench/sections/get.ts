import { type BenchContext, runRound } from "../bench-context.ts";
import { printFigures } from "../figures.ts";
import { interleave } from "../interleave.ts";

/** Get of uniformly random ids, whatever their state, one at a time. */
export async function measureGet(context: BenchContext): Promise<void> {
  const { get } = await interleave(context.rounds, {
    get: () => runRound(context, context.authority, [1, 1], { kind: "get", population: context.population }),
  });
  printFigures("Get of uniformly random ids, one at a time", [
    { name: "p50", unit: "ms", values: get.map(({ p50Ms }) => p50Ms) },
    { name: "p99", unit: "ms", values: get.map(({ p99Ms }) => p99Ms) },
    { name: "rate", unit: "calls/s", values: get.map(({ callsPerSecond }) => callsPerSecond) },
    { name: "server CPU a call", unit: "us", values: get.map(({ serverCpuUs }) => serverCpuUs) },
  ]);
}
