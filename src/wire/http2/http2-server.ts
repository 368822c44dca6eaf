import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Account } from "./account.ts";
import { Connection } from "./connection.ts";
import { FieldFactory } from "./field.ts";
import { SlabPool } from "./frame-writer.ts";
import type { Handler } from "./general.ts";
import { GeneralTurns } from "./general-turns.ts";
import type { LaneAnswer } from "./lane.ts";
import type { Lanes } from "./lanes.ts";
import { defaultLimits, type Limits } from "./limits.ts";
import type { ServerParts } from "./server-parts.ts";

export type Http2Options<Context> = {
  readonly lanes: Lanes<Context>;
  readonly handle: Handler<Context>;
  /** Hears what a lane or a handler threw. */
  readonly onError: (error: unknown) => void;
  /**
   * Answers a request whose header list is too large to be read. `contentType` is its own, or empty where that was not
   * among the fields that were kept. Default: 431 and nothing else.
   */
  readonly refuseLargeHeader?: (context: Context, contentType: string) => LaneAnswer;
  readonly limits?: Partial<Limits>;
  /**
   * Counts what all connections hold of their requests, and of the bodies of answers that wait; bounds the former.
   * Default: a count without a bound.
   */
  readonly account?: Account;
  /** Milliseconds of a clock that never runs back. */
  readonly clock?: () => number;
  /** From 0 up to 1, as Math.random. */
  readonly random?: () => number;
};

/** A connection as its listener knows it. */
export type ServedConnection = {
  /** Finishes what is under way, and closes (RFC 9113 section 6.8). */
  leave(): void;
  /** What it holds for its peer, of requests and of answers. */
  readonly heldBytes: number;
  /** Since when no request is under way, by the server's clock; null while one is. */
  readonly idleSinceMs: number | null;
};

/**
 * Serves HTTP/2 with prior knowledge on sockets that someone else accepted; over TLS, on those whose ALPN chose "h2".
 */
export class Http2Server<Context> {
  readonly #parts: ServerParts<Context>;
  readonly #clock: () => number;
  readonly #connections = new Set<Connection<Context>>();
  readonly #sweep: NodeJS.Timeout;
  #sweptAtMs: number;
  #isLeaving = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: Http2Options<Context>) {
    const limits = { ...defaultLimits, ...options.limits };
    this.#clock = options.clock ?? (() => performance.now());
    this.#sweptAtMs = this.#clock();
    this.#parts = {
      limits,
      lanes: options.lanes,
      handle: options.handle,
      refuseLargeHeader: options.refuseLargeHeader ?? null,
      onError: options.onError,
      random: options.random ?? Math.random,
      factory: new FieldFactory(options.lanes.headers),
      pool: new SlabPool(),
      account: options.account ?? new Account(Number.POSITIVE_INFINITY),
      generalTurns: new GeneralTurns(limits.maxGeneralPerTurn),
      time: { nowMs: this.#sweptAtMs },
    };
    this.#sweep = setInterval(() => this.sweep(), limits.sweepMs).unref();
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /**
   * Serves this socket, from here on ours, until it closes. `context` is handed to its lanes and handlers: say, who the
   * client is. What was read from it before must have been put back by `unshift`.
   */
  accept(socket: Duplex, context: Context): ServedConnection {
    if (this.#isLeaving || this.#connections.size >= this.#parts.limits.maxConnections) {
      socket.on("error", () => {});
      socket.destroy();
      return { leave() {}, heldBytes: 0, idleSinceMs: null };
    }
    if (socket instanceof Socket) {
      // Answers are gathered here: the kernel need not wait for more.
      socket.setNoDelay(true);
    }
    const connection = new Connection(socket, context, this.#parts, (closed) => {
      this.#connections.delete(closed);
      this.#noteEmpty();
    });
    this.#connections.add(connection);
    connection.begin();
    return connection;
  }

  /** Looks at the deadlines of all connections. Runs by itself every `sweepMs`. */
  sweep(): void {
    const { time, limits } = this.#parts;
    const nowMs = this.#clock();
    // A late sweep was held up, and so were all reads: that time is no peer's silence.
    const elapsedMs = Math.min(Math.max(0, nowMs - this.#sweptAtMs), 2 * limits.sweepMs);
    this.#sweptAtMs = nowMs;
    time.nowMs += elapsedMs;
    for (const connection of this.#connections) {
      connection.tick(elapsedMs);
    }
  }

  /**
   * Lets all connections finish what is under way (RFC 9113 section 6.8), and destroys after `graceMs` what is left.
   * Resolves when none is left.
   */
  async close(graceMs: number): Promise<void> {
    this.#isLeaving = true;
    for (const connection of this.#connections) {
      connection.leave();
    }
    const timer = setTimeout(() => {
      for (const connection of this.#connections) {
        connection.destroy();
      }
    }, graceMs);
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      this.#noteEmpty();
    });
    clearTimeout(timer);
    clearInterval(this.#sweep);
  }

  #noteEmpty(): void {
    if (this.#connections.size === 0) {
      this.#onEmpty?.();
    }
  }
}
