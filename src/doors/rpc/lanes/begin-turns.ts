/** Resolves, at once or in a later turn of the event loop, when the caller may begin; null instead of a promise means at once. */
export type BeginTurn = () => Promise<void> | null;

/** Lets so many begin in each turn of the event loop, in the order in which they ask. Between two turns everything else has its own. */
export function createBeginTurns(maxPerTurn: number): BeginTurn {
  const waiting: (() => void)[] = [];
  let left = maxPerTurn;
  let isScheduled = false;

  function schedule(): void {
    if (!isScheduled) {
      isScheduled = true;
      setImmediate(turn);
    }
  }

  function turn(): void {
    isScheduled = false;
    const now = waiting.splice(0, maxPerTurn);
    left = maxPerTurn - now.length;
    if (now.length > 0) {
      schedule();
    }
    for (const begin of now) {
      begin();
    }
  }

  return () => {
    schedule();
    if (left > 0 && waiting.length === 0) {
      left -= 1;
      return null;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    return promise;
  };
}
