import { type BenchContext, runRound } from "../bench-context.ts";
import { type Figure, printFigures, ratio } from "../figures.ts";
import { interleave } from "../interleave.ts";
import type { LoadResult } from "../load-job.ts";

const eightByEight = [8, 8] as const;

/** Envoy's Check of uniformly random keys, beside Authenticate of the same. */
export async function measureCheck(context: BenchContext): Promise<void> {
  const { authority, population } = context;
  const results = await interleave(context.rounds, {
    check: () => runRound(context, authority, eightByEight, { kind: "check", population }),
    authenticate: () => runRound(context, authority, eightByEight, { kind: "authenticate", population }),
  });
  printFigures("Envoy's Check of uniformly random live keys, 8×8, beside Authenticate", [
    ...figuresOf("Check", results.check),
    ...figuresOf("Authenticate", results.authenticate),
    ratio("Check: calls, of Authenticate's", rates(results.check), rates(results.authenticate)),
    ratio("Check: server CPU a call, of Authenticate's", cpus(results.check), cpus(results.authenticate)),
  ]);
}

function figuresOf(name: string, results: readonly LoadResult[]): readonly Figure[] {
  return [
    { name, unit: "calls/s", values: rates(results) },
    { name: `${name}: p99`, unit: "ms", values: results.map(({ p99Ms }) => p99Ms) },
    { name: `${name}: server CPU a call`, unit: "us", values: cpus(results) },
    { name: `${name}: load's core busy`, unit: "%", values: results.map(({ loadBusy }) => 100 * loadBusy) },
  ];
}

function rates(results: readonly LoadResult[]): readonly number[] {
  return results.map(({ callsPerSecond }) => callsPerSecond);
}

function cpus(results: readonly LoadResult[]): readonly number[] {
  return results.map(({ serverCpuUs }) => serverCpuUs);
}
