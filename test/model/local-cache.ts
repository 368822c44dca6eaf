import type { Moment } from "./simulation.ts";
import type { Change } from "./world.ts";

/** What the authority answers about a token. */
export type Answer = {
  /** The newest change of the token that the answer knows of. */
  readonly basis: number;
  readonly revision: number;
};

/** What a gateway decides from while it holds a lease. */
export type LocalCache = {
  /** The newest change of the token that is known of; null where the authority must be asked. */
  basisOf(token: number): number | null;
  /** The authority is asked about the token now. What is returned takes the answer. */
  ask(token: number): (answer: Answer) => void;
  forget(change: Change): void;
  reset(revision: number): void;
  /** Granted to who asked for it at this moment. */
  lease(asked: Moment, durationMs: number, revision: number, isOfNewStream: boolean): void;
};
