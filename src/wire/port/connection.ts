import type { Socket } from "node:net";
import type { Peer } from "./peer.ts";

/** All connections of a listener that speak one protocol. */
export type Connections = {
  /**
   * Speaks on a socket, of whose bytes none is read yet, until it closes. A stranger, for whom nothing will be done, is
   * granted as little as it takes to tell it so.
   */
  serve(socket: Socket, peer: Peer, isStranger: boolean): Connection;
  /** Gives back what they share, once their owner has closed them all. */
  close(): Promise<void>;
};

/** One accepted socket that speaks a protocol. */
export type Connection = {
  /** Takes no new request, lets those under way end, then closes. Calling again changes nothing. */
  closeGracefully(): void;
  /** What it holds for its peer: of requests, what came and was not answered; of answers, what waits to be taken. */
  readonly heldBytes: number;
  /** Since when no request is under way, by `performance.now()`; null while one is. */
  readonly idleSinceMs: number | null;
};
