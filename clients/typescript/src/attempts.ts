import { setTimeout as delay } from "node:timers/promises";
import { type Failure, failure, failureOf } from "./errors.ts";

const firstPauseMs = 10;
const longestPauseMs = 250;

export type AttemptOptions = {
  /** What the call may take, all attempts together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  /** Whether the call may be sent again after UNAVAILABLE. */
  readonly mayRepeat: boolean;
  readonly isClosed: () => boolean;
};

export type Outcome<Response> = { readonly response: Response } | { readonly failure: Failure };

/**
 * Calls until there is an answer: after UNAVAILABLE again, with pauses that double and are drawn at random, so that the
 * callers of an authority that starts again do not all come at once. Takes no longer than `timeoutMs`.
 */
export async function attempt<Response>(
  call: (timeoutMs: number) => Promise<Response>,
  { timeoutMs, signal, mayRepeat, isClosed }: AttemptOptions,
): Promise<Outcome<Response>> {
  const endMs = performance.now() + timeoutMs;
  let lost: Failure | null = null;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    if (isClosed()) {
      return { failure: failure("CANCELLED", "the client is closed") };
    }
    if (hasGivenUp(signal)) {
      return { failure: failure("CANCELLED", "the caller gave up", signal?.reason) };
    }
    try {
      return { response: await call(Math.max(Math.ceil(endMs - performance.now()), 1)) };
    } catch (error) {
      if (hasGivenUp(signal)) {
        continue;
      }
      const found = failureOf(error);
      const drawnMs = pauseMs * (0.5 + Math.random() / 2);
      if (found.code === "DEADLINE_EXCEEDED" && lost !== null) {
        return { failure: notInTime(lost, timeoutMs) };
      }
      if (found.code !== "UNAVAILABLE" || !mayRepeat) {
        return { failure: found };
      }
      if (performance.now() + drawnMs >= endMs) {
        return { failure: notInTime(found, timeoutMs) };
      }
      lost = found;
      // Ends early when the caller gives up, which the next turn tells.
      await delay(drawnMs, undefined, signal === undefined ? {} : { signal }).catch(() => {});
    }
  }
}

function hasGivenUp(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

function notInTime(lost: Failure, timeoutMs: number): Failure {
  return { ...lost, message: `no answer within ${timeoutMs} ms: ${lost.message}` };
}
