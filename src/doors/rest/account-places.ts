import { RestError, tooManyAtOnce } from "./errors.ts";

/** Requests of one account that may be under way. One more waits for its place, in order. */
export type AccountPlaces = {
  /**
   * Resolves with what gives the place back, once there is one. Rejects when too many wait already, or when the signal
   * aborts.
   */
  take(account: string, signal: AbortSignal): Promise<() => void>;
};

type Line = { underWay: number; readonly waiting: Set<() => void> };

/**
 * Lets `max` requests of an account be under way at once, and so many more wait: they cost no more memory, and take no
 * more from others.
 */
export function createAccountPlaces(max: number, maxWaiting: number): AccountPlaces {
  const lines = new Map<string, Line>();

  function leave(account: string, line: Line): void {
    const [next] = line.waiting;
    if (next !== undefined) {
      // The place goes from one to the other.
      next();
      return;
    }
    line.underWay -= 1;
    if (line.underWay === 0) {
      lines.delete(account);
    }
  }

  async function wait(line: Line, signal: AbortSignal): Promise<void> {
    if (line.waiting.size === maxWaiting) {
      throw new RestError(tooManyAtOnce);
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const giveUp = () => {
      line.waiting.delete(begin);
      reject(signal.reason);
    };
    const begin = () => {
      line.waiting.delete(begin);
      signal.removeEventListener("abort", giveUp);
      resolve();
    };
    line.waiting.add(begin);
    signal.addEventListener("abort", giveUp);
    await promise;
  }

  return {
    async take(account, signal) {
      signal.throwIfAborted();
      const line = lines.get(account) ?? { underWay: 0, waiting: new Set() };
      lines.set(account, line);
      if (line.underWay < max) {
        line.underWay += 1;
      } else {
        await wait(line, signal);
      }
      let isTaken = true;
      return () => {
        if (isTaken) {
          isTaken = false;
          leave(account, line);
        }
      };
    },
  };
}
