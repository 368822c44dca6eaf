/**
 * Counts bytes that are held, and says how many more may be: of a connection's requests, and above all connections' accounts that of the
 * server. Windows are opened by the room that is left, so that a window is what will be held.
 */
export class Account {
  #heldBytes = 0;
  readonly #maxBytes: number;
  readonly #above: Account | null;

  /** What is held counts in the account above as well, whose room bounds this one's. */
  constructor(maxBytes: number, above: Account | null = null) {
    this.#maxBytes = maxBytes;
    this.#above = above;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** How many bytes more may be held. Below 0 where windows that had been opened brought more. */
  get room(): number {
    const own = this.#maxBytes - this.#heldBytes;
    return this.#above === null ? own : Math.min(own, this.#above.room);
  }

  /** Bytes came and are kept. */
  take(bytes: number): void {
    this.#heldBytes += bytes;
    this.#above?.take(bytes);
  }

  /** Bytes that were taken are kept no longer. */
  give(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#above?.give(bytes);
  }
}
