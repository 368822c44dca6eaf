import type { Lane } from "./lane.ts";
import type { StreamLane } from "./stream-lane.ts";

/** The fast ways of a server, by their paths. */
export type Lanes<Context> = {
  /** The names, in lower case, of the request header fields that lanes read. */
  readonly headers: readonly string[];
  /** By the exact `:path`. */
  readonly paths: ReadonlyMap<string, Lane<Context>>;
  /** The same, of streams. Default: none. */
  readonly streams?: ReadonlyMap<string, StreamLane<Context>>;
};
