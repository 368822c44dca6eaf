/** Starts work for an account once all that was asked for it before has ended. */
export type AccountTurns = <T>(account: string, work: () => Promise<T>) => Promise<T>;

/** An account that asks for much at once waits for itself, and takes no more from others than if it asked for one thing. */
export function createAccountTurns(): AccountTurns {
  const lastTurns = new Map<string, Promise<void>>();
  return async (account, work) => {
    const before = lastTurns.get(account);
    const { promise: turn, resolve: end } = Promise.withResolvers<void>();
    lastTurns.set(account, turn);
    try {
      await before;
      return await work();
    } finally {
      end();
      if (lastTurns.get(account) === turn) {
        lastTurns.delete(account);
      }
    }
  };
}
