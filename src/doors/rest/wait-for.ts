import { startPatience } from "../../calls/patience.ts";
import type { PublicError } from "../../calls/public-error.ts";
import { callCanceled } from "../../calls/status.ts";
import { clientGone, RestError } from "./errors.ts";

/** How long one step of an answer may take. */
export type StepPatience = {
  /** Aborts when the client is gone. */
  readonly gone: AbortSignal;
  readonly ms: number;
  /** What is told once the time is over. */
  readonly late: PublicError;
  /** Hears of a fault of work that is waited for no longer. */
  readonly onLateFault: (error: unknown) => void;
};

/** Waits for work, but no longer than until the time is over or the client is gone: then the work's signal aborts. */
export async function waitFor<T>(
  { gone, ms, late, onLateFault }: StepPatience,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const giving = new AbortController();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const patience = startPatience(ms, gone, (status) => {
    giving.abort();
    reject(new RestError(status === callCanceled ? clientGone : late));
  });
  const working = work(giving.signal);
  try {
    return await Promise.race([working, over]);
  } catch (error) {
    if (giving.signal.aborted) {
      working.catch((fault) => {
        if (fault !== giving.signal.reason) {
          onLateFault(fault);
        }
      });
    }
    throw error;
  } finally {
    patience.release();
  }
}
