import { setImmediate as nextTurn } from "node:timers/promises";

/** Waits for the next turn of the event loop that nobody else was given. */
export type TakeTurn = () => Promise<void>;

/** Gives the turns of the event loop to those who ask, one each, in order: between two of them everything else has its own. */
export function createTurns(): TakeTurn {
  let last = Promise.resolve();
  return () => {
    last = last.then(() => nextTurn());
    return last;
  };
}
