import { hash } from "node:crypto";
import type { Clock } from "../authority/clock.ts";

const perSecond = 25;
const intervalMs = 1000 / perSecond;
// A whole second's worth may come at once.
const burstMs = 1000 - intervalMs;
const slots = 65_536;

/** What all threads of the process count in. Fixed in size, however many accounts there are. */
export type RateMemory = SharedArrayBuffer;

export function createRateMemory(): RateMemory {
  return new SharedArrayBuffer(slots * BigInt64Array.BYTES_PER_ELEMENT);
}

/** Takes one creation of an account; returns 0, or for how many seconds to wait when there were too many. */
export type CreationRate = (account: string) => number;

/**
 * At most 25 creations a second of one account, in all threads together: the generic cell rate algorithm, a slot holding the time at
 * which the account would next be on schedule. Two accounts share a slot once in 65536 pairs, and then the 25 as well.
 */
export function createCreationRate(memory: RateMemory, clock: Clock): CreationRate {
  const cells = new BigInt64Array(memory);
  return (account) => {
    const slot = hash("sha256", account, "buffer").readUInt16BE(0);
    const nowMs = clock();
    for (;;) {
      const before = Atomics.load(cells, slot);
      const onScheduleMs = Math.max(Number(before), nowMs);
      if (onScheduleMs - nowMs > burstMs) {
        return Math.ceil((onScheduleMs - nowMs - burstMs) / 1000);
      }
      if (Atomics.compareExchange(cells, slot, before, BigInt(onScheduleMs + intervalMs)) === before) {
        return 0;
      }
    }
  };
}
