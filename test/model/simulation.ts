import type { Random } from "../suites/support/random.ts";

export type Action = () => void;
export type Span = { readonly fromMs: number; readonly toMs: number };

type Event = { readonly atMs: number; readonly order: number; readonly action: Action };

/** Takes the place of the world's time: runs actions in the order of their times, as fast as it can. */
export class Simulation {
  readonly random: Random;
  /** Nothing fails, and messages take a millisecond. */
  readonly isCalm: boolean;
  nowMs = 0;
  /** A binary heap by time, then by order of arrival. */
  readonly #waiting: Event[] = [];
  #arrived = 0;

  constructor(random: Random, isCalm: boolean) {
    this.random = random;
    this.isCalm = isCalm;
  }

  at(atMs: number, action: Action): void {
    this.#arrived += 1;
    this.#waiting.push({ atMs: Math.max(atMs, this.nowMs), order: this.#arrived, action });
    this.#rise(this.#waiting.length - 1);
  }

  runUntil(endMs: number): void {
    for (let first = this.#waiting[0]; first !== undefined && first.atMs <= endMs; first = this.#waiting[0]) {
      this.#removeFirst();
      this.nowMs = first.atMs;
      first.action();
    }
  }

  between(lowMs: number, highMs: number): number {
    return lowMs + (this.random.below(1_000_000) / 1_000_000) * (highMs - lowMs);
  }

  /** How fast a clock runs. */
  rate(): number {
    return this.isCalm ? 1 : this.between(0.97, 1.03);
  }

  /** Some spans of the time to come, which begin before `endMs` and are between `leastMs` and `mostMs` long. */
  spans(counts: readonly number[], [leastMs, mostMs]: readonly [number, number], endMs: number): readonly Span[] {
    const count = this.isCalm ? 0 : this.random.pick(counts);
    return Array.from({ length: count }, () => {
      const fromMs = this.between(Math.max(500, this.nowMs), endMs);
      return { fromMs, toMs: fromMs + this.between(leastMs, mostMs) };
    });
  }

  /** How long a message takes: a few are very slow. */
  delayMs(): number {
    if (this.isCalm) {
      return this.between(0.2, 1.5);
    }
    return this.random.chance(0.95) ? this.between(0.1, 3) : this.between(3, 2500);
  }

  #rise(from: number): void {
    const waiting = this.#waiting;
    let index = from;
    let event = waiting[index];
    while (event !== undefined && index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = waiting[parentIndex];
      if (parent === undefined || !isBefore(event, parent)) {
        return;
      }
      waiting[index] = parent;
      waiting[parentIndex] = event;
      index = parentIndex;
      event = waiting[index];
    }
  }

  #removeFirst(): void {
    const waiting = this.#waiting;
    const last = waiting.pop();
    if (last === undefined || waiting.length === 0) {
      return;
    }
    let index = 0;
    for (;;) {
      const leftIndex = 2 * index + 1;
      const left = waiting[leftIndex];
      const right = waiting[leftIndex + 1];
      if (left === undefined) {
        break;
      }
      const isRight = right !== undefined && isBefore(right, left);
      const least = isRight ? right : left;
      if (!isBefore(least, last)) {
        break;
      }
      waiting[index] = least;
      index = isRight ? leftIndex + 1 : leftIndex;
    }
    waiting[index] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** A reading of both clocks of a process. */
export type Moment = { readonly monotonicMs: number; readonly wallMs: number };

/** What befalls one thread of a process. */
export type Faults = {
  /** How fast its clock runs. */
  readonly rate: number;
  /** While it does nothing, and its clock goes on. */
  readonly stops: readonly Span[];
  /** While it does nothing, and its clock stands still. */
  readonly freezes: readonly Span[];
};

/** One thread of execution with a clock. It does what comes up while it is stopped as soon as it goes on. */
export class Thread {
  isDead = false;
  /** What came up while it was stopped, in the order in which it did. */
  readonly #backlog: Action[] = [];
  readonly #simulation: Simulation;
  readonly #faults: Faults;

  constructor(simulation: Simulation, faults: Faults) {
    this.#simulation = simulation;
    this.#faults = faults;
  }

  clockMs(): number {
    const { nowMs } = this.#simulation;
    let stoodStillMs = 0;
    for (const { fromMs, toMs } of this.#faults.freezes) {
      stoodStillMs += Math.max(0, Math.min(nowMs, toMs) - fromMs);
    }
    return (nowMs - stoodStillMs) * this.#faults.rate;
  }

  /** Its wall clock, which goes on while the other one stands still. */
  wallMs(): number {
    return this.#simulation.nowMs * this.#faults.rate;
  }

  moment(): Moment {
    return { monotonicMs: this.clockMs(), wallMs: this.wallMs() };
  }

  at(atMs: number, action: Action): void {
    this.#simulation.at(atMs, () => this.#tryNow(action));
  }

  /** By its own clock. */
  after(ms: number, action: Action): void {
    this.#at(this.clockMs() + ms, action);
  }

  #at(dueMs: number, action: Action): void {
    const leftMs = dueMs - this.clockMs();
    if (leftMs <= 1e-6) {
      action();
      return;
    }
    this.at(this.#simulation.nowMs + Math.max(0.01, leftMs / this.#faults.rate), () => this.#at(dueMs, action));
  }

  #tryNow(action: Action): void {
    if (this.#backlog.length > 0) {
      this.#backlog.push(action);
      return;
    }
    const untilMs = this.#stoppedUntilMs();
    if (untilMs === null) {
      this.#do(action);
    } else {
      this.#backlog.push(action);
      this.#simulation.at(untilMs, () => this.#goOn());
    }
  }

  #goOn(): void {
    const untilMs = this.#stoppedUntilMs();
    if (untilMs === null) {
      for (const action of this.#backlog.splice(0)) {
        this.#do(action);
      }
    } else {
      this.#simulation.at(untilMs, () => this.#goOn());
    }
  }

  #do(action: Action): void {
    if (!this.isDead) {
      action();
    }
  }

  /** Null while it runs. */
  #stoppedUntilMs(): number | null {
    const { nowMs } = this.#simulation;
    for (const spans of [this.#faults.stops, this.#faults.freezes]) {
      for (const { fromMs, toMs } of spans) {
        if (fromMs <= nowMs && nowMs < toMs) {
          return toMs;
        }
      }
    }
    return null;
  }
}
