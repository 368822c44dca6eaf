import type { EventEmitter } from "node:events";
import { startSilenceTimer } from "../silence-timer.ts";

/** Waits for the first of some events; false when none came within the time. Leaves no listener behind. */
export function waitForEvent(emitter: EventEmitter, events: readonly string[], ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (happened: boolean) => {
      callOff();
      for (const event of events) {
        emitter.off(event, onEvent);
      }
      resolve(happened);
    };
    const onEvent = () => settle(true);
    const callOff = startSilenceTimer(ms, () => settle(false));
    for (const event of events) {
      emitter.on(event, onEvent);
    }
  });
}
