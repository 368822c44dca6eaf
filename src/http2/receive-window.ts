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

  /** Notes that bytes were handed on. Returns the increment to announce now, or 0: half a window is worth a frame. */
  release(bytes: number): number {
    this.#released += bytes;
    return this.#released >= this.#size >> 1 ? this.announce() : 0;
  }

  /** Returns all that was handed on and not announced. */
  announce(): number {
    const increment = this.#released;
    this.#released = 0;
    this.#available += increment;
    return increment;
  }
}
