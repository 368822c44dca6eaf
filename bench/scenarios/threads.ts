import { authority } from "../baselines/authority.ts";
import type { LaneResult, Shape } from "../loads/lane-load.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpus } from "./cost.ts";

/** One serving thread and two, each process on all cores: the load has one of them to share. */
export async function measureThreads(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  const one = await context.start(authority(), "any");
  const two = await context.start(authority({ directory: "copy", settings: { THREADS: "2" } }), "any");
  const load = (shape: Shape) => ({ shape, headers: "differing", keys: "hot" }) as const;
  const results = await interleave(context.rounds, {
    one: () => context.authenticate(one, load([8, 8])),
    two: () => context.authenticate(two, load([8, 8])),
    twoConnections: () => context.authenticate(two, load([2, 8])),
  });
  context.print("Two threads, all cores, differing headers", [
    ...costFigures("one thread, 8×8", results.one),
    ...costFigures("two threads, 8×8", results.two),
    ...costFigures("two threads, 2×8", results.twoConnections),
    ratio("8×8: CPU a call with two threads, of one", cpus(results.two), cpus(results.one), { atMost: 1.1 }),
    { name: "8 connections: part of the busier thread (50 is even)", unit: "%", values: spread(results.two) },
    {
      name: "2 connections: part of the busier thread (50 is even)",
      unit: "%",
      values: spread(results.twoConnections),
    },
  ]);
}

/**
 * Of the work of the two busiest threads, which are those that serve, what the busier did. Each round has new
 * connections.
 */
function spread(results: readonly LaneResult[]): readonly number[] {
  return results.map(({ threadShares: [first = 0, second = 0] }) => (100 * first) / (first + second));
}
