import type { Call } from "../../../calls/call.ts";
import { statusOf } from "../../../calls/status.ts";
import { toConnectError } from "./connect-error.ts";

/**
 * How many streams of one kind a caller may have open at once. All callers without a role together are one caller here.
 */
export type StreamSlots = {
  /** Takes a slot until it is disposed of. Throws TOO_MANY_STREAMS when the caller has none left. */
  take(call: Call): Disposable;
};

/** `max` slots for each caller. The callers file bounds how many callers there are. */
export function createStreamSlots(max: number): StreamSlots {
  const taken = new Map<string | null, number>();
  return {
    take({ identity, role }) {
      const caller = role === null ? null : identity;
      const open = taken.get(caller) ?? 0;
      if (open === max) {
        const message = `the caller has ${max} streams of this kind open, as many as it may have`;
        throw toConnectError(statusOf("TOO_MANY_STREAMS", message));
      }
      taken.set(caller, open + 1);
      return {
        [Symbol.dispose]() {
          const left = (taken.get(caller) ?? 0) - 1;
          if (left > 0) {
            taken.set(caller, left);
          } else {
            taken.delete(caller);
          }
        },
      };
    },
  };
}
