import type { EventEmitter } from "node:events";

/** Waits for the first of some events; false when none came within the time. Leaves no listener behind. */
export function waitForEvent(emitter: EventEmitter, events: readonly string[], ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (happened: boolean) => {
      clearTimeout(timer);
      for (const event of events) {
        emitter.off(event, onEvent);
      }
      resolve(happened);
    };
    const onEvent = () => settle(true);
    const timer = setTimeout(settle, ms, false);
    for (const event of events) {
      emitter.on(event, onEvent);
    }
  });
}
