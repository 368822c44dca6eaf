import type { Log } from "../authority/log.ts";
import type { HttpHandler } from "./exchange.ts";
import type { HttpLimits } from "./limits.ts";

/** One accepted socket that speaks a protocol. */
export type Connection = {
  /** Takes no new request, lets those under way end, then closes. Calling again changes nothing. */
  closeGracefully(): void;
};

/** What both protocols need to serve a connection. */
export type ConnectionContext = {
  readonly scheme: "http" | "https";
  readonly handler: HttpHandler;
  readonly limits: HttpLimits;
  readonly log: Log;
  /** The authority of a request that names none, as HTTP/1.0 may. */
  readonly defaultAuthority: string;
};

/** After the last response, how long the peer has to close before the socket is destroyed. */
export const lingerMs = 1_000;
