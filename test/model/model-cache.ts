import type { Answer, LocalCache } from "./local-cache.ts";
import type { Moment, Thread } from "./simulation.ts";
import type { Change, World } from "./world.ts";

type Entry = { readonly revision: number; readonly basis: number };

/** A cache that is written as the rules say, and can leave one out. */
export class ModelCache implements LocalCache {
  readonly #world: World;
  readonly #thread: Thread;
  readonly #entries = new Map<number, Entry>();
  /** The revision of the newest event about a token (`t3`) or an account (`a1`), oldest first. */
  readonly #tombstones = new Map<string, number>();
  readonly #maxEntries: number;
  readonly #maxTombstones: number;
  #floor: number | null;
  /** An answer that is older than one which was let go is not kept: the holder would go back. */
  #leastFloor = 0;
  #leasedUntilMs = 0;

  constructor(world: World, thread: Thread) {
    const { random } = world.simulation;
    this.#world = world;
    this.#thread = thread;
    this.#maxEntries = random.pick([30, 1000, 1000]);
    this.#maxTombstones = random.pick([2, 100]);
    this.#floor = world.isKept("C1 floor") ? null : 0;
  }

  basisOf(token: number): number | null {
    const hasLease = this.#thread.clockMs() < this.#leasedUntilMs || !this.#world.isKept("C2");
    return hasLease ? (this.#entries.get(token)?.basis ?? null) : null;
  }

  ask(token: number): (answer: Answer) => void {
    return (answer) => this.#take(token, answer);
  }

  forget({ revision, token, account }: Change): void {
    const { isKept, accountOf } = this.#world;
    if (token !== null) {
      this.#forgetOlder(revision, (cached) => cached === token);
      this.#bury(`t${token}`, revision);
    }
    if (account !== null) {
      this.#forgetOlder(revision, (cached) => accountOf(cached) === account);
      if (isKept("C1 account")) {
        this.#bury(`a${account}`, revision);
      }
    }
  }

  reset(revision: number): void {
    this.#forgetOlder(revision, () => true);
    this.#tombstones.clear();
    if (this.#floor === null || this.#world.isKept("C1 reset")) {
      this.#floor = Math.max(this.#floor ?? 0, revision);
    }
  }

  lease({ monotonicMs }: Moment, durationMs: number, revision: number, isOfNewStream: boolean): void {
    const fromMs = this.#world.isKept("W1") ? monotonicMs : this.#thread.clockMs();
    this.#floor ??= revision;
    // What the stream before granted is given back.
    this.#leasedUntilMs = Math.max(isOfNewStream ? 0 : this.#leasedUntilMs, fromMs + durationMs);
  }

  #take(token: number, { basis, revision }: Answer): void {
    if (this.#floor === null) {
      this.#letGo(revision);
    } else if (this.#mayKeep(token, revision, this.#floor)) {
      this.#entries.set(token, { revision, basis });
      this.#evict();
    } else if ((this.#entries.get(token)?.revision ?? revision) < revision) {
      this.#entries.delete(token);
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
    const isOlder = (this.#entries.get(token)?.revision ?? 0) > revision;
    return !isOverruled && !(isOlder && isKept("C1 order"));
  }

  #evict(): void {
    const [oldest] = this.#entries;
    if (this.#entries.size > this.#maxEntries && oldest !== undefined) {
      const [token, { revision }] = oldest;
      this.#entries.delete(token);
      this.#letGo(revision);
    }
  }

  /** An answer from after the event knows of it. */
  #forgetOlder(revision: number, isMeant: (token: number) => boolean): void {
    for (const [token, entry] of this.#entries) {
      if (entry.revision < revision && isMeant(token)) {
        this.#entries.delete(token);
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
