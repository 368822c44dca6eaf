import type { Authority } from "./authority.ts";
import type { Hub, Lease, Stream, Watching } from "./hub.ts";
import { deliver, type Link } from "./link.ts";
import { renewMs } from "./rules.ts";
import type { Thread } from "./simulation.ts";
import type { Change, World } from "./world.ts";

/** A gateway asks the authority about keys before it has come to watch. */
const maxConnectMs = 1000;
const silenceMs = 3000;

type Entry = { readonly revision: number; readonly basis: number };

/** One process of a gateway: decides from memory while it has a lease, and asks the authority else. */
export class Gateway implements Watching {
  readonly thread: Thread;
  readonly link: Link;
  readonly #world: World;
  readonly #name: string;
  readonly #authority: () => Authority;
  readonly #cache = new Map<number, Entry>();
  /** The revision of the newest event about a token (`t3`) or an account (`a1`), oldest first. */
  readonly #tombstones = new Map<string, number>();
  #applied: number | null = null;
  #floor: number | null = null;
  /** An answer that is older than one which was let go is not kept: the holder would go back. */
  #leastFloor = 0;
  #stream: Stream | null = null;
  /** Streams whose leases still count: the newest, and the one before it until it is released. */
  #leased: Stream[] = [];
  #heardMs = 0;
  readonly #maxEntries: number;
  readonly #maxTombstones: number;

  constructor(
    world: World,
    { thread, link }: { thread: Thread; link: Link },
    name: string,
    authority: () => Authority,
  ) {
    this.#world = world;
    this.thread = thread;
    this.link = link;
    this.#name = name;
    this.#authority = authority;
    const { random } = world.simulation;
    this.#maxEntries = random.pick([30, 1000, 1000]);
    this.#maxTombstones = random.pick([2, 100]);
    this.#floor = world.isKept("C1 floor") ? null : 0;
    this.thread.after(world.simulation.between(0, maxConnectMs), () => this.#beat());
  }

  /** Somebody asks whether the key of this token may pass. */
  ask(token: number): void {
    const { isKept, history, simulation } = this.#world;
    const entry = this.#cache.get(token);
    if (entry !== undefined && (this.#hasLease() || !isKept("C2"))) {
      history.decided({ token, holder: this.#name, beganMs: simulation.nowMs, basis: entry.basis });
    } else {
      this.#askAuthority(token);
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

  takeForget(stream: Stream, { revision, token, account }: Change): void {
    if (stream.isEnded || !this.#leased.includes(stream)) {
      return;
    }
    this.#applied = Math.max(this.#applied ?? 0, revision);
    if (token !== null) {
      this.#forgetOlder(revision, (cached) => cached === token);
      this.#bury(`t${token}`, revision);
    }
    if (account !== null) {
      this.#forgetOlder(revision, (cached) => this.#world.accountOf(cached) === account);
      if (this.#world.isKept("C1 account")) {
        this.#bury(`a${account}`, revision);
      }
    }
    this.#renew(stream);
  }

  takeReset(stream: Stream, revision: number): void {
    if (stream.isEnded || !this.#leased.includes(stream)) {
      return;
    }
    this.#applied = Math.max(this.#applied ?? 0, revision);
    this.#forgetOlder(revision, () => true);
    this.#tombstones.clear();
    if (this.#floor === null || this.#world.isKept("C1 reset")) {
      this.#floor = Math.max(this.#floor ?? 0, revision);
    }
    this.#renew(stream);
  }

  takeLease(stream: Stream, { askedMs, durationMs, revision }: Lease): void {
    if (stream.isEnded || !this.#leased.includes(stream)) {
      return;
    }
    const { isKept } = this.#world;
    const nowMs = this.thread.clockMs();
    this.#heardMs = nowMs;
    this.#applied = Math.max(this.#applied ?? 0, revision);
    this.#floor ??= revision;
    stream.leasedUntilMs = Math.max(stream.leasedUntilMs, (isKept("W1") ? askedMs : nowMs) + durationMs);
    if (stream === this.#stream) {
      this.#releaseOthers(stream);
    }
  }

  takeEnd(stream: Stream): void {
    if (stream === this.#stream) {
      this.#connect();
    }
  }

  #hasLease(): boolean {
    const nowMs = this.thread.clockMs();
    return this.#leased.some(({ leasedUntilMs }) => nowMs < leasedUntilMs);
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
    stream.renew(this.thread.clockMs(), this.#applied ?? 0);
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
    deliver(this.link, hub.thread, () => this.#read(hub, token, beganMs));
  }

  /** An answer from the memory of the thread takes no time, one from its database may take long. */
  #read(hub: Hub, token: number, beganMs: number): void {
    const { simulation, disk, history, isKept } = this.#world;
    if (hub.isStopping) {
      return;
    }
    const sawRevision = disk.journal.length;
    const basis = history.basisAt(token, sawRevision);
    const readMs = simulation.random.pick([0, 0, 0, 0, 1, 1, 1, simulation.between(50, 2500)]);
    hub.thread.at(simulation.nowMs + readMs, () => {
      const revision = isKept("A1 revision") ? sawRevision : disk.journal.length;
      deliver(this.link, this.thread, () => this.#takeAnswer({ token, beganMs, basis, revision }));
    });
  }

  #takeAnswer(answer: { token: number; beganMs: number; basis: number; revision: number }): void {
    const { token, beganMs, basis, revision } = answer;
    this.#world.history.decided({ token, holder: this.#name, beganMs, basis });
    if (this.#floor === null) {
      this.#letGo(revision);
    } else if (this.#mayKeep(token, revision, this.#floor)) {
      this.#cache.set(token, { revision, basis });
      this.#evict();
    } else if ((this.#cache.get(token)?.revision ?? revision) < revision) {
      this.#cache.delete(token);
    }
  }

  /** An answer of this revision was given, and is not remembered. */
  #letGo(revision: number): void {
    if (this.#world.isKept("C1 let go")) {
      this.#leastFloor = Math.max(this.#leastFloor, revision);
    }
  }

  #mayKeep(token: number, revision: number, floor: number): boolean {
    const { isKept, accountOf } = this.#world;
    if (revision < Math.max(floor, this.#leastFloor)) {
      return false;
    }
    const ofToken = this.#tombstones.get(`t${token}`) ?? 0;
    const ofAccount = this.#tombstones.get(`a${accountOf(token)}`) ?? 0;
    const isOverruled = Math.max(isKept("C1 tombstone") ? ofToken : 0, ofAccount) > revision;
    const isOlder = (this.#cache.get(token)?.revision ?? 0) > revision;
    return !isOverruled && !(isOlder && isKept("C1 order"));
  }

  #evict(): void {
    const [oldest] = this.#cache;
    if (this.#cache.size > this.#maxEntries && oldest !== undefined) {
      const [token, { revision }] = oldest;
      this.#cache.delete(token);
      this.#letGo(revision);
    }
  }

  /** An answer from after the event knows of it. */
  #forgetOlder(revision: number, isMeant: (token: number) => boolean): void {
    for (const [token, entry] of this.#cache) {
      if (entry.revision < revision && isMeant(token)) {
        this.#cache.delete(token);
      }
    }
  }

  #bury(name: string, revision: number): void {
    this.#tombstones.delete(name);
    this.#tombstones.set(name, revision);
    const [oldest] = this.#tombstones;
    if (this.#tombstones.size > this.#maxTombstones && oldest !== undefined) {
      this.#tombstones.delete(oldest[0]);
      if (this.#world.isKept("C1 dropped")) {
        this.#floor = Math.max(this.#floor ?? 0, oldest[1]);
      }
    }
  }
}
