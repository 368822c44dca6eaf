import type { LoadGenerator } from "./load-generator.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";
import type { Population } from "./seeded-token.ts";
import type { ServerProcess } from "./server-process.ts";

/** What the sections measure with. */
export type BenchContext = {
  readonly population: Population;
  readonly rounds: number;
  /** How long a load lasts, in each round. */
  readonly roundMs: number;
  /** A copy of the seeded directory, on the same disk, that no server has open. */
  readonly copy: string;
  /** The authority, over the whole population. */
  readonly authority: ServerProcess;
  readonly echo: ServerProcess;
  readonly load: LoadGenerator;
  readonly backgroundLoad: LoadGenerator;
  /** Failures are told at the end: figures beside them are void. */
  readonly noteFailures: (failures: LoadResult["failures"]) => void;
};

const maxCalls = 1_000_000;

/** Runs a load for one round. `shape` is how many connections, and how many calls at once on each. */
export async function runRound(
  context: BenchContext,
  server: ServerProcess,
  shape: readonly [connections: number, streams: number],
  calls: LoadJob["calls"],
  limits: Partial<Pick<LoadJob, "maxMs" | "maxCalls">> = {},
): Promise<LoadResult> {
  return runJob(context, context.load, server, shape, calls, { maxMs: context.roundMs, maxCalls, ...limits });
}

/** Runs a load beside another. */
export async function runInBackground(
  context: BenchContext,
  server: ServerProcess,
  shape: readonly [connections: number, streams: number],
  calls: LoadJob["calls"],
  maxMs: number,
): Promise<LoadResult> {
  return runJob(context, context.backgroundLoad, server, shape, calls, { maxMs, maxCalls });
}

async function runJob(
  context: BenchContext,
  generator: LoadGenerator,
  { address, pid }: ServerProcess,
  [connections, streams]: readonly [number, number],
  calls: LoadJob["calls"],
  limits: Pick<LoadJob, "maxMs" | "maxCalls">,
): Promise<LoadResult> {
  const result = await generator.run({ address, serverPid: pid, connections, streams, calls, ...limits });
  context.noteFailures(result.failures);
  return result;
}
