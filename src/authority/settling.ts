import type { Freshness, Holder, Settlement } from "./freshness.ts";

/** Counts since the start. */
export type SettleReadings = {
  readonly settled: number;
  /** All waits together. */
  readonly waitedMs: number;
  /** Changes that had to wait until leases were over. */
  readonly waitedOut: number;
};

/** A change for which holders of leases were waited out. */
export type WaitedOut = { readonly revision: number; readonly silent: readonly Holder[]; readonly waitedMs: number };

/** The end of every change that takes away or gives back, before it is answered. */
export type Settling = {
  /**
   * Waits until no holder of a lease decides by what was true before this revision. Also for a change that was made
   * before, and is asked for again: who asked first may be waiting still.
   */
  settle(revision: number): Promise<Settlement>;
  readings(): SettleReadings;
};

export function createSettling(
  freshness: Pick<Freshness, "settle">,
  onWaitedOut: (waited: WaitedOut) => void,
  monotonicMs: () => number,
): Settling {
  let [settled, allMs, waitedOut] = [0, 0, 0];
  return {
    async settle(revision) {
      const startedAtMs = monotonicMs();
      const settlement = await freshness.settle(revision);
      const waitedMs = monotonicMs() - startedAtMs;
      settled += 1;
      allMs += waitedMs;
      if (settlement.silent.length > 0) {
        waitedOut += 1;
        onWaitedOut({ revision, silent: settlement.silent, waitedMs });
      }
      return settlement;
    },
    readings: () => ({ settled, waitedMs: allMs, waitedOut }),
  };
}
