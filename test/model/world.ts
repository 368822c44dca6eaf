import type { History } from "./history.ts";
import type { Rule } from "./rules.ts";
import type { Simulation } from "./simulation.ts";

/** A change of one token or of all tokens of an account. */
export type Change = { readonly revision: number; readonly token: number | null; readonly account: number | null };

/** What outlives a process: the database, and the file which says that a process may have left leases behind. */
export type Disk = { readonly journal: Change[]; hasMarker: boolean };

/**
 * Who keeps the rules: the model, which is written as they say and can leave one out, or the project's own code as far
 * as it needs no wire and no timers: the watchers of a thread, and the cache of the TypeScript client.
 */
export type Pieces = "model" | "project";

export type World = {
  readonly pieces: Pieces;
  readonly simulation: Simulation;
  readonly history: History;
  readonly disk: Disk;
  readonly accountOf: (token: number) => number;
  isKept(rule: Rule): boolean;
};
