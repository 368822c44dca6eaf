import type { Account } from "./account.ts";
import type { FieldFactory } from "./field.ts";
import type { SlabPool } from "./frame-writer.ts";
import type { Handler } from "./general.ts";
import type { GeneralTurns } from "./general-turns.ts";
import type { LaneAnswer } from "./lane.ts";
import type { Lanes } from "./lanes.ts";
import type { Limits } from "./limits.ts";

/** What all connections of a server share. */
export type ServerParts<Context> = {
  readonly limits: Limits;
  readonly lanes: Lanes<Context>;
  readonly handle: Handler<Context>;
  /** Answers a request whose header list is too large to be read; null answers it with 431 and nothing else. */
  readonly refuseLargeHeader: ((context: Context, contentType: string) => LaneAnswer) | null;
  /** Hears what a lane or a handler threw: a bug or an outage, never the peer's doing. */
  readonly onError: (error: unknown) => void;
  readonly random: () => number;
  readonly factory: FieldFactory;
  readonly pool: SlabPool;
  /** What all connections hold of their requests. */
  readonly account: Account;
  readonly generalTurns: GeneralTurns;
  /** The time as of the last sweep, without the time that sweeps were late: reading it costs nothing. */
  readonly time: { nowMs: number };
};
