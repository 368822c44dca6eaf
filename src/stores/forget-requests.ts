import type { Clock } from "../authority/clock.ts";
import type { TokenStore } from "../authority/token-store.ts";
import type { Log } from "../machine/log.ts";

/**
 * Erases request ids whose 24 hours are over, each time it is called. It goes by the earlier of what the clock says and
 * of what it said at the last call with the time that passed since: a clock that is ahead for a moment would let a
 * Create that is sent again make a second key. A failure is logged.
 */
export function createRequestForgetter(
  store: Pick<TokenStore, "forgetRequests">,
  clock: Clock,
  log: Log,
  monotonicMs: () => number = () => performance.now(),
): () => Promise<void> {
  let before = { wallMs: clock(), passedMs: monotonicMs() };
  return async () => {
    const now = { wallMs: clock(), passedMs: monotonicMs() };
    const expectedMs = before.wallMs + now.passedMs - before.passedMs;
    before = now;
    try {
      await store.forgetRequests(Math.min(now.wallMs, expectedMs));
    } catch (error) {
      log.warn({ err: error }, "old request ids were not erased");
    }
  };
}
