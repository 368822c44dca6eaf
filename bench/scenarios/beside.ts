import { setTimeout as sleep } from "node:timers/promises";
import { authority } from "../baselines/authority.ts";
import type { LaneResult } from "../loads/lane-load.ts";
import { warmDatabase } from "../population/warm-database.ts";
import type { BenchContext, NodeJob, RunningWay } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

/** For the other load to be under way before the first measured call, and until after the last. */
const leadMs = 300;
const atMost = 2;

type Result = LaneResult & { readonly otherCallsPerSecond: number };

/**
 * Authenticate, one at a time, while the authority is idle, and while it has other work: on one core, where the
 * writer's thread must share it; and on all cores, where the writer can have another, which the load uses too.
 */
export async function measureBeside(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  warmDatabase(context.setup);
  const pinned = await context.start(authority());
  const free = await context.start(authority({ directory: "copy" }), "any");
  const creates = createsInFlight(context);
  const list: NodeJob = { shape: [1, 1], calls: { kind: "list_in_vain" } };
  const results = await interleave(context.rounds, {
    idle: () => authenticateBeside(context, pinned, null),
    creates: () => authenticateBeside(context, pinned, creates),
    list: () => authenticateBeside(context, pinned, list),
    freeIdle: () => authenticateBeside(context, free, null),
    freeCreates: () => authenticateBeside(context, free, creates),
  });
  context.print("Authenticate of random keys, 1×1, beside other calls", [
    ...figuresOf("one core, idle", results.idle),
    ...figuresOf("one core, 64 Creates in flight", results.creates),
    ...figuresOf("one core, a List of 10 000 tokens in flight", results.list),
    ...figuresOf("all cores, idle", results.freeIdle),
    ...figuresOf("all cores, 64 Creates in flight", results.freeCreates),
    { name: "one core: Creates meanwhile", unit: "calls/s", values: others(results.creates) },
    { name: "all cores: Creates meanwhile", unit: "calls/s", values: others(results.freeCreates) },
    ratio("one core: p99 with 64 Creates in flight, of idle", p99s(results.creates), p99s(results.idle), { atMost }),
    ratio("all cores: p99 with 64 Creates in flight, of idle", p99s(results.freeCreates), p99s(results.freeIdle), {
      atMost,
    }),
    ratio("one core: p99 with a List in flight, of idle", p99s(results.list), p99s(results.idle)),
  ]);
}

/** So many Creates at once, as long as something else is measured. */
export function createsInFlight({ population }: BenchContext): NodeJob {
  return { shape: [8, 8], calls: { kind: "create", population } };
}

/** Authenticate of random keys, one at a time, while the other calls are in flight. */
export async function authenticateBeside(
  context: BenchContext,
  server: RunningWay,
  beside: NodeJob | null,
): Promise<Result> {
  const load = { shape: [1, 1], headers: "differing", keys: "random" } as const;
  if (beside === null) {
    return { ...(await context.authenticate(server, load)), otherCallsPerSecond: 0 };
  }
  const other = context.callInBackground(server, { ...beside, maxMs: context.roundMs + 2 * leadMs });
  await sleep(leadMs);
  const result = await context.authenticate(server, load);
  return { ...result, otherCallsPerSecond: (await other).callsPerSecond };
}

function figuresOf(name: string, results: readonly Result[]): readonly Figure[] {
  return [
    { name: `${name}: p50`, unit: "us", values: results.map(({ known }) => known.p50Us) },
    { name: `${name}: p99`, unit: "us", values: p99s(results) },
    { name: `${name}: greatest`, unit: "us", values: results.map(({ known }) => known.greatestUs) },
  ];
}

export function p99s(results: readonly Result[]): readonly number[] {
  return results.map(({ known }) => known.p99Us);
}

function others(results: readonly Result[]): readonly number[] {
  return results.map(({ otherCallsPerSecond }) => otherCallsPerSecond);
}
