import { authority } from "../baselines/authority.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { interleave } from "../runner/interleave.ts";

/** Get of uniformly random ids, whatever their state, one at a time. */
export async function measureGet(context: BenchContext): Promise<void> {
  const server = await context.start(authority());
  const calls = { kind: "get", population: context.population } as const;
  const { get } = await interleave(context.rounds, { get: () => context.call(server, { shape: [1, 1], calls }) });
  context.print("Get of uniformly random ids, one at a time", [
    { name: "p50", unit: "ms", values: get.map(({ p50Ms }) => p50Ms) },
    { name: "p99", unit: "ms", values: get.map(({ p99Ms }) => p99Ms) },
    { name: "rate", unit: "calls/s", values: get.map(({ callsPerSecond }) => callsPerSecond) },
    { name: "server CPU a call", unit: "us", values: get.map(({ serverCpuUs }) => serverCpuUs) },
  ]);
}
