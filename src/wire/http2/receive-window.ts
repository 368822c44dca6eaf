/** How much a peer may still send us: a stream's window or the connection's (RFC 9113 section 5.2). */
export class ReceiveWindow {
  #size: number;
  #available: number;
  #released = 0;

  /** `available` is more than `size` as long as the peer does not know the size. */
  constructor(size: number, available: number = size) {
    this.#size = size;
    this.#available = available;
  }

  /** Makes it as new. */
  reset(size: number, available: number): void {
    this.#size = size;
    this.#available = available;
    this.#released = 0;
  }

  /** Whether the peer may send anything. */
  get isOpen(): boolean {
    return this.#available > 0;
  }

  /** Counts received bytes, padding included (section 6.9.1). False if the peer was not allowed to send them. */
  take(bytes: number): boolean {
    this.#available -= bytes;
    return this.#available >= 0;
  }

  /**
   * Opens it as far as there is room. Returns the increment to announce now, or 0: half a window is worth a
   * frame.
   */
  open(room: number): number {
    const goal = Math.min(room, this.#size);
    const increment = goal - this.#available;
    if (increment <= 0 || increment < goal >> 1) {
      return 0;
    }
    this.#available += increment;
    return increment;
  }

  /** Notes that bytes were handed on. Returns the increment to announce now, or 0: half a window is worth a frame. */
  release(bytes: number): number {
    this.#released += bytes;
    if (this.#released < this.#size >> 1) {
      return 0;
    }
    const increment = this.#released;
    this.#released = 0;
    this.#available += increment;
    return increment;
  }
}
