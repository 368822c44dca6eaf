import { inspect } from "node:util";
import { KnownOutage } from "../authority/errors.ts";
import { holdsKey } from "../authority/key.ts";
import type { Log } from "../machine/log.ts";
import { type Allowance, createSampler } from "../machine/sampler.ts";

/** Reports an error that its caller learns nothing about. */
export type ReportFault = (error: unknown, rpc: string) => void;

const allowance: Allowance = { lines: 10, everyMs: 1000 };

/**
 * Logs faults, at most 10 a second, of whatever kind: one for a thread. An outage under load must not become one of the
 * disk as well.
 */
export function createFaultLog(log: Log): ReportFault {
  const sample = createSampler();

  return (error, rpc) => {
    if (error instanceof Error && error.cause instanceof KnownOutage) {
      return;
    }
    const unreported = sample("fault", allowance);
    if (unreported !== null) {
      log.error({ err: withoutKey(error), rpc, unreported }, "a call failed for a reason that is not its caller's");
    }
  };
}

/** Libraries repeat values in their errors, and a value may be a key. */
export function withoutKey(error: unknown): unknown {
  return holdsKey(inspect(error, { depth: 5 })) ? new Error("withheld: the error's text held a key") : error;
}
