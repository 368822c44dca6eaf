import type { RunningWay } from "../runner/bench-context.ts";
import type { Cost } from "./h2load.ts";

/** What a server is given first, when nobody knows yet how fast it is. */
const firstCalls = 2000;

/**
 * Makes a load that is told how many calls to make last about as long as it should, by how fast the server was before.
 */
export function paced(
  durationMs: number,
  run: (way: RunningWay, calls: number) => Promise<Cost>,
): (way: RunningWay) => Promise<Cost> {
  const rates = new Map<RunningWay, number>();
  return async (way) => {
    const rate = rates.get(way) ?? (await run(way, firstCalls)).callsPerSecond;
    const cost = await run(way, Math.max(firstCalls, Math.ceil((rate * durationMs) / 1000)));
    rates.set(way, cost.callsPerSecond);
    return cost;
  };
}
