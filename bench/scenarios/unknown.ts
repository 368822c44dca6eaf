import { authority } from "../baselines/authority.ts";
import type { LaneResult } from "../loads/lane-load.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

/** Good hot keys, alone and beside as many well-formed keys that nobody has, each another. */
export async function measureUnknown(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  const server = await context.start(authority());
  const load = { headers: "differing", keys: "hot" } as const;
  const results = await interleave(context.rounds, {
    alone: () => context.authenticate(server, { ...load, shape: [4, 8] }),
    apart: () => context.authenticate(server, { ...load, shape: [8, 8], unknown: "connections" }),
    allGood: () => context.authenticate(server, { ...load, shape: [8, 8] }),
    mixed: () => context.authenticate(server, { ...load, shape: [8, 8], unknown: "calls" }),
  });
  const { alone, apart, allGood, mixed } = results;
  context.print("Good keys beside unknown ones, differing headers", [
    ...figuresOf("good keys alone, 4×8", alone),
    ...figuresOf("good keys, 4×8, beside unknown ones on 4×8 more", apart),
    { name: "the unknown ones", unit: "calls/s", values: apart.map(({ unknown }) => unknown.callsPerSecond) },
    ...figuresOf("good keys alone, 8×8", allGood),
    ...figuresOf("good keys, 8×8, when every second call has an unknown one", mixed),
    ratio("beside them: rate of good keys, of alone", rates(apart), rates(alone), { atLeast: 0.5 }),
    ratio("beside them: p99 of good keys, of alone", p99s(apart), p99s(alone), { atMost: 2 }),
    ratio("every second call: rate of good keys, of 8×8 alone", rates(mixed), rates(allGood)),
    ratio("every second call: p99 of good keys, of 8×8 alone", p99s(mixed), p99s(allGood)),
  ]);
}

function figuresOf(name: string, results: readonly LaneResult[]): readonly Figure[] {
  return [
    { name, unit: "calls/s", values: rates(results) },
    { name: `${name}: p99`, unit: "us", values: p99s(results) },
  ];
}

function rates(results: readonly LaneResult[]): readonly number[] {
  return results.map(({ known }) => known.callsPerSecond);
}

function p99s(results: readonly LaneResult[]): readonly number[] {
  return results.map(({ known }) => known.p99Us);
}
