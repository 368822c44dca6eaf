import type { Action, Simulation, Span, Thread } from "./simulation.ts";

/** What befalls the line between a gateway and the authority. */
export type LinkFaults = {
  /** Whatever leaves or arrives in these times is lost. */
  readonly cuts: readonly Span[];
  /** What leaves in these times takes so much longer. */
  readonly slow: readonly SlowSpan[];
};

export type SlowSpan = Span & { readonly extraMs: number };

export type Link = {
  readonly simulation: Simulation;
  readonly faults: LinkFaults;
};

/** Makes what leaves in these times take up to `mostMs` longer. */
export function slowDown(simulation: Simulation, spans: readonly Span[], mostMs: number): readonly SlowSpan[] {
  return spans.map((span) => ({ ...span, extraMs: simulation.between(800, mostMs) }));
}

/** Cuts after slow times: what was sent last arrives late, and what came after it does not. */
export function cutsAfter(simulation: Simulation, slow: readonly SlowSpan[]): readonly Span[] {
  return slow.map(({ fromMs, toMs, extraMs }) => {
    const cutMs = extraMs + simulation.between(fromMs, toMs);
    return { fromMs: cutMs, toMs: cutMs + 4000 };
  });
}

/** One message by itself, as of an RPC of one question and one answer. */
export function deliver(link: Link, to: Thread, action: Action): void {
  const arrivalMs = arrivalOf(link);
  if (!isCut(link, link.simulation.nowMs) && !isCut(link, arrivalMs)) {
    to.at(arrivalMs, action);
  }
}

/** Messages that arrive in the order in which they were sent. After one was lost, all are. */
export class Ordered {
  readonly #link: Link;
  readonly #to: Thread;
  #newestMs = 0;
  #isBroken = false;

  constructor(link: Link, to: Thread) {
    this.#link = link;
    this.#to = to;
  }

  send(action: Action): void {
    this.#newestMs = Math.max(this.#newestMs + 1e-6, arrivalOf(this.#link));
    this.#sendTo(this.#newestMs, action);
  }

  /** Goes ahead of what was sent before: what a rule forbids. */
  overtake(action: Action): void {
    this.#sendTo(this.#link.simulation.nowMs + 0.05, action);
  }

  #sendTo(arrivalMs: number, action: Action): void {
    this.#isBroken ||= isCut(this.#link, this.#link.simulation.nowMs) || isCut(this.#link, arrivalMs);
    if (!this.#isBroken) {
      this.#to.at(arrivalMs, action);
    }
  }
}

function arrivalOf({ simulation, faults }: Link): number {
  const { nowMs } = simulation;
  const slow = faults.slow.find(({ fromMs, toMs }) => fromMs <= nowMs && nowMs < toMs);
  return nowMs + simulation.delayMs() + (slow?.extraMs ?? 0);
}

function isCut({ faults }: Link, atMs: number): boolean {
  return faults.cuts.some(({ fromMs, toMs }) => fromMs <= atMs && atMs < toMs);
}
