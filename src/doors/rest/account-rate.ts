import { hash } from "node:crypto";

const slots = 65_536;

/** Takes one request of an account; returns 0, or for how many seconds to wait when there were too many. */
export type AccountRate = (account: string) => number;

/**
 * At most so many requests a second of one account, a second's worth at once: the generic cell rate algorithm, a slot
 * holding the time at which the account would next be on schedule. Two accounts share a slot once in 65536 pairs, and
 * then the rate as well. Fixed in size, however many accounts there are. By the system's clock, one that is ahead for a
 * moment would make everybody wait.
 */
export function createAccountRate(perSecond: number, monotonicMs: () => number = () => performance.now()): AccountRate {
  const intervalMs = 1000 / perSecond;
  const burstMs = 1000 - intervalMs;
  const scheduledMs = new Float64Array(slots);
  return (account) => {
    const slot = hash("sha256", account, "buffer").readUInt16BE(0);
    const nowMs = monotonicMs();
    const onScheduleMs = Math.max(scheduledMs[slot] ?? 0, nowMs);
    if (onScheduleMs - nowMs > burstMs) {
      return Math.ceil((onScheduleMs - nowMs - burstMs) / 1000);
    }
    scheduledMs[slot] = onScheduleMs + intervalMs;
    return 0;
  };
}
