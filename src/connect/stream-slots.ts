import { wireError } from "./errors.ts";

/** How many streams may be open at once. */
export type StreamSlots = {
  /** Takes a slot until it is disposed of. Throws TOO_MANY_STREAMS when there is none left. */
  take(): Disposable;
};

/** `max` slots. */
export function createStreamSlots(max: number): StreamSlots {
  let taken = 0;
  return {
    take() {
      if (taken === max) {
        throw wireError("TOO_MANY_STREAMS", `there are ${max} streams of this kind open, as many as there may be`);
      }
      taken += 1;
      return {
        [Symbol.dispose]() {
          taken -= 1;
        },
      };
    },
  };
}
