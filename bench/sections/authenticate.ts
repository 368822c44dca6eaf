import { type BenchContext, runRound } from "../bench-context.ts";
import { type Figure, printFigures, ratio } from "../figures.ts";
import { interleave } from "../interleave.ts";
import type { LoadResult } from "../load-job.ts";

const oneByOne = [1, 1] as const;
const eightByEight = [8, 8] as const;

/** Authenticate of uniformly random keys, beside a node:http2 server that answers fixed bytes. */
export async function measureAuthenticate(context: BenchContext): Promise<void> {
  const { authority, echo } = context;
  const calls = { kind: "authenticate", population: context.population } as const;
  const results = await interleave(context.rounds, {
    authority1: () => runRound(context, authority, oneByOne, calls),
    echo1: () => runRound(context, echo, oneByOne, calls),
    authority64: () => runRound(context, authority, eightByEight, calls),
    echo64: () => runRound(context, echo, eightByEight, calls),
  });
  printFigures("Authenticate of uniformly random live keys (connections × calls at once)", [
    ...figuresOf("1×1", results.authority1),
    ...figuresOf("8×8", results.authority64),
    ...figuresOf("node:http2 echo, 1×1", results.echo1),
    ...figuresOf("node:http2 echo, 8×8", results.echo64),
    ratio("1×1: calls, of the echo's", rates(results.authority1), rates(results.echo1)),
    ratio("8×8: calls, of the echo's", rates(results.authority64), rates(results.echo64)),
    ratio("8×8: server CPU a call, of the echo's", cpus(results.authority64), cpus(results.echo64)),
  ]);
}

function figuresOf(name: string, results: readonly LoadResult[]): readonly Figure[] {
  return [
    { name, unit: "calls/s", values: rates(results) },
    { name: `${name}: p50`, unit: "ms", values: results.map(({ p50Ms }) => p50Ms) },
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
