import type { Cost } from "../loads/h2load.ts";
import { type Figure, median, ratio } from "../runner/figures.ts";

/** Below it, the server waited for the load. */
const busyShare = 0.9;

/** What the authority and a baseline cost under the same load, round by round. */
export type Against = {
  readonly load: string;
  readonly name: string;
  readonly ours: readonly Cost[];
  readonly theirs: readonly Cost[];
};

export function costFigures(name: string, costs: readonly Cost[]): readonly Figure[] {
  return [
    { name, unit: "calls/s", values: rates(costs) },
    { name: `${name}: server CPU a call`, unit: "us", values: cpus(costs) },
  ];
}

/**
 * How many times the calls of a baseline, and how many times less CPU for each. The target is for the first; for the
 * second where the load was the limit.
 */
export function speedUp(
  { load, name, ours, theirs }: Against,
  atLeast: number | undefined,
): readonly [calls: Figure, cpu: Figure] {
  const target = atLeast === undefined ? undefined : { atLeast };
  const busy = median(ours.map(({ callsPerSecond, serverCpuUs }) => (callsPerSecond * serverCpuUs) / 1e6));
  const isLoadTheLimit = busy < busyShare;
  return [
    ratio(`${load}: calls, of ${name}'s`, rates(ours), rates(theirs), isLoadTheLimit ? undefined : target),
    ratio(
      `${load}: CPU a call: ${name}'s, of ours${isLoadTheLimit ? " (limit: the load)" : ""}`,
      cpus(theirs),
      cpus(ours),
      isLoadTheLimit ? target : undefined,
    ),
  ];
}

/** How much CPU a call, of a baseline's. */
export function cpuRatio({ load, name, ours, theirs }: Against, atMost: number | undefined): Figure {
  const target = atMost === undefined ? undefined : { atMost };
  return ratio(`${load}: CPU a call, of ${name}'s`, cpus(ours), cpus(theirs), target);
}

export function rates(costs: readonly Cost[]): readonly number[] {
  return costs.map(({ callsPerSecond }) => callsPerSecond);
}

export function cpus(costs: readonly Cost[]): readonly number[] {
  return costs.map(({ serverCpuUs }) => serverCpuUs);
}
