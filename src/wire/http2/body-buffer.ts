const maxSpareBytes = 16_384;

/**
 * Body bytes that arrived and were not yet asked for. DATA frames of any size are put together into few buffers:
 * a peer that sends single bytes makes us hold little more than them.
 */
export class BodyBuffer {
  #chunks: Buffer[] = [];
  #tail: Buffer | null = null;
  #tailLength = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies the bytes: they may lie in a buffer that is used again. */
  push(bytes: Buffer, start: number, end: number): void {
    this.#length += end - start;
    let at = start;
    while (at < end) {
      const tail = this.#tail ?? this.#newTail(end - at);
      const count = Math.min(end - at, tail.length - this.#tailLength);
      bytes.copy(tail, this.#tailLength, at, at + count);
      at += count;
      this.#tailLength += count;
      if (this.#tailLength === tail.length) {
        this.#chunks.push(tail);
        this.#tail = null;
      }
    }
  }

  /** Takes what is there, in buffers of the kind's own size; null if nothing is. */
  take(): Buffer | null {
    const chunk = this.#chunks.shift() ?? this.#takeTail();
    this.#length -= chunk?.length ?? 0;
    return chunk;
  }

  /** Takes all, as one. */
  takeAll(): Buffer {
    const tail = this.#takeTail();
    const chunks = tail === null ? this.#chunks : [...this.#chunks, tail];
    this.#chunks = [];
    this.#length = 0;
    return chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks);
  }

  clear(): void {
    this.#chunks = [];
    this.#tail = null;
    this.#tailLength = 0;
    this.#length = 0;
  }

  #takeTail(): Buffer | null {
    const tail = this.#tail;
    if (tail === null) {
      return null;
    }
    this.#tail = null;
    return tail.subarray(0, this.#tailLength);
  }

  /** As large as what came, or as what is held already: the spare part is never more than half. */
  #newTail(needed: number): Buffer {
    const tail = Buffer.allocUnsafeSlow(Math.max(needed, Math.min(this.#length, maxSpareBytes), 64));
    this.#tail = tail;
    this.#tailLength = 0;
    return tail;
  }
}
