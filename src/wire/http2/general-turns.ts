/**
 * Begins the general requests of all connections, a few in each turn of the event loop and the others in theirs: of
 * each connection in order, and one of each before the next of any. A handler keeps the thread for some tenths of a
 * millisecond: a burst of them would keep every lane and every other connection waiting.
 */
export class GeneralTurns {
  readonly #maxPerTurn: number;
  /** What waits, by connection and stream; the connections in the order of their turns. */
  readonly #waiting = new Map<object, Map<object, () => void>>();
  #begun = 0;
  #isTurnAwaited = false;

  constructor(maxPerTurn: number) {
    this.#maxPerTurn = maxPerTurn;
  }

  /** Calls back now or in a later turn, unless it is cancelled before. It must not throw. */
  begin(connection: object, stream: object, start: () => void): void {
    const queue = this.#waiting.get(connection);
    if (queue === undefined) {
      this.#waiting.set(connection, new Map([[stream, start]]));
    } else {
      queue.set(stream, start);
    }
    this.#beginSome();
  }

  /** A request that was reset before its turn takes none. */
  cancel(connection: object, stream: object): void {
    const queue = this.#waiting.get(connection);
    queue?.delete(stream);
    if (queue?.size === 0) {
      this.#waiting.delete(connection);
    }
  }

  #beginSome(): void {
    for (const [connection, queue] of this.#waiting) {
      if (this.#begun >= this.#maxPerTurn) {
        break;
      }
      this.#begun += 1;
      this.#waiting.delete(connection);
      for (const [stream, start] of queue) {
        queue.delete(stream);
        if (queue.size > 0) {
          // Behind the others: a map is walked in the order of adding.
          this.#waiting.set(connection, queue);
        }
        start();
        break;
      }
    }
    if (!this.#isTurnAwaited) {
      this.#isTurnAwaited = true;
      setImmediate(() => this.#onTurn());
    }
  }

  #onTurn(): void {
    this.#isTurnAwaited = false;
    this.#begun = 0;
    if (this.#waiting.size > 0) {
      this.#beginSome();
    }
  }
}
