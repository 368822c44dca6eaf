/** Numbers that a seed decides, so that a failure can be had again. */
export type Random = {
  /** A whole number from 0 to limit - 1. */
  below(limit: number): number;
  pick<T>(list: readonly T[]): T;
  /** True with this probability. */
  chance(probability: number): boolean;
};

/** The mulberry32 generator: 32 bits of state are enough to spread a few million decisions. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;

  function next(): number {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  return {
    below(limit) {
      return Math.floor(next() * limit);
    },
    pick(list) {
      const item = list[Math.floor(next() * list.length)];
      if (item === undefined) {
        throw new Error("nothing to pick from");
      }
      return item;
    },
    chance(probability) {
      return next() < probability;
    },
  };
}

/** A seed that was not used before, or the one on the command line. */
export function seedFrom(text: string | undefined): number {
  return text === undefined ? Date.now() % 2 ** 31 : Number(text);
}
