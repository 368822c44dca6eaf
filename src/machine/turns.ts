/** Turns of the event loop, shared by those who ask: between two turns everything else has its own. */
export type Turns = {
  /** Resolves in a turn that comes, behind all who asked before. */
  next(): Promise<void>;
  /** Null where the caller may begin at once: this turn has room, and no other caller waits. Otherwise as `next`. */
  begin(): Promise<void> | null;
};

/** Lets so many begin in each turn of the event loop, in the order in which they ask. */
export function createTurns(maxPerTurn: number): Turns {
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

  function next(): Promise<void> {
    schedule();
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    return promise;
  }

  function begin(): Promise<void> | null {
    if (left === 0 || waiting.length > 0) {
      return next();
    }
    schedule();
    left -= 1;
    return null;
  }

  return { next, begin };
}
