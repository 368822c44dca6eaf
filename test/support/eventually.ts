import { type EventEmitter, once } from "node:events";

// Before a test puts a clock of its own in its place.
const { setTimeout: later } = globalThis;

/**
 * Waits, however long, for what an event elsewhere brings about. What never comes runs into the test's own time limit.
 */
export async function eventually(condition: () => boolean): Promise<void> {
  while (!condition()) {
    await new Promise((resolve) => later(resolve, 1));
  }
}

/**
 * Lets what is due run: what sockets have brought, timers, and what was put off to the end of a turn of the event loop.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Waits for the first of these events, and leaves no listener for the others. */
export async function firstOf(...events: readonly (readonly [EventEmitter, string])[]): Promise<void> {
  const over = new AbortController();
  try {
    await Promise.race(events.map(([emitter, name]) => once(emitter, name, { signal: over.signal })));
  } finally {
    over.abort();
  }
}
