// Before a test puts a clock of its own in its place.
const { setTimeout: later } = globalThis;

/** Waits, however long, for what an event elsewhere brings about. What never comes runs into the test's own time limit. */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => later(resolve, 1));
  }
}

/** Lets what is due run: what sockets have brought, timers, and what was put off to the end of a turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
