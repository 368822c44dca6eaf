import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { AuthorityError } from "../../src/authority/errors.ts";
import { fromTimestamp, toTimestamp } from "../../src/connect/timestamp.ts";

describe("a time on the wire", () => {
  const firstMs = -62_135_596_800_000;
  const lastMs = 253_402_300_799_999;

  it("is absent for null, both ways", () => {
    expect(toTimestamp(null)).toBeUndefined();
    expect(fromTimestamp("expire_time", undefined)).toBeNull();
  });

  it("is exact to the millisecond from the year 1 to 9999", () => {
    for (const ms of [firstMs, -1001, -1000, -999, -1, 0, 1, 999, 1000, lastMs]) {
      expect(fromTimestamp("expire_time", toTimestamp(ms))).toBe(ms);
    }
    fc.assert(
      fc.property(fc.integer({ min: firstMs, max: lastMs }), (ms) => {
        const timestamp = toTimestamp(ms);
        expect(timestamp.nanos).toBeGreaterThanOrEqual(0);
        expect(timestamp.nanos).toBeLessThan(1_000_000_000);
        expect(fromTimestamp("expire_time", timestamp)).toBe(ms);
      }),
    );
  });

  it("loses what is less than a millisecond", () => {
    expect(fromTimestamp("f", create(TimestampSchema, { seconds: 1n, nanos: 999_999 }))).toBe(1000);
    expect(fromTimestamp("f", create(TimestampSchema, { seconds: -1n, nanos: 999_999 }))).toBe(-1000);
    expect(fromTimestamp("f", create(TimestampSchema, { seconds: -1n, nanos: 999_999_999 }))).toBe(-1);
  });

  it("is refused outside its range", () => {
    for (const [seconds, nanos] of [
      [-62_135_596_801n, 0],
      [253_402_300_800n, 0],
      [1n << 62n, 0],
      [0n, -1],
      [0n, 1_000_000_000],
    ] as const) {
      const timestamp = { ...create(TimestampSchema), seconds, nanos };
      expect(() => fromTimestamp("created_from", timestamp)).toThrow(AuthorityError);
    }
  });
});
