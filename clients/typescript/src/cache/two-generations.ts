/**
 * A map bounded in number that forgets what was not asked for lately: what is found in the old half moves to the young
 * one; when the young half is full it becomes the old one, and what was left in the old half is gone. Keys are integers
 * of 32 bits.
 */
export class TwoGenerations<Value> {
  readonly #maxHalf: number;
  #young = new Map<number, Value>();
  #old = new Map<number, Value>();

  constructor(max: number) {
    this.#maxHalf = max / 2;
  }

  /** Hot path. */
  get(key: number): Value | undefined {
    return this.#young.get(key) ?? this.#getOld(key);
  }

  #getOld(key: number): Value | undefined {
    const value = this.#old.get(key);
    if (value !== undefined) {
      this.set(key, value);
    }
    return value;
  }

  set(key: number, value: Value): void {
    this.#old.delete(key);
    if (this.#young.size >= this.#maxHalf && !this.#young.has(key)) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, value);
  }

  delete(key: number): void {
    this.#young.delete(key);
    this.#old.delete(key);
  }

  /** Walks through all. */
  deleteWhere(isGone: (value: Value) => boolean): void {
    for (const half of [this.#young, this.#old]) {
      for (const [key, value] of half) {
        if (isGone(value)) {
          half.delete(key);
        }
      }
    }
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
  }
}
