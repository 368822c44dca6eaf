import type { Field } from "./field.ts";

/**
 * The fields that a header block may name by index, newest first (RFC 7541 section 2.3.2): a ring that grows to what
 * the table may hold.
 */
export class HpackDynamicTable {
  #ring: (Field | undefined)[] = [];
  /** Where the next field goes; the ring's length is a power of two. */
  #next = 0;
  #count = 0;
  #bytes = 0;
  #maxBytes: number;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get maxBytes(): number {
    return this.#maxBytes;
  }

  /** The newest is at 0. Undefined past the oldest. */
  at(index: number): Field | undefined {
    return index < this.#count ? this.#ring[(this.#next - 1 - index) & (this.#ring.length - 1)] : undefined;
  }

  /** Section 4.4: makes room first; a field larger than the table empties it. */
  add(field: Field): void {
    this.#evictTo(this.#maxBytes - field.bytes);
    if (field.bytes > this.#maxBytes) {
      return;
    }
    if (this.#count === this.#ring.length) {
      this.#grow();
    }
    this.#ring[this.#next] = field;
    this.#next = (this.#next + 1) & (this.#ring.length - 1);
    this.#count++;
    this.#bytes += field.bytes;
  }

  /** Section 4.3. */
  resize(maxBytes: number): void {
    this.#maxBytes = maxBytes;
    this.#evictTo(maxBytes);
  }

  #evictTo(bytes: number): void {
    while (this.#count > 0 && this.#bytes > bytes) {
      const oldest = (this.#next - this.#count) & (this.#ring.length - 1);
      this.#bytes -= this.#ring[oldest]?.bytes ?? 0;
      this.#ring[oldest] = undefined;
      this.#count--;
    }
  }

  #grow(): void {
    const fields = Array.from({ length: this.#count }, (_, index) => this.at(this.#count - 1 - index));
    const length = Math.max(8, 2 * this.#ring.length);
    this.#ring = fields.concat(Array.from({ length: length - fields.length }, () => undefined));
    this.#next = fields.length;
  }
}
