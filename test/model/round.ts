import { createRandom } from "../suites/support/random.ts";
import { Authority, type Wish } from "./authority.ts";
import { Gateway } from "./gateway.ts";
import { History } from "./history.ts";
import type { Link } from "./link.ts";
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

export type RoundResult = {
  readonly decisions: number;
  readonly answeredChanges: number;
  /** How long changes took from question to answer, in order of size. */
  readonly waitsMs: readonly number[];
  readonly stale: readonly string[];
  readonly wentBack: readonly string[];
};

const endMs = 16_000;
const firstChangeMs = 1500;
const lastChangeMs = endMs - 4500;
const tokens = 60;
const accounts = 10;
const threadCount = 3;
const gatewayCount = 4;
const askEveryMs = 40;
const asksAtOnce = 10;
const tries = 4;

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
    const { history } = this.#world;
    this.#planRestarts();
    this.#planChanges();
    this.#askAll();
    this.#simulation.runUntil(endMs);
    return {
      decisions: history.decisions,
      answeredChanges: history.answeredChanges(),
      waitsMs: history.waitsMs.toSorted((left, right) => left - right),
      stale: history.stale,
      wentBack: history.wentBack,
    };
  }

  #startAuthority(): Authority {
    const rate = this.#rate();
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
      rate: this.#rate(),
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

  /** Most slow times end with a cut: what was granted last arrives late, and what came after it does not. */
  #link(): Link {
    const slow = this.#spans([0, 1, 2, 3], 300, 1500).map((span) => ({
      ...span,
      extraMs: this.#simulation.between(800, 2400),
    }));
    const afterSlow = slow
      .filter(() => this.#simulation.random.chance(0.7))
      .map(({ fromMs, toMs, extraMs }) => {
        const cutMs = extraMs + this.#simulation.between(fromMs, toMs);
        return { fromMs: cutMs, toMs: cutMs + 4000 };
      });
    const cuts = [...this.#spans([0, 1, 2], 50, 4000), ...afterSlow];
    return { simulation: this.#simulation, faults: { slow, cuts } };
  }

  #rate(): number {
    return this.#options.isCalm === true ? 1 : this.#simulation.between(0.97, 1.03);
  }

  #freezes(): readonly Span[] {
    return this.#options.hasLongFreezes === true ? this.#spans([1, 2], 1500, 4000) : this.#spans([0, 0, 1], 20, 300);
  }

  /** Some spans of the time to come, each between `leastMs` and `mostMs` long. */
  #spans(counts: readonly number[], leastMs: number, mostMs: number): readonly Span[] {
    const { random, nowMs } = this.#simulation;
    const count = this.#options.isCalm === true ? 0 : random.pick(counts);
    return Array.from({ length: count }, () => {
      const fromMs = this.#simulation.between(Math.max(500, nowMs), endMs);
      return { fromMs, toMs: fromMs + this.#simulation.between(leastMs, mostMs) };
    });
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

  #planChanges(): void {
    const { random } = this.#simulation;
    for (let token = 0; token < tokens; token += 1) {
      this.#planChange({ token, account: null });
    }
    for (let account = 0; account < accounts; account += 1) {
      for (let change = random.below(3); change > 0; change -= 1) {
        this.#planChange({ token: null, account });
      }
    }
  }

  #planChange(target: Pick<Wish, "token" | "account">): void {
    const atMs = this.#simulation.between(firstChangeMs, lastChangeMs);
    const wish: Wish = { ...target, askedAtMs: atMs, revision: null, isAnswered: false };
    this.#simulation.at(atMs, () => this.#askForChange(wish, tries));
  }

  /** Asks again, of any thread, when no answer came for a while. */
  #askForChange(wish: Wish, triesLeft: number): void {
    if (wish.isAnswered || triesLeft === 0) {
      return;
    }
    const { nowMs, random } = this.#simulation;
    const authority = this.#authority;
    const hub = random.pick(authority.hubs);
    hub.thread.at(nowMs + this.#simulation.delayMs(), () => authority.change(hub, wish));
    if (this.#options.isCalm !== true) {
      const againMs = nowMs + this.#simulation.between(1, 2500);
      this.#simulation.at(againMs, () => this.#askForChange(wish, triesLeft - 1));
    }
  }

  #askAll(): void {
    const { nowMs, random } = this.#simulation;
    for (const gateway of this.#gateways) {
      for (let asked = 0; asked < asksAtOnce; asked += 1) {
        const token = random.below(tokens);
        gateway.thread.at(nowMs + this.#simulation.between(0, 5), () => gateway.ask(token));
      }
    }
    this.#simulation.at(nowMs + askEveryMs, () => this.#askAll());
  }
}
