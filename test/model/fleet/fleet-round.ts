import { createRandom } from "../../suites/support/random.ts";
import type { Wish } from "../authority.ts";
import { Gateway } from "../gateway.ts";
import { History, type RoundResult } from "../history.ts";
import { cutsAfter, type Link, slowDown } from "../link.ts";
import { planLoad } from "../load.ts";
import { Simulation, type Span, Thread } from "../simulation.ts";
import type { World } from "../world.ts";
import { Database } from "./database.ts";
import { type Fleet, FleetNode } from "./fleet-node.ts";
import type { NodeRule } from "./node-rules.ts";

export type FleetRoundOptions = {
  readonly seed: number;
  /** The rule that nobody keeps. */
  readonly without?: NodeRule;
  /** Nothing fails, and messages take a millisecond. */
  readonly isCalm?: boolean;
  /** The monotonic clocks of nodes stand still for seconds, and their wall clocks go on. Then there are no gateways. */
  readonly hasLongFreezes?: boolean;
};

const endMs = 20_000;
const firstChangeMs = 3500;
const lastChangeMs = endMs - 4500;
const tokens = 40;
const accounts = 10;
const nodeCount = 3;
const gatewayCount = 3;
const asksAtOnce = 6;
/** So long before a failover comes a node whose row is lost in it. */
const comesBeforeMs = 100;

/** What may befall a round: few kinds at once, or their waits hide one another. */
const kindsOfFaults = ["stops", "freezes", "cuts", "slow", "deaf", "restarts", "fails over", "gateways"] as const;
type KindOfFault = (typeof kindsOfFaults)[number];

/** Twenty seconds of three nodes over a database that may fail over, three gateways, and whatever may befall them. */
export function runFleetRound(options: FleetRoundOptions): RoundResult {
  return new FleetRound(options).run();
}

class FleetRound {
  readonly #options: FleetRoundOptions;
  readonly #simulation: Simulation;
  readonly #world: World;
  readonly #fleet: Fleet;
  readonly #faults: ReadonlySet<KindOfFault>;
  #sparesThisOne = false;
  readonly #nodes: FleetNode[];
  readonly #gateways: readonly Gateway[];

  constructor(options: FleetRoundOptions) {
    const simulation = new Simulation(createRandom(options.seed), options.isCalm ?? false);
    const accountOf = (token: number) => token % accounts;
    this.#options = options;
    this.#simulation = simulation;
    const isWild = simulation.random.chance(0.25);
    this.#faults = new Set(kindsOfFaults.filter(() => isWild || simulation.random.chance(0.4)));
    this.#world = {
      pieces: "project",
      simulation,
      history: new History(simulation, accountOf),
      disk: { journal: [], hasMarker: false },
      accountOf,
      isKept: () => true,
    };
    this.#fleet = {
      world: this.#world,
      database: new Database(this.#world),
      isKept: (rule) => rule !== options.without,
    };
    this.#nodes = Array.from({ length: nodeCount }, (_, index) =>
      this.#startNode(`node ${index + 1}`, index === nodeCount - 1),
    );
    // What gateways leave behind hides how soon a change is answered among nodes.
    const gateways = options.hasLongFreezes === true ? 0 : simulation.random.pick([0, gatewayCount]);
    this.#gateways = Array.from({ length: gateways }, (_, index) => this.#startGateway(index));
  }

  run(): RoundResult {
    this.#planFaults();
    planLoad(this.#simulation, {
      ...{ tokens, accounts, firstChangeMs, lastChangeMs, asksAtOnce },
      changesOfToken: () => this.#simulation.random.below(3),
      change: (wish) => this.#askForChange(wish),
      holders: () => [...this.#alive(), ...this.#gateways],
    });
    this.#simulation.runUntil(endMs);
    return this.#world.history.result();
  }

  /** Most of them fare well, so that changes are answered soon while one of them does not. */
  #startNode(name: string, isUnlucky: boolean, cuts: readonly Span[] = []): FleetNode {
    this.#sparesThisOne = !isUnlucky && this.#simulation.random.chance(0.7);
    const thread = new Thread(this.#simulation, {
      rate: this.#simulation.rate(),
      freezes: this.#freezes(),
      stops: this.#spans("stops", [0, 1, 1], 20, 5000),
    });
    const slow = slowDown(this.#simulation, this.#spans("slow", [2, 3], 500, 2000), 2600);
    const afterSlow = cutsAfter(this.#simulation, slow);
    const link: Link = {
      simulation: this.#simulation,
      faults: { slow, cuts: [...cuts, ...afterSlow, ...this.#spans("cuts", [0, 1, 1], 300, 5000)] },
    };
    const { nowMs } = this.#simulation;
    const afterStart = this.#spans("deaf", [0, 1], 1000, 3000).map(({ fromMs, toMs }) => ({
      fromMs: nowMs + 30,
      toMs: nowMs + 30 + toMs - fromMs,
    }));
    const deaf = [...afterStart, ...this.#spans("deaf", [1, 2, 3], 300, 7000)];
    this.#sparesThisOne = false;
    return new FleetNode(this.#fleet, name, { thread, link, deaf });
  }

  #startGateway(index: number): Gateway {
    const thread = new Thread(this.#simulation, {
      rate: this.#simulation.rate(),
      freezes: this.#freezes(),
      stops: this.#spans("gateways", [0, 1, 1], 20, 5000),
    });
    const link: Link = {
      simulation: this.#simulation,
      faults: { slow: [], cuts: this.#spans("gateways", [0, 1, 2], 50, 4000) },
    };
    const hubs = () => ({ hubs: this.#alive() });
    const gateway = new Gateway(this.#world, { thread, link }, `gateway ${index + 1}`, hubs);
    for (const { fromMs } of link.faults.cuts) {
      this.#simulation.at(fromMs - 5, () => gateway.loseConnection());
    }
    return gateway;
  }

  #alive(): readonly FleetNode[] {
    return this.#nodes.filter(({ thread }) => !thread.isDead);
  }

  #freezes(): readonly Span[] {
    return this.#options.hasLongFreezes === true
      ? this.#spans(null, [1, 2], 1500, 4000)
      : this.#spans("freezes", [0, 1], 20, 200);
  }

  /** None where this kind befalls nobody. */
  #spans(kind: KindOfFault | null, counts: readonly number[], leastMs: number, mostMs: number): readonly Span[] {
    const mayBe = !this.#sparesThisOne && (kind === null || this.#faults.has(kind));
    return mayBe ? this.#simulation.spans(counts, [leastMs, mostMs], endMs) : [];
  }

  #planFaults(): void {
    if (this.#options.isCalm === true) {
      return;
    }
    const { random } = this.#simulation;
    for (const index of this.#nodes.keys()) {
      if (this.#faults.has("restarts") && random.chance(0.7)) {
        this.#simulation.at(this.#simulation.between(2000, endMs - 3000), () => this.#restartNode(index));
      }
    }
    if (this.#faults.has("fails over")) {
      this.#simulation.at(this.#simulation.between(5000, endMs - 5000), () => this.#failOver());
    }
  }

  #restartNode(index: number): void {
    const node = this.#nodes[index];
    if (node !== undefined) {
      node.thread.isDead = true;
      this.#nodes[index] = this.#startNode(`${node.name}'`, index === nodeCount - 1);
    }
  }

  /**
   * The old primary goes on, and takes no change; or it is dead, and the new one lacks the row of a node that came just
   * before and cannot reach it at first.
   */
  #failOver(): void {
    const { random, nowMs } = this.#simulation;
    const losesRows = random.chance(0.7);
    if (losesRows) {
      const fromMs = nowMs + comesBeforeMs;
      this.#nodes.push(this.#startNode("node of before", false, [{ fromMs, toMs: fromMs + 4000 }]));
    }
    this.#simulation.at(nowMs + comesBeforeMs - 5, () => this.#fleet.database.promote(losesRows));
  }

  #askForChange(wish: Wish): void {
    const { nowMs, random } = this.#simulation;
    // The last node is never asked: it hears of changes by its polls alone.
    const node = random.pick(this.#alive().slice(0, nodeCount - 1));
    node.thread.at(nowMs + this.#simulation.delayMs(), () => node.change(wish));
  }
}
