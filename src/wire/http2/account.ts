/**
 * Counts bytes that are held, and says how many more may be: of a connection's requests, and above all connections'
 * accounts that of the server. Windows are opened by the room that is left, so that a window is what will be held.
 */
export class Account {
  #heldBytes = 0;
  readonly #maxBytes: number;
  readonly #above: Account | null;
  readonly #onOverdrawn: () => void;

  /**
   * What is held counts in the account above as well, whose room bounds this one's. `onOverdrawn` hears of bytes taken
   * beyond the most.
   */
  constructor(maxBytes: number, above: Account | null = null, onOverdrawn: () => void = () => {}) {
    this.#maxBytes = maxBytes;
    this.#above = above;
    this.#onOverdrawn = onOverdrawn;
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
    if (this.#heldBytes > this.#maxBytes) {
      this.#onOverdrawn();
    }
  }

  /** Bytes that were taken are kept no longer. */
  give(bytes: number): void {
    this.#heldBytes -= bytes;
    this.#above?.give(bytes);
  }
}
