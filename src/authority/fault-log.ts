import { inspect } from "node:util";
import { holdsKey } from "./key.ts";
import type { Log } from "./log.ts";

/** Reports an error that its caller learns nothing about. */
export type ReportFault = (error: unknown, rpc: string) => void;

const maxLinesPerSecond = 10;

/** Logs faults, at most 10 a second, of whatever kind: one for a thread. An outage under load must not become one of the disk as well. */
export function createFaultLog(log: Log): ReportFault {
  let second = 0;
  let lines = 0;
  let unreported = 0;

  return (error, rpc) => {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) {
      second = now;
      lines = 0;
    }
    lines += 1;
    if (lines > maxLinesPerSecond) {
      unreported += 1;
      return;
    }
    log.error({ err: withoutKey(error), rpc, unreported }, "a call failed for a reason that is not its caller's");
    unreported = 0;
  };
}

/** Libraries repeat values in their errors, and a value may be a key. */
export function withoutKey(error: unknown): unknown {
  return holdsKey(inspect(error, { depth: 5 })) ? new Error("withheld: the error's text held a key") : error;
}
