import { callCanceled, deadlineExceeded, type Status } from "./status.ts";

/** How long an answer is waited for. */
export type Patience = {
  /** Called once, when nothing is waited for any more: the time has passed, or the client has gone. */
  onOver: (status: Status) => void;
  /** Ends the wait. Nothing is called from then on, and nothing is left of it. */
  release(): void;
};

/**
 * Begins to wait: so many milliseconds, or for ever where that is null, and until the signal of a client that goes
 * aborts, where there is one.
 */
export function startPatience(
  waitMs: number | null,
  gone: AbortSignal | null,
  onOver: (status: Status) => void,
): Patience {
  const timer = waitMs === null ? undefined : setTimeout(() => end(deadlineExceeded), waitMs);
  const leave = () => end(callCanceled);
  const patience = { onOver, release };

  function release(): void {
    clearTimeout(timer);
    gone?.removeEventListener("abort", leave);
  }

  function end(status: Status): void {
    release();
    patience.onOver(status);
  }

  gone?.addEventListener("abort", leave);
  if (gone?.aborted === true) {
    leave();
  }
  return patience;
}
