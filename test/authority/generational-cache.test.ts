import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GenerationalCache } from "../../src/authority/generational-cache.ts";

type Weighed = { readonly id: number; readonly bytes: number };

describe("the cache of two generations", () => {
  it("answers what was set last or nothing, and never holds more than its bytes, whatever is done to it", () => {
    const key = fc.integer({ min: 0, max: 30 }).map(String);
    const step = fc.oneof(
      fc.record({ kind: fc.constant("set" as const), key, bytes: fc.integer({ min: 1, max: 40 }) }),
      fc.record({ kind: fc.constant("get" as const), key }),
      fc.record({ kind: fc.constant("delete" as const), key }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const cache = new GenerationalCache<string, Weighed>(100, ({ bytes }) => bytes);
        const model = new Map<string, Weighed>();
        for (const [id, one] of steps.entries()) {
          if (one.kind === "set") {
            const value = { id, bytes: one.bytes };
            cache.set(one.key, value);
            model.set(one.key, value);
          } else if (one.kind === "delete") {
            cache.delete(one.key);
            model.delete(one.key);
          } else {
            expect([undefined, model.get(one.key)]).toContain(cache.get(one.key));
          }
          const held = [...model].filter(([name]) => cache.peek(name) !== undefined);
          expect(held.reduce((total, [, { bytes }]) => total + bytes, 0)).toBeLessThanOrEqual(100);
          expect(cache.size).toBe(held.length);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("keeps what is asked for again and again, and forgets what is not, under a flood of others", () => {
    const cache = new GenerationalCache<string, number>(100, () => 1);
    cache.set("hot", 1);
    cache.set("cold", 1);
    for (let count = 0; count < 1000; count += 1) {
      cache.set(`other ${count}`, 1);
      cache.get("hot");
    }
    expect([cache.get("hot"), cache.get("cold")]).toEqual([1, undefined]);
  });

  it("holds as much as it may: half of its bytes in each generation, to the last one", () => {
    const cache = new GenerationalCache<string, number>(20, (bytes) => bytes);
    cache.set("first", 10);
    cache.set("second", 10);
    expect([cache.peek("first"), cache.peek("second"), cache.size]).toEqual([10, 10, 2]);
    cache.set("third", 1);
    expect([cache.peek("first"), cache.peek("second"), cache.peek("third")]).toEqual([undefined, 10, 1]);
  });

  it("begins another generation only when what comes has no room in the young one", () => {
    const cache = new GenerationalCache<string, number>(20, (bytes) => bytes);
    for (const [name, bytes] of [
      ["a", 5],
      ["b", 5],
      ["c", 10],
    ] as const) {
      cache.set(name, bytes);
    }
    expect([cache.peek("a"), cache.peek("b"), cache.peek("c")]).toEqual([5, 5, 10]);
  });

  it("does not keep what is larger than a generation, nor what stood there before", () => {
    const cache = new GenerationalCache<string, number>(20, (bytes) => bytes);
    cache.set("small", 1);
    cache.set("large", 1);
    cache.set("large", 11);
    expect([cache.get("small"), cache.get("large"), cache.size]).toEqual([1, undefined, 1]);
  });

  it("gives back the room of what is deleted", () => {
    const cache = new GenerationalCache<string, number>(20, (bytes) => bytes);
    cache.set("kept", 5);
    for (let count = 0; count < 10; count += 1) {
      cache.set("passing", 5);
      cache.delete("passing");
    }
    cache.set("also kept", 5);
    cache.set("next", 1);
    expect([cache.peek("kept"), cache.peek("also kept"), cache.peek("next")]).toEqual([5, 5, 1]);
  });

  it("forgets everything when it is cleared, and has all its room again", () => {
    const cache = new GenerationalCache<string, number>(20, (bytes) => bytes);
    for (const name of ["a", "b", "c"]) {
      cache.set(name, 10);
    }
    cache.clear();
    expect(cache.size).toBe(0);
    cache.set("one", 10);
    cache.set("other", 10);
    expect([cache.peek("one"), cache.peek("other")]).toEqual([10, 10]);
  });
});
