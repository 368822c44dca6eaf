/** One accepted socket that speaks a protocol. */
export type Connection = {
  /** Takes no new request, lets those under way end, then closes. Calling again changes nothing. */
  closeGracefully(): void;
  /** What it holds for its peer: of requests, what came and was not handed on; of answers, what waits to be taken. */
  readonly heldBytes: number;
  /** Since when no request is under way, by `performance.now()`; null while one is. */
  readonly idleSinceMs: number | null;
};

/** A connection of `http2/`, as the listener knows connections. */
export function connectionOf(served: Omit<Connection, "closeGracefully"> & { leave(): void }): Connection {
  return {
    closeGracefully: () => served.leave(),
    get heldBytes() {
      return served.heldBytes;
    },
    get idleSinceMs() {
      return served.idleSinceMs;
    },
  };
}
