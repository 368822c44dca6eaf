import type { Wish } from "./authority.ts";
import type { Simulation, Thread } from "./simulation.ts";

/** What a round is asked for: changes, each again until it is answered, and decisions all the time. */
export type Load = {
  readonly tokens: number;
  readonly accounts: number;
  /** Changes are asked for the first time between these. */
  readonly firstChangeMs: number;
  readonly lastChangeMs: number;
  /** How many changes a token has. */
  changesOfToken(): number;
  /** Asks somebody who may answer. */
  change(wish: Wish): void;
  /** Who is asked for decisions, now, and how often at once. */
  holders(): readonly { readonly thread: Thread; ask(token: number): void }[];
  readonly asksAtOnce: number;
};

const askEveryMs = 40;
const tries = 4;

/** Puts the load into the time to come. */
export function planLoad(simulation: Simulation, load: Load): void {
  for (let token = 0; token < load.tokens; token += 1) {
    for (let change = load.changesOfToken(); change > 0; change -= 1) {
      planChange(simulation, load, { token, account: null });
    }
  }
  for (let account = 0; account < load.accounts; account += 1) {
    for (let change = simulation.random.below(3); change > 0; change -= 1) {
      planChange(simulation, load, { token: null, account });
    }
  }
  askAll(simulation, load);
}

function planChange(simulation: Simulation, load: Load, target: Pick<Wish, "token" | "account">): void {
  const atMs = simulation.between(load.firstChangeMs, load.lastChangeMs);
  const wish: Wish = { ...target, askedAtMs: atMs, revision: null, isAnswered: false };
  simulation.at(atMs, () => askForChange(simulation, load, wish, tries));
}

/** Asks again when no answer came for a while. */
function askForChange(simulation: Simulation, load: Load, wish: Wish, triesLeft: number): void {
  if (wish.isAnswered || triesLeft === 0) {
    return;
  }
  load.change(wish);
  if (!simulation.isCalm) {
    const againMs = simulation.nowMs + simulation.between(1, 2500);
    simulation.at(againMs, () => askForChange(simulation, load, wish, triesLeft - 1));
  }
}

function askAll(simulation: Simulation, load: Load): void {
  const { nowMs, random } = simulation;
  for (const holder of load.holders()) {
    for (let asked = 0; asked < load.asksAtOnce; asked += 1) {
      const token = random.below(load.tokens);
      holder.thread.at(nowMs + simulation.between(0, 5), () => holder.ask(token));
    }
  }
  simulation.at(nowMs + askEveryMs, () => askAll(simulation, load));
}
