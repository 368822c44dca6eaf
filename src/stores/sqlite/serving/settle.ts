import type { Settlement } from "../../../authority/freshness.ts";
import { settleMs } from "../../../authority/lease.ts";
import type { LeaseBoardView } from "../lease-board.ts";

const maxNamed = 100;

/**
 * Waits until the holders of leases at all threads know of the changes up to this revision, or until their leases are
 * over. A lease that was granted before the change signal moved for the revision ends before the bound, whoever reports
 * what; one that was granted later was granted by a thread that had read the change.
 */
export async function settle(
  board: LeaseBoardView,
  revision: number,
  monotonicMs: () => number = () => performance.now(),
): Promise<Settlement> {
  if (!board.lags(revision)) {
    return { acknowledged: board.holders(), silent: [], unconfirmed: [] };
  }
  const before = board.silentCounts();
  const endMs = monotonicMs() + settleMs;
  for (;;) {
    const seen = board.moves();
    const leftMs = endMs - monotonicMs();
    if (!board.lags(revision) || leftMs <= 0) {
      const silent = board.silentSince(before, revision, maxNamed);
      return { acknowledged: board.holders(), silent, unconfirmed: [] };
    }
    await board.untilMoved(seen, leftMs);
  }
}
