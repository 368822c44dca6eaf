import { createRandom } from "../suites/support/random.ts";
import { Authority, type Wish } from "./authority.ts";
import { Gateway } from "./gateway.ts";
import { History, type RoundResult } from "./history.ts";
import { cutsAfter, type Link, slowDown } from "./link.ts";
import { planLoad } from "./load.ts";
import type { Rule } from "./rules.ts";
import { Simulation, type Span, Thread } from "./simulation.ts";
import type { Pieces, World } from "./world.ts";

export type RoundOptions = {
  readonly seed: number;
  /** Default: the model's. */
  readonly pieces?: Pieces;
  /** The rule that nobody keeps. */
  readonly without?: Rule;
  /** Nothing fails, and messages take a millisecond. */
  readonly isCalm?: boolean;
  /** Clocks stand still for longer than the grace, which the promise leaves out. */
  readonly hasLongFreezes?: boolean;
};

const endMs = 16_000;
const firstChangeMs = 1500;
const lastChangeMs = endMs - 4500;
const tokens = 60;
const accounts = 10;
const threadCount = 3;
const gatewayCount = 4;
const asksAtOnce = 10;

/** Sixteen seconds of an authority with three threads, four gateways, and whatever may befall them. */
export function runRound(options: RoundOptions): RoundResult {
  return new Round(options).run();
}

class Round {
  readonly #simulation: Simulation;
  readonly #world: World;
  readonly #options: RoundOptions;
  #authority: Authority;
  readonly #gateways: Gateway[];

  constructor(options: RoundOptions) {
    const simulation = new Simulation(createRandom(options.seed), options.isCalm ?? false);
    const accountOf = (token: number) => token % accounts;
    this.#options = options;
    this.#simulation = simulation;
    this.#world = {
      pieces: options.pieces ?? "model",
      simulation,
      history: new History(simulation, accountOf),
      disk: { journal: [], hasMarker: false },
      accountOf,
      isKept: (rule) => rule !== options.without,
    };
    this.#authority = this.#startAuthority();
    this.#gateways = Array.from({ length: gatewayCount }, (_, index) => this.#startGateway(index, 1));
  }

  run(): RoundResult {
    this.#planRestarts();
    planLoad(this.#simulation, {
      ...{ tokens, accounts, firstChangeMs, lastChangeMs, asksAtOnce },
      changesOfToken: () => 1,
      change: (wish) => this.#askForChange(wish),
      holders: () => this.#gateways,
    });
    this.#simulation.runUntil(endMs);
    return this.#world.history.result();
  }

  #startAuthority(): Authority {
    const rate = this.#simulation.rate();
    const [stops, freezes] = [this.#spans([0, 0, 1, 1, 2], 20, 5000), this.#freezes()];
    const thread = () => ({
      thread: new Thread(this.#simulation, {
        rate,
        freezes,
        stops: [...stops, ...this.#spans([0, 0, 1], 20, 2500)],
      }),
      deaf: this.#spans([0, 1, 1, 2], 2500, 5000),
    });
    return new Authority(this.#world, [thread(), ...Array.from({ length: threadCount - 1 }, thread)]);
  }

  #startGateway(index: number, life: number): Gateway {
    const thread = new Thread(this.#simulation, {
      rate: this.#simulation.rate(),
      freezes: this.#freezes(),
      stops: this.#spans([0, 1, 1, 2], 20, 5000),
    });
    const link = this.#link();
    const gateway = new Gateway(this.#world, { thread, link }, `gateway ${index}, life ${life}`, () => this.#authority);
    for (const { fromMs } of link.faults.cuts) {
      const befallen = this.#simulation.random.pick([
        () => gateway.loseConnection(),
        () => gateway.moveOn(),
        () => undefined,
      ]);
      this.#simulation.at(fromMs - 5, befallen);
    }
    return gateway;
  }

  /** Most slow times end with a cut. */
  #link(): Link {
    const slow = slowDown(this.#simulation, this.#spans([0, 1, 2, 3], 300, 1500), 2400);
    const followed = slow.filter(() => this.#simulation.random.chance(0.7));
    const afterSlow = cutsAfter(this.#simulation, followed);
    const cuts = [...this.#spans([0, 1, 2], 50, 4000), ...afterSlow];
    return { simulation: this.#simulation, faults: { slow, cuts } };
  }

  #freezes(): readonly Span[] {
    return this.#options.hasLongFreezes === true ? this.#spans([1, 2], 1500, 4000) : this.#spans([0, 0, 1], 20, 300);
  }

  #spans(counts: readonly number[], leastMs: number, mostMs: number): readonly Span[] {
    return this.#simulation.spans(counts, [leastMs, mostMs], endMs);
  }

  #planRestarts(): void {
    if (this.#options.isCalm === true) {
      return;
    }
    const { random } = this.#simulation;
    if (random.chance(0.8)) {
      const atMs = this.#simulation.between(2000, endMs - 5000);
      const isCrash = random.chance(0.5);
      this.#simulation.at(atMs, () => (isCrash ? this.#authority.kill() : this.#authority.stop()));
      this.#simulation.at(atMs, () => this.#startAgainOnceDead(this.#simulation.between(50, 500)));
    }
    for (const index of this.#gateways.keys()) {
      if (random.chance(0.7)) {
        this.#simulation.at(this.#simulation.between(2000, endMs - 3000), () => this.#restartGateway(index));
      }
    }
  }

  #startAgainOnceDead(downMs: number): void {
    if (this.#authority.isDead()) {
      this.#simulation.at(this.#simulation.nowMs + downMs, () => {
        this.#authority = this.#startAuthority();
      });
    } else {
      this.#simulation.at(this.#simulation.nowMs + 10, () => this.#startAgainOnceDead(downMs));
    }
  }

  #restartGateway(index: number): void {
    const gateway = this.#gateways[index];
    if (gateway !== undefined) {
      gateway.thread.isDead = true;
      this.#gateways[index] = this.#startGateway(index, 2);
    }
  }

  #askForChange(wish: Wish): void {
    const { nowMs, random } = this.#simulation;
    const authority = this.#authority;
    const hub = random.pick(authority.hubs);
    hub.thread.at(nowMs + this.#simulation.delayMs(), () => authority.change(hub, wish));
  }
}
