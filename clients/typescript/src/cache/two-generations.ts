/**
 * A map bounded in bytes that forgets what was not asked for lately: what is found in the old half moves to the young
 * one; when the young half is full it becomes the old one, and what was left in the old half is gone. Keys are integers
 * of 32 bits.
 */
export class TwoGenerations<Value> {
  readonly #maxHalfBytes: number;
  readonly #bytesOf: (value: Value) => number;
  readonly #onLetGo: () => void;
  #young = new Map<number, Value>();
  #old = new Map<number, Value>();
  #youngBytes = 0;

  /** `bytesOf` answers always the same for the same value. `onLetGo` is told before values go that nobody deleted. */
  constructor(maxBytes: number, bytesOf: (value: Value) => number, onLetGo: () => void) {
    this.#maxHalfBytes = maxBytes / 2;
    this.#bytesOf = bytesOf;
    this.#onLetGo = onLetGo;
  }

  /** Hot path. */
  get(place: number): Value | undefined {
    return this.#young.get(place) ?? this.#getOld(place);
  }

  #getOld(place: number): Value | undefined {
    const value = this.#old.get(place);
    if (value !== undefined) {
      this.set(place, value);
    }
    return value;
  }

  set(place: number, value: Value): void {
    this.delete(place);
    const bytes = this.#bytesOf(value);
    if (bytes > this.#maxHalfBytes) {
      this.#onLetGo();
      return;
    }
    if (this.#youngBytes + bytes > this.#maxHalfBytes) {
      this.#onLetGo();
      this.#old = this.#young;
      this.#young = new Map();
      this.#youngBytes = 0;
    }
    this.#young.set(place, value);
    this.#youngBytes += bytes;
  }

  delete(place: number): void {
    const value = this.#young.get(place);
    if (value !== undefined) {
      this.#young.delete(place);
      this.#youngBytes -= this.#bytesOf(value);
    }
    this.#old.delete(place);
  }

  /** Walks through all. */
  deleteWhere(isGone: (value: Value) => boolean): void {
    for (const half of [this.#young, this.#old]) {
      for (const [place, value] of half) {
        if (isGone(value)) {
          this.delete(place);
        }
      }
    }
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngBytes = 0;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}
