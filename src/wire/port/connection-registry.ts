import type { Socket } from "node:net";
import type { Connection } from "./connection.ts";
import type { HttpLimits } from "./limits.ts";
import type { Peer, TlsPeer } from "./peer.ts";

/** How many connections a listener has, for metrics. */
export type ConnectionCounts = {
  readonly open: number;
  /** TLS handshakes and prefaces under way; part of `open`. */
  readonly handshaking: number;
  readonly http1: number;
  readonly http2: number;
  /** Closed since the start because a limit was reached. */
  readonly refused: number;
};

/** A connection that speaks, and who is at its other end. */
export type Entry = {
  readonly protocol: "h2" | "http/1.1";
  readonly connection: Connection;
  readonly peer: Peer | TlsPeer;
  /** Had no identity when it came, where callers have one. */
  readonly isStranger: boolean;
};

type RegistryLimits = Pick<HttpLimits, "maxConnections" | "maxStrangers" | "strangerMs"> & {
  /** Whether the longest idle connection is cut for one too many: so on a port that anybody may connect to. */
  readonly cutsIdle: boolean;
};

/** A connection that may be cut for the bytes that it holds for its peer. */
export type Holder = {
  readonly heldBytes: number;
  /** Ends it at once. */
  cut(): void;
};

/** All sockets of a listener, from accept to close. */
export class ConnectionRegistry {
  readonly #sockets = new Set<Socket>();
  readonly #limits: RegistryLimits;
  readonly #entries = new Map<Socket, Entry>();
  readonly #emptied: (() => void)[] = [];
  /** Since when they are here, the oldest first. */
  readonly #strangers = new Map<Socket, number>();
  #refused = 0;

  constructor(limits: RegistryLimits) {
    this.#limits = limits;
  }

  /** The socket counts from now until it closes. */
  accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once("close", () => {
      this.#sockets.delete(socket);
      if (this.#sockets.size === 0) {
        for (const emptied of this.#emptied.splice(0)) {
          emptied();
        }
      }
    });
  }

  /** Whether one more connection may speak. For a stranger too many the oldest stranger is cut, and no caller ever. */
  makeRoom(isStranger: boolean): boolean {
    const { maxConnections, maxStrangers } = this.#limits;
    if (isStranger) {
      const [oldest] = this.#strangers.keys();
      if (this.#strangers.size >= maxStrangers && oldest !== undefined) {
        this.#cutStranger(oldest);
      }
      return true;
    }
    if (this.#entries.size - this.#strangers.size < maxConnections) {
      return true;
    }
    this.#refused += 1;
    return this.#limits.cutsIdle && this.#cutLongestIdle();
  }

  add(socket: Socket, entry: Entry): void {
    this.#entries.set(socket, entry);
    if (entry.isStranger) {
      this.#strangers.set(socket, performance.now());
    }
    socket.once("close", () => this.#forget(socket));
  }

  /** Destroys the connections of strangers that were here for long enough. */
  cutStrangers(): void {
    const fromMs = performance.now() - this.#limits.strangerMs;
    for (const [socket, sinceMs] of this.#strangers) {
      if (sinceMs > fromMs) {
        return;
      }
      this.#cutStranger(socket);
    }
  }

  /** All connections that speak. */
  *holders(): Iterable<Holder> {
    for (const [socket, { connection }] of this.#entries) {
      yield { heldBytes: connection.heldBytes, cut: () => socket.destroy() };
    }
  }

  countRefusal(): void {
    this.#refused += 1;
  }

  counts(handshaking: number): ConnectionCounts {
    let http2 = 0;
    for (const entry of this.#entries.values()) {
      http2 += entry.protocol === "h2" ? 1 : 0;
    }
    return {
      open: this.#sockets.size,
      handshaking,
      http1: this.#entries.size - http2,
      http2,
      refused: this.#refused,
    };
  }

  /** Closes gracefully the connections that the condition holds for; returns how many. */
  closeWhere(condition: (entry: Entry, socket: Socket) => boolean): number {
    let closed = 0;
    for (const [socket, entry] of [...this.#entries]) {
      if (condition(entry, socket)) {
        entry.connection.closeGracefully();
        closed += 1;
      }
    }
    return closed;
  }

  cutAll(): void {
    for (const socket of [...this.#sockets]) {
      socket.destroy();
    }
  }

  /** Resolves when the last socket is closed. */
  empty(): Promise<void> {
    return this.#sockets.size === 0 ? Promise.resolve() : new Promise((resolve) => this.#emptied.push(resolve));
  }

  #cutStranger(socket: Socket): void {
    this.#refused += 1;
    this.#forget(socket);
    socket.destroy();
  }

  /** False when none is idle. */
  #cutLongestIdle(): boolean {
    let longest: Socket | null = null;
    let sinceMs = Number.POSITIVE_INFINITY;
    for (const [socket, { connection }] of this.#entries) {
      if (connection.idleSinceMs !== null && connection.idleSinceMs < sinceMs) {
        longest = socket;
        sinceMs = connection.idleSinceMs;
      }
    }
    if (longest === null) {
      return false;
    }
    this.#forget(longest);
    longest.destroy();
    return true;
  }

  #forget(socket: Socket): void {
    this.#entries.delete(socket);
    this.#strangers.delete(socket);
  }
}
