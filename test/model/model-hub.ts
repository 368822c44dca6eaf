import { graceMs, leaseMs } from "../../src/authority/lease.ts";
import type { Answer } from "./local-cache.ts";
import { readFromDisk } from "./read-from-disk.ts";
import type { Moment, Span, Thread } from "./simulation.ts";
import { type Hub, Stream, type Watching } from "./stream.ts";
import type { Change, World } from "./world.ts";

const lookMs = 20;
const maxUnacknowledged = 8;

/** What the authority knows of one stream. */
type Watcher = {
  /** The gateway has applied every change up to here. */
  acknowledged: number;
  /** When the lease is over, by the clock of the thread and with the grace. */
  overMs: number;
  /** Sent, and not acknowledged when it was last looked. */
  unacknowledged: number[];
};

/** A hub that is written as the rules say, and can leave one out. */
export class ModelHub implements Hub {
  readonly thread: Thread;
  settled: number;
  isStopping = false;
  readonly #world: World;
  readonly #watchers = new Map<Stream, Watcher>();
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

  wake(atMs: number): void {
    const deaf = this.#deaf.find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);
    this.thread.at(deaf?.toMs ?? atMs, () => this.catchUp());
  }

  /** Sends what was changed since the last time. */
  catchUp(): void {
    const { journal } = this.#world.disk;
    for (const change of journal.slice(this.#sent)) {
      this.#sent = change.revision;
      for (const [stream, watcher] of this.#watchers) {
        forget(stream, watcher, change);
      }
    }
    this.#publish();
  }

  read(token: number, take: (answer: Answer) => void): void {
    readFromDisk(this.#world, this, token, take);
  }

  open(gateway: Watching, applied: number | null): Stream | null {
    if (this.isStopping) {
      return null;
    }
    this.catchUp();
    const stream = new Stream(this, gateway);
    const watcher: Watcher = { acknowledged: applied ?? this.#sent, overMs: 0, unacknowledged: [] };
    this.#watchers.set(stream, watcher);
    for (const change of this.#world.disk.journal.slice(watcher.acknowledged, this.#sent)) {
      forget(stream, watcher, change);
    }
    return stream;
  }

  renew(stream: Stream, asked: Moment, applied: number): void {
    const { isKept, disk } = this.#world;
    const watcher = this.#watchers.get(stream);
    if (watcher === undefined || stream.isEnded || stream.isLost) {
      return;
    }
    watcher.acknowledged = Math.max(watcher.acknowledged, isKept("W4") ? applied : this.#sent);
    if (isKept("W5 catch up")) {
      this.catchUp();
    }
    const isUpToDate = watcher.acknowledged >= this.#sent || !isKept("W3");
    if (isUpToDate && !this.isStopping) {
      disk.hasMarker = true;
      const durationMs = isKept("W2") ? leaseMs : 2 * (leaseMs + graceMs);
      watcher.overMs = Math.max(watcher.overMs, this.thread.clockMs() + durationMs + graceMs);
      stream.lease({ asked, durationMs, revision: this.#sent }, isKept("W3"));
    }
    this.#publish();
  }

  release(stream: Stream): void {
    this.#watchers.delete(stream);
  }

  lost(stream: Stream): void {
    if (!this.#world.isKept("S1 stream")) {
      this.#watchers.delete(stream);
    }
  }

  stop(): void {
    this.isStopping = true;
    for (const stream of this.#watchers.keys()) {
      stream.end();
    }
  }

  hasLeases(): boolean {
    return [...this.#watchers.values()].some(({ overMs }) => this.thread.clockMs() < overMs);
  }

  #look(): void {
    const nowMs = this.thread.clockMs();
    for (const [stream, { overMs }] of this.#watchers) {
      if ((stream.isEnded || stream.isLost) && nowMs >= overMs) {
        this.#watchers.delete(stream);
      }
    }
    this.#publish();
    this.thread.after(lookMs, () => this.#look());
  }

  #publish(): void {
    const nowMs = this.thread.clockMs();
    let settled = this.#sent;
    for (const { acknowledged, overMs } of this.#watchers.values()) {
      settled = nowMs < overMs ? Math.min(settled, acknowledged) : settled;
    }
    this.settled = settled;
  }
}

/** More than a slow gateway should have waiting for it is one word: everything may have changed. */
function forget(stream: Stream, watcher: Watcher, change: Change): void {
  watcher.unacknowledged = watcher.unacknowledged.filter((revision) => revision > watcher.acknowledged);
  watcher.unacknowledged.push(change.revision);
  if (watcher.unacknowledged.length > maxUnacknowledged) {
    stream.reset(change.revision);
  } else {
    stream.forget(change);
  }
}
