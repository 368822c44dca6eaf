import type { TokenChange } from "../../src/authority/freshness.ts";
import { leaseMs } from "../../src/authority/lease.ts";
import { createWatchers, type Watcher, type Watchers } from "../../src/authority/watchers.ts";
import type { Answer } from "./local-cache.ts";
import { readFromDisk } from "./read-from-disk.ts";
import type { Moment, Span, Thread } from "./simulation.ts";
import { type Hub, Stream, type Watching } from "./stream.ts";
import { tellStreams } from "./tell-streams.ts";
import type { Change, World } from "./world.ts";

const lookMs = 20;
/** So few that gateways are reset in most rounds. */
const maxBehind = 8;
const hash = new Uint8Array(32);

/** Those who watch at one thread, kept by the authority's own watchers. */
export class ProjectHub implements Hub {
  readonly thread: Thread;
  settled = Number.POSITIVE_INFINITY;
  isStopping = false;
  readonly #world: World;
  readonly #deaf: readonly Span[];
  readonly #watchers: Watchers;
  readonly #streams = new Map<Stream, Watcher>();
  readonly #asked: Moment[] = [];

  constructor(world: World, thread: Thread, deaf: readonly Span[]) {
    this.#world = world;
    this.thread = thread;
    this.#deaf = deaf;
    this.#watchers = createWatchers(
      () => thread.clockMs(),
      () => thread.wallMs(),
    );
    this.#look();
  }

  wake(atMs: number): void {
    const deaf = this.#deaf.find(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);
    this.thread.at(deaf?.toMs ?? atMs, () => this.#catchUp());
  }

  read(token: number, take: (answer: Answer) => void): void {
    readFromDisk(this.#world, this, token, take);
  }

  open(gateway: Watching, applied: number | null): Stream | null {
    if (this.isStopping) {
      return null;
    }
    const { journal } = this.#world.disk;
    if (this.#watchers.size() === 0) {
      this.#watchers.restart(journal.length, hash);
    }
    this.#catchUp();
    const stream = new Stream(this, gateway);
    this.#streams.set(stream, this.#resume(applied ?? journal.length));
    this.#tell();
    return stream;
  }

  renew(stream: Stream, asked: Moment, applied: number): void {
    const watcher = this.#streams.get(stream);
    if (watcher === undefined || stream.isEnded || stream.isLost || this.isStopping) {
      return;
    }
    watcher.acknowledge(Math.min(applied, watcher.told()));
    if (this.#world.isKept("W5 catch up")) {
      this.#catchUp();
    }
    this.#world.disk.hasMarker = true;
    watcher.grant(this.#asked.push(asked) - 1, leaseMs);
    this.#tell();
    this.#report();
  }

  release(stream: Stream): void {
    this.#streams.get(stream)?.release();
    this.#report();
  }

  lost(stream: Stream): void {
    const watcher = this.#streams.get(stream);
    if (!this.#world.isKept("S1 stream")) {
      watcher?.release();
    }
    watcher?.leave();
    this.#streams.delete(stream);
    this.#report();
  }

  stop(): void {
    this.isStopping = true;
    for (const [stream, watcher] of this.#streams) {
      stream.end();
      watcher.leave();
    }
    this.#streams.clear();
  }

  hasLeases(): boolean {
    return this.#watchers.report().report !== null;
  }

  #catchUp(): void {
    const changes = this.#world.disk.journal.slice(this.#watchers.applied());
    if (changes.length > 0) {
      const told = changes.length > maxBehind ? null : changes.map(toTokenChange);
      this.#watchers.advance(told, this.#world.disk.journal.length, hash);
      this.#tell();
      this.#report();
    }
  }

  #resume(applied: number): Watcher {
    const floor = this.#watchers.floor();
    if (applied < floor) {
      const older = this.#world.disk.journal.slice(applied, floor);
      if (older.length > maxBehind) {
        return this.#watchers.reset("gateway", "TOO_FAR_BEHIND");
      }
      this.#watchers.remember(older.map(toTokenChange), applied);
    }
    return this.#watchers.resume("gateway", applied);
  }

  #tell(): void {
    tellStreams(this.#streams, this.#asked, this.#world.disk.journal);
  }

  #report(): void {
    this.settled = this.#watchers.report().report?.settledRevision ?? Number.POSITIVE_INFINITY;
  }

  #look(): void {
    this.#report();
    this.thread.after(lookMs, () => this.#look());
  }
}

function toTokenChange({ revision, token, account }: Change): TokenChange {
  return {
    revision,
    action: "revoke",
    digests: token === null ? null : [hash],
    tokenId: token === null ? "" : `tok_${token}`,
    account: account === null ? null : `acct_${account}`,
  };
}
