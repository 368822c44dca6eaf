import type { Socket } from "node:net";
import type { Peer, TlsPeer } from "../authority/caller.ts";
import type { Connection } from "./connection.ts";

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
};

/** All sockets of a listener, from accept to close. */
export class ConnectionRegistry {
  readonly #sockets = new Set<Socket>();
  readonly #handshaking = new Set<Socket>();
  readonly #entries = new Map<Socket, Entry>();
  readonly #emptied: (() => void)[] = [];
  #refused = 0;

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

  startHandshake(socket: Socket): void {
    this.#handshaking.add(socket);
    socket.once("close", () => this.#handshaking.delete(socket));
  }

  endHandshake(socket: Socket): void {
    this.#handshaking.delete(socket);
  }

  add(socket: Socket, entry: Entry): void {
    this.#entries.set(socket, entry);
    socket.once("close", () => this.#entries.delete(socket));
  }

  countRefusal(): void {
    this.#refused += 1;
  }

  get handshaking(): number {
    return this.#handshaking.size;
  }

  counts(): ConnectionCounts {
    let http2 = 0;
    for (const entry of this.#entries.values()) {
      http2 += entry.protocol === "h2" ? 1 : 0;
    }
    return {
      open: this.#sockets.size,
      handshaking: this.#handshaking.size,
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

  /** Destroys the socket that has been longest without coming to speak a protocol. */
  cutOldestHandshake(): void {
    const [oldest] = this.#handshaking;
    if (oldest !== undefined) {
      this.#handshaking.delete(oldest);
      this.#refused += 1;
      oldest.destroy();
    }
  }

  /** Destroys the sockets that have not come to speak a protocol. */
  cutHandshakes(): void {
    for (const socket of [...this.#handshaking]) {
      socket.destroy();
    }
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
}
