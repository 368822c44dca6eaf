/** The two clocks of a machine, in milliseconds. */
export type Clocks = {
  /** Never set. May stand still while the machine is suspended. */
  readonly monotonicMs: () => number;
  /** Goes on while the machine is suspended. May be set. */
  readonly wallMs: () => number;
};

/** A reading of both clocks. */
export type Moment = { readonly monotonicMs: number; readonly wallMs: number };
