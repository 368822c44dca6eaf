import { type Link, Ordered } from "./link.ts";
import type { Answer } from "./local-cache.ts";
import type { Action, Moment, Thread } from "./simulation.ts";
import type { Change } from "./world.ts";

/** What arrives at a gateway that watches. */
export type Watching = {
  readonly thread: Thread;
  readonly link: Link;
  takeForget(stream: Stream, change: Change): void;
  takeReset(stream: Stream, revision: number): void;
  takeLease(stream: Stream, lease: Lease): void;
  takeEnd(stream: Stream): void;
};

export type Lease = {
  /** By the gateway's clocks. */
  readonly asked: Moment;
  readonly durationMs: number;
  readonly revision: number;
};

/** The gateways that watch at one thread: what each was sent, what it acknowledged, how long its lease may last. */
export type Hub = {
  readonly thread: Thread;
  readonly isStopping: boolean;
  /** Every gateway of this thread has applied so much, or has no lease. The other threads read it. */
  readonly settled: number;
  /** Another thread, or this one, has changed something. */
  wake(atMs: number): void;
  /** Answers what is true of the token, if it answers at all. */
  read(token: number, take: (answer: Answer) => void): void;
  /** `applied` is where the gateway resumes; null where it has nothing. Null is answered while the process stops. */
  open(gateway: Watching, applied: number | null): Stream | null;
  renew(stream: Stream, asked: Moment, applied: number): void;
  release(stream: Stream): void;
  /** The connection is gone, which says nothing about the lease. */
  lost(stream: Stream): void;
  stop(): void;
  hasLeases(): boolean;
};

/** One gateway that watches at one thread. */
export class Stream {
  isEnded = false;
  /** The authority can send nothing on it any more. */
  isLost = false;
  readonly #hub: Hub;
  readonly #gateway: Watching;
  readonly #down: Ordered;
  readonly #up: Ordered;

  constructor(hub: Hub, gateway: Watching) {
    this.#hub = hub;
    this.#gateway = gateway;
    this.#down = new Ordered(gateway.link, gateway.thread);
    this.#up = new Ordered(gateway.link, hub.thread);
  }

  isOfDead(): boolean {
    return this.#hub.thread.isDead;
  }

  forget(change: Change): void {
    this.#send(() => this.#gateway.takeForget(this, change));
  }

  reset(revision: number): void {
    this.#send(() => this.#gateway.takeReset(this, revision));
  }

  lease(lease: Lease, isInOrder = true): void {
    const arrive = () => this.#gateway.takeLease(this, lease);
    if (isInOrder) {
      this.#send(arrive);
    } else {
      this.#down.overtake(arrive);
    }
  }

  end(): void {
    this.isEnded = true;
    this.#down.send(() => this.#gateway.takeEnd(this));
  }

  /** From the gateway. */
  renew(asked: Moment, applied: number): void {
    this.#up.send(() => this.#hub.renew(this, asked, applied));
  }

  /** From the gateway: its last message. */
  release(): void {
    this.#up.send(() => this.#hub.release(this));
  }

  /** From the gateway: it has closed the connection. */
  lose(): void {
    this.isEnded = true;
    this.#up.send(() => this.#hub.lost(this));
  }

  /** To the authority, from between: the connection is gone. */
  lost(): void {
    this.isLost = true;
    this.#hub.lost(this);
  }
  #send(action: Action): void {
    if (!this.isLost) {
      this.#down.send(action);
    }
  }
}
