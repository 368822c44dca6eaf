import { deliver, type Link } from "./link.ts";
import type { LocalCache } from "./local-cache.ts";
import { ModelCache } from "./model-cache.ts";
import { ProjectCache } from "./project-cache.ts";
import { renewMs } from "./rules.ts";
import type { Thread } from "./simulation.ts";
import type { Hub, Lease, Stream, Watching } from "./stream.ts";
import type { Change, World } from "./world.ts";

/** A gateway asks the authority about keys before it has come to watch. */
const maxConnectMs = 1000;
const silenceMs = 3000;

/** Whom a gateway may ask and watch. */
type Hubs = { readonly hubs: readonly Hub[] };

/** One process of a gateway: decides from memory while it has a lease, and asks the authority else. */
export class Gateway implements Watching {
  readonly thread: Thread;
  readonly link: Link;
  readonly #world: World;
  readonly #name: string;
  readonly #authority: () => Hubs;
  readonly #cache: LocalCache;
  #applied: number | null = null;
  #stream: Stream | null = null;
  /** The stream whose lease is held. */
  #holder: Stream | null = null;
  /** Streams that are listened to: the newest, and those before it until it has brought a lease. */
  #leased: Stream[] = [];
  #heardMs = 0;

  constructor(world: World, { thread, link }: { thread: Thread; link: Link }, name: string, authority: () => Hubs) {
    this.#world = world;
    this.thread = thread;
    this.link = link;
    this.#name = name;
    this.#authority = authority;
    this.#cache = world.pieces === "model" ? new ModelCache(world, thread) : new ProjectCache(world, thread);
    this.thread.after(world.simulation.between(0, maxConnectMs), () => this.#beat());
  }

  /** Somebody asks whether the key of this token may pass. */
  ask(token: number): void {
    const { history, simulation } = this.#world;
    const basis = this.#cache.basisOf(token);
    if (basis === null) {
      this.#askAuthority(token);
    } else {
      history.decided({ token, holder: this.#name, beganMs: simulation.nowMs, basis });
    }
  }

  /** Something between the two ends the connection towards the authority, and the gateway does not notice. */
  loseConnection(): void {
    this.#stream?.lost();
  }

  /** The connection has become old, or its end was announced: the gateway makes the next one. */
  moveOn(): void {
    this.#connect();
  }

  takeForget(stream: Stream, change: Change): void {
    if (this.#listensTo(stream)) {
      this.#cache.forget(change);
      this.#applied = Math.max(this.#applied ?? 0, change.revision);
      this.#renew(stream);
    }
  }

  takeReset(stream: Stream, revision: number): void {
    if (this.#listensTo(stream)) {
      this.#cache.reset(revision);
      this.#applied = Math.max(this.#applied ?? 0, revision);
      this.#renew(stream);
    }
  }

  takeLease(stream: Stream, { asked, durationMs, revision }: Lease): void {
    if (!this.#listensTo(stream)) {
      return;
    }
    this.#heardMs = this.thread.clockMs();
    this.#applied = Math.max(this.#applied ?? 0, revision);
    this.#cache.lease(asked, durationMs, revision, stream !== this.#holder);
    this.#holder = stream;
    if (stream === this.#stream) {
      this.#releaseOthers(stream);
    }
  }

  takeEnd(stream: Stream): void {
    if (stream === this.#stream) {
      this.#connect();
    }
  }

  #listensTo(stream: Stream): boolean {
    return !stream.isEnded && this.#leased.includes(stream);
  }

  #beat(): void {
    const { random } = this.#world.simulation;
    const stream = this.#stream;
    const isSilent = this.thread.clockMs() - this.#heardMs > silenceMs;
    if (stream === null || stream.isOfDead() || isSilent || random.chance(0.06)) {
      this.#connect();
    } else {
      this.#renew(stream);
    }
    this.thread.after(renewMs, () => this.#beat());
  }

  #renew(stream: Stream): void {
    stream.renew(this.thread.moment(), this.#applied ?? 0);
  }

  /** The lease of the stream before counts until the new one has brought its own. */
  #connect(): void {
    const { random } = this.#world.simulation;
    this.#heardMs = this.thread.clockMs();
    const hub = random.pick(this.#authority().hubs);
    const before = this.#stream;
    if (before !== null && !this.#world.isKept("S2 release")) {
      before.release();
    } else if (before !== null && random.chance(0.5)) {
      before.lose();
    }
    this.#stream = null;
    deliver(this.link, hub.thread, () => this.#open(hub));
  }

  #open(hub: Hub): void {
    if (this.#stream === null && !this.thread.isDead) {
      this.#stream = hub.open(this, this.#applied);
      if (this.#stream !== null) {
        this.#leased.push(this.#stream);
      }
    }
  }

  #releaseOthers(stream: Stream): void {
    for (const other of this.#leased) {
      if (other !== stream) {
        other.release();
      }
    }
    this.#leased = [stream];
  }

  #askAuthority(token: number): void {
    const { simulation } = this.#world;
    const hub = simulation.random.pick(this.#authority().hubs);
    const beganMs = simulation.nowMs;
    const keep = this.#cache.ask(token);
    deliver(this.link, hub.thread, () =>
      hub.read(token, (answer) =>
        deliver(this.link, this.thread, () => {
          this.#world.history.decided({ token, holder: this.#name, beganMs, basis: answer.basis });
          keep(answer);
        }),
      ),
    );
  }
}
