import type { Freshness, Holder, Settlement, Unconfirmed } from "./freshness.ts";

/** Counts since the start. */
export type SettleReadings = {
  readonly settled: number;
  /** All waits together. */
  readonly waitedMs: number;
  /** Changes that had to wait until leases were over. */
  readonly waitedOut: number;
};

/** A change for which holders of leases were waited out. */
export type WaitedOut = {
  readonly revision: number;
  readonly silent: readonly Holder[];
  readonly unconfirmed: readonly Unconfirmed[];
  readonly waitedMs: number;
};

/** An answer that waited, and what became of the holders of leases. */
export type Settled<Answer> = Answer & { readonly settlement: Settlement };

/** The end of every change that takes away or gives back, before it is answered. */
export type Settling = {
  /**
   * The same operation, answered when no holder of a lease decides by what was true before the revision that it
   * answers; null and 0 say that nothing was ever changed. A change that was made before and is asked for again waits
   * too: who asked first may be waiting still.
   */
  settled<Asked extends readonly unknown[], Answer extends { readonly revision: number | null }>(
    operation: (...asked: Asked) => Promise<Answer>,
  ): (...asked: Asked) => Promise<Settled<Answer>>;
  readings(): SettleReadings;
};

const nothingChanged: Settlement = { acknowledged: 0, silent: [], unconfirmed: [] };

export function createSettling(
  freshness: Pick<Freshness, "settle">,
  onWaitedOut: (waited: WaitedOut) => void,
  monotonicMs: () => number,
): Settling {
  let [settled, allMs, waitedOut] = [0, 0, 0];

  async function settle(revision: number): Promise<Settlement> {
    const startedAtMs = monotonicMs();
    const settlement = await freshness.settle(revision);
    const waitedMs = monotonicMs() - startedAtMs;
    settled += 1;
    allMs += waitedMs;
    const { silent, unconfirmed } = settlement;
    if (silent.length > 0 || unconfirmed.length > 0) {
      waitedOut += 1;
      onWaitedOut({ revision, silent, unconfirmed, waitedMs });
    }
    return settlement;
  }

  return {
    settled:
      (operation) =>
      async (...asked) => {
        const answer = await operation(...asked);
        const { revision } = answer;
        return { ...answer, settlement: revision === null || revision === 0 ? nothingChanged : await settle(revision) };
      },
    readings: () => ({ settled, waitedMs: allMs, waitedOut }),
  };
}
