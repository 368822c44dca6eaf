import type { CallPlan } from "./calls.ts";

/**
 * Load for one server: each of `connections` has `streams` calls under way, and makes the next when one is answered.
 */
export type LoadJob = {
  readonly address: string;
  readonly serverPid: number;
  readonly connections: number;
  readonly streams: number;
  readonly calls: CallPlan;
  /** It ends after this time, or this many calls, whichever comes first. */
  readonly maxMs: number;
  readonly maxCalls: number;
};

export type LoadResult = {
  readonly calls: number;
  readonly callsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly greatestMs: number;
  /** CPU time of the server's threads for each call, in microseconds. */
  readonly serverCpuUs: number;
  /** How much of its core the load generator took, from 0 to 1: near 1, it was the limit. */
  readonly loadBusy: number;
  /** Calls that failed, or were answered with something else than expected, by what they got. */
  readonly failures: Readonly<Record<string, number>>;
};
