/**
 * What a peer may spend on frames that cost us and bring no request forward.
 * Real work refills it, so that a busy peer which pings or cancels much is never cut, and a flood soon is.
 */
export class FloodBudget {
  readonly #max: number;
  #left: number;

  constructor(max: number) {
    this.#max = max;
    this.#left = max;
  }

  get left(): number {
    return this.#left;
  }

  /** False once the budget is spent. */
  spend(cost: number): boolean {
    this.#left -= cost;
    return this.#left >= 0;
  }

  refill(amount: number): void {
    this.#left = Math.min(this.#max, this.#left + amount);
  }
}
