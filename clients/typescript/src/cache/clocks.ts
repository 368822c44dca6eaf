// The global one is a getter, which takes half as long as the clock.
import { performance } from "node:perf_hooks";

/** The two clocks of a machine, in milliseconds. */
export type Clocks = {
  /** Never set. May stand still while the machine is suspended. */
  readonly monotonicMs: () => number;
  /** Goes on while the machine is suspended. May be set. */
  readonly wallMs: () => number;
};

export const machineClocks: Clocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };

/** A reading of both clocks. */
export type Moment = { readonly monotonicMs: number; readonly wallMs: number };

export function momentOf({ monotonicMs, wallMs }: Clocks): Moment {
  return { monotonicMs: monotonicMs(), wallMs: wallMs() };
}
