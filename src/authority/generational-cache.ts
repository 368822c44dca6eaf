/**
 * A map that is bounded in bytes and forgets what was not asked for lately. It has two generations, each at most half
 * of the bytes: what is found in the old one moves to the young one; when the young one is full it becomes the old one,
 * and what was left in the old one is forgotten. So a hit costs one or two look-ups and no list to keep in order.
 */
export class GenerationalCache<Key extends string | number, Value> {
  readonly #maxGenerationBytes: number;
  readonly #bytesOf: (value: Value) => number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #youngBytes = 0;

  /** `bytesOf` answers what an entry takes, its key included, and always the same for the same value. */
  constructor(maxBytes: number, bytesOf: (value: Value) => number) {
    this.#maxGenerationBytes = maxBytes / 2;
    this.#bytesOf = bytesOf;
  }

  get(key: Key): Value | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) {
      return value;
    }
    const older = this.#old.get(key);
    if (older !== undefined) {
      this.set(key, older);
    }
    return older;
  }

  /** The same as get, but leaves the generations as they are. */
  peek(key: Key): Value | undefined {
    return this.#young.get(key) ?? this.#old.get(key);
  }

  set(key: Key, value: Value): void {
    this.delete(key);
    const bytes = this.#bytesOf(value);
    if (bytes > this.#maxGenerationBytes) {
      return;
    }
    if (this.#youngBytes + bytes > this.#maxGenerationBytes) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(key, value);
    this.#youngBytes += bytes;
  }

  delete(key: Key): void {
    const value = this.#young.get(key);
    if (value !== undefined) {
      this.#young.delete(key);
      this.#youngBytes -= this.#bytesOf(value);
    }
    this.#old.delete(key);
  }

  clear(): void {
    this.#young.clear();
    this.#old.clear();
    this.#youngBytes = 0;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
