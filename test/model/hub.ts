import { type Link, Ordered } from "./link.ts";
import { graceMs, leaseMs } from "./rules.ts";
import type { Span, Thread } from "./simulation.ts";
import type { Change, World } from "./world.ts";

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
  /** The time of the gateway's clock when it asked. */
  readonly askedMs: number;
  readonly durationMs: number;
  readonly revision: number;
};

const lookMs = 20;
const maxUnacknowledged = 8;

/** The gateways that watch at one thread: what each was sent, what it acknowledged, how long its lease may last. */
export class Hub {
  readonly thread: Thread;
  /** Every gateway of this thread has applied so much, or has no lease. The other threads read it. */
  settled: number;
  isStopping = false;
  readonly #world: World;
  readonly #streams = new Set<Stream>();
  readonly #deaf: readonly Span[];
  #sent: number;

  constructor(world: World, thread: Thread, deaf: readonly Span[]) {
    this.#world = world;
    this.thread = thread;
    this.#deaf = deaf;
    this.#sent = world.disk.journal.length;
    this.settled = this.#sent;
    this.#look();
  }

  /** Another thread, or this one, has changed something. */
  wake(atMs: number): void {
    const deaf = this.#deaf.find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);
    this.thread.at(deaf?.toMs ?? atMs, () => this.catchUp());
  }

  /** Sends what was changed since the last time. */
  catchUp(): void {
    const { journal } = this.#world.disk;
    for (const change of journal.slice(this.#sent)) {
      this.#sent = change.revision;
      for (const stream of this.#streams) {
        stream.forget(change);
      }
    }
    this.#publish();
  }

  /** `applied` is where the gateway resumes; null where it has nothing. */
  open(gateway: Watching, applied: number | null): Stream | null {
    if (this.isStopping) {
      return null;
    }
    this.catchUp();
    const stream = new Stream(this, gateway, applied ?? this.#sent);
    this.#streams.add(stream);
    for (const change of this.#world.disk.journal.slice(stream.acknowledged, this.#sent)) {
      stream.forget(change);
    }
    return stream;
  }

  renew(stream: Stream, askedMs: number, applied: number): void {
    const { isKept, disk } = this.#world;
    if (!this.#streams.has(stream) || stream.isEnded || stream.isLost) {
      return;
    }
    stream.acknowledged = Math.max(stream.acknowledged, isKept("W4") ? applied : this.#sent);
    if (isKept("W5 catch up")) {
      this.catchUp();
    }
    const isUpToDate = stream.acknowledged >= this.#sent || !isKept("W3");
    if (isUpToDate && !this.isStopping) {
      disk.hasMarker = true;
      const durationMs = isKept("W2") ? leaseMs : 2 * (leaseMs + graceMs);
      stream.overMs = Math.max(stream.overMs, this.thread.clockMs() + durationMs + graceMs);
      stream.lease({ askedMs, durationMs, revision: this.#sent }, isKept("W3"));
    }
    this.#publish();
  }

  release(stream: Stream): void {
    this.#streams.delete(stream);
  }

  /** The connection is gone, which says nothing about the lease. */
  lost(stream: Stream): void {
    if (!this.#world.isKept("S1 stream")) {
      this.#streams.delete(stream);
    }
  }

  stop(): void {
    this.isStopping = true;
    for (const stream of this.#streams) {
      stream.end();
    }
  }

  hasLeases(): boolean {
    return [...this.#streams].some(({ overMs }) => this.thread.clockMs() < overMs);
  }

  #look(): void {
    const nowMs = this.thread.clockMs();
    for (const stream of this.#streams) {
      if ((stream.isEnded || stream.isLost) && nowMs >= stream.overMs) {
        this.#streams.delete(stream);
      }
    }
    this.#publish();
    this.thread.after(lookMs, () => this.#look());
  }

  #publish(): void {
    const nowMs = this.thread.clockMs();
    let settled = this.#sent;
    for (const { acknowledged, overMs } of this.#streams) {
      settled = nowMs < overMs ? Math.min(settled, acknowledged) : settled;
    }
    this.settled = settled;
  }
}

/** One gateway that watches at one thread. */
export class Stream {
  /** The gateway has applied every change up to here. */
  acknowledged: number;
  /** When the lease is over, by the clock of the thread and with the grace. */
  overMs = 0;
  isEnded = false;
  /** The authority can send nothing on it any more. */
  isLost = false;
  /** Set by the gateway: when its lease is over, by its own clock. */
  leasedUntilMs = 0;
  readonly #hub: Hub;
  readonly #gateway: Watching;
  readonly #down: Ordered;
  readonly #up: Ordered;
  #unacknowledged: number[] = [];

  constructor(hub: Hub, gateway: Watching, acknowledged: number) {
    this.#hub = hub;
    this.#gateway = gateway;
    this.acknowledged = acknowledged;
    this.#down = new Ordered(gateway.link, gateway.thread);
    this.#up = new Ordered(gateway.link, hub.thread);
  }

  isOfDead(): boolean {
    return this.#hub.thread.isDead;
  }

  /** More than a slow gateway should have waiting for it is one word: everything may have changed. */
  forget(change: Change): void {
    this.#unacknowledged = this.#unacknowledged.filter((revision) => revision > this.acknowledged);
    this.#unacknowledged.push(change.revision);
    const isTooMuch = this.#unacknowledged.length > maxUnacknowledged;
    if (this.isLost) {
      return;
    }
    this.#down.send(() =>
      isTooMuch ? this.#gateway.takeReset(this, change.revision) : this.#gateway.takeForget(this, change),
    );
  }

  lease(lease: Lease, isInOrder: boolean): void {
    const arrive = () => this.#gateway.takeLease(this, lease);
    if (isInOrder) {
      this.#down.send(arrive);
    } else {
      this.#down.overtake(arrive);
    }
  }

  end(): void {
    this.isEnded = true;
    this.#down.send(() => this.#gateway.takeEnd(this));
  }

  /** From the gateway. */
  renew(askedMs: number, applied: number): void {
    this.#up.send(() => this.#hub.renew(this, askedMs, applied));
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
}
