import type { Socket } from "node:net";
import type { HttpLimits } from "./limits.ts";

type HandshakeLimits = Pick<HttpLimits, "maxHandshakes" | "handshakesPerSecond" | "maxHandshakeBurst">;

/**
 * Sockets of one remote address that do not speak yet, and of those the ones that wait for their turn, in the order in
 * which they came.
 */
type Party = { readonly address: string; readonly sockets: Set<Socket>; readonly waiting: Map<Socket, () => void> };

/**
 * Sockets from accept until they speak a protocol. A TLS handshake takes a millisecond of a thread that has better to
 * do: they begin at a pace, the first of each remote address before the second of any. Where too many do not come to
 * speak, the oldest of the address that has most of them is cut, and never the newest: silent ones would lock out who
 * comes to speak.
 */
export class Handshakes {
  readonly #limits: HandshakeLimits;
  readonly #isPaced: boolean;
  readonly #parties = new Map<string, Party>();
  readonly #partyOf = new Map<Socket, Party>();
  /** Parties with a waiting socket, in the order of their turns. */
  readonly #turns = new Set<Party>();
  #budget: number;
  #refilledAtMs = performance.now();
  #timer: NodeJS.Timeout | null = null;

  /** `isPaced` is false where a beginning costs nothing, as in plaintext. */
  constructor(limits: HandshakeLimits, isPaced: boolean) {
    this.#limits = limits;
    this.#isPaced = isPaced;
    this.#budget = limits.maxHandshakeBurst;
  }

  get size(): number {
    return this.#partyOf.size;
  }

  /**
   * The socket counts until `end`, or until it closes. `begin` is called when its turn has come. Returns whether
   * another was cut for it.
   */
  add(socket: Socket, begin: () => void): boolean {
    const address = partyAddress(socket.remoteAddress ?? "");
    const party = this.#parties.get(address) ?? { address, sockets: new Set(), waiting: new Map() };
    this.#parties.set(address, party);
    this.#partyOf.set(socket, party);
    party.sockets.add(socket);
    socket.once("close", () => this.end(socket));
    const isTooMany = this.size > this.#limits.maxHandshakes;
    if (isTooMany) {
      this.#cutOne();
    }
    if (this.#isPaced) {
      party.waiting.set(socket, begin);
      this.#turns.add(party);
      this.#takeTurns();
    } else {
      begin();
    }
    return isTooMany;
  }

  /** The socket has come to speak, or never will. */
  end(socket: Socket): void {
    const party = this.#partyOf.get(socket);
    if (party === undefined) {
      return;
    }
    this.#partyOf.delete(socket);
    party.waiting.delete(socket);
    party.sockets.delete(socket);
    if (party.sockets.size === 0) {
      this.#parties.delete(party.address);
    }
  }

  /** Destroys them all. */
  cutAll(): void {
    for (const socket of [...this.#partyOf.keys()]) {
      this.#cut(socket);
    }
  }

  #cutOne(): void {
    let greatest: Party | null = null;
    for (const party of this.#parties.values()) {
      greatest = greatest === null || party.sockets.size > greatest.sockets.size ? party : greatest;
    }
    const [oldest] = greatest?.sockets ?? [];
    if (oldest !== undefined) {
      this.#cut(oldest);
    }
  }

  #cut(socket: Socket): void {
    this.end(socket);
    socket.destroy();
  }

  #takeTurns(): void {
    const { handshakesPerSecond, maxHandshakeBurst } = this.#limits;
    const nowMs = performance.now();
    const earned = ((nowMs - this.#refilledAtMs) * handshakesPerSecond) / 1000;
    this.#budget = Math.min(maxHandshakeBurst, this.#budget + earned);
    this.#refilledAtMs = nowMs;
    for (const party of this.#turns) {
      if (this.#budget < 1) {
        this.#planTurns();
        return;
      }
      // To the end of the line: a set is walked in the order of adding, what is added now included.
      this.#turns.delete(party);
      const [next] = party.waiting;
      if (next === undefined) {
        continue;
      }
      const [socket, begin] = next;
      party.waiting.delete(socket);
      if (party.waiting.size > 0) {
        this.#turns.add(party);
      }
      this.#budget -= 1;
      begin();
    }
  }

  #planTurns(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = null;
        this.#takeTurns();
      },
      Math.ceil(1000 / this.#limits.handshakesPerSecond),
    );
  }
}

/** A holder of one IPv6 address has the 2^64 of its network. */
function partyAddress(address: string): string {
  if (!address.includes(":") || address.includes(".")) {
    return address;
  }
  const [head = "", tail] = address.split("::");
  const first = head.split(":");
  const groups = tail === undefined ? first : [...first, ...Array.from({ length: 8 }, () => "0")];
  return groups.slice(0, 4).join(":");
}
