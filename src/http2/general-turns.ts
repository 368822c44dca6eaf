/**
 * Begins the general requests of all connections, a few in each turn of the event loop and the others in theirs, first come, first
 * served. A handler keeps the thread for some tenths of a millisecond: a burst of them would keep every lane waiting.
 */
export class GeneralTurns {
  readonly #maxPerTurn: number;
  #waiting: (() => void)[] = [];
  #begun = 0;
  #isTurnAwaited = false;

  constructor(maxPerTurn: number) {
    this.#maxPerTurn = maxPerTurn;
  }

  /** Calls it now or in a later turn. It must not throw. */
  begin(start: () => void): void {
    this.#waiting.push(start);
    this.#beginSome();
  }

  #beginSome(): void {
    const some = this.#waiting.splice(0, this.#maxPerTurn - this.#begun);
    this.#begun += some.length;
    for (const start of some) {
      start();
    }
    if (!this.#isTurnAwaited) {
      this.#isTurnAwaited = true;
      setImmediate(() => this.#onTurn());
    }
  }

  #onTurn(): void {
    this.#isTurnAwaited = false;
    this.#begun = 0;
    if (this.#waiting.length > 0) {
      this.#beginSome();
    }
  }
}
