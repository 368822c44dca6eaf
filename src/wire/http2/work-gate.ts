import { FloodBudget } from "./flood-budget.ts";
import type { Limits } from "./limits.ts";

type WorkGateLimits = Pick<Limits, "maxConcurrentStreams" | "maxHandlersAtOnce" | "resetBudget">;

/**
 * Lets work on a connection's requests begin. Work goes on when its request is reset, so that resets could ask for more
 * of it than answers do (CVE-2023-44487, CVE-2025-8671): never more requests are at work than there may be streams,
 * nor, past `maxHandlersAtOnce`, than the budget of work given up has left. A request that must wait begins later, in
 * order; one that is reset meanwhile has cost nothing. So a client that gives up a burst of calls because we were slow
 * is served more slowly for a while, and a flood of resets gains nothing.
 */
export class WorkGate {
  readonly #limits: WorkGateLimits;
  readonly #givenUp: FloodBudget;
  readonly #waiting = new Map<object, () => void>();
  #atWork = 0;
  #isLettingIn = false;

  constructor(limits: WorkGateLimits) {
    this.#limits = limits;
    this.#givenUp = new FloodBudget(limits.resetBudget);
  }

  /** Whether work may begin at once. */
  get isOpen(): boolean {
    return this.#hasRoom && this.#waiting.size === 0;
  }

  /**
   * Calls back at once or later, when the stream's work may begin; not at all if that is cancelled before. `finish`
   * must follow.
   */
  enter(stream: object, begin: () => void): void {
    if (this.isOpen) {
      this.start();
      begin();
    } else {
      this.#waiting.set(stream, begin);
    }
  }

  /** Work begins that needs no leave, since the gate is open. */
  start(): void {
    this.#atWork += 1;
  }

  cancel(stream: object): void {
    this.#waiting.delete(stream);
  }

  finish(): void {
    this.#atWork -= 1;
    this.#letIn();
  }

  /** A stream whose work has begun was reset before it was answered. */
  noteGivenUp(): void {
    this.#givenUp.spend(1);
  }

  /** Gives back for time that passed, and for a request that was answered. */
  refill(amount: number): void {
    this.#givenUp.refill(amount);
    if (this.#waiting.size > 0) {
      this.#letIn();
    }
  }

  get #hasRoom(): boolean {
    const { maxConcurrentStreams, maxHandlersAtOnce } = this.#limits;
    const atWork = this.#atWork;
    return atWork < maxConcurrentStreams && (atWork < maxHandlersAtOnce || atWork < this.#givenUp.left);
  }

  #letIn(): void {
    // What begins may be done at once: the loop goes on, and not deeper.
    if (this.#isLettingIn) {
      return;
    }
    this.#isLettingIn = true;
    for (const [stream, begin] of this.#waiting) {
      if (!this.#hasRoom) {
        break;
      }
      this.#waiting.delete(stream);
      this.start();
      begin();
    }
    this.#isLettingIn = false;
  }
}
