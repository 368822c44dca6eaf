import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { requestedTimeoutMs } from "../../src/calls/deadline.ts";
import { grpcTimeoutMs } from "../../src/wire/protobuf/grpc-timeout.ts";

const msOfUnit = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);

function parseGenerally(text: string): number | null | "malformed" {
  return requestedTimeoutMs(new Headers({ "content-type": "application/grpc", "grpc-timeout": text }));
}

describe("grpc-timeout in the lane", () => {
  it("is read in each unit", () => {
    expect(["1H", "2M", "3S", "4m", "5u", "6n", "0m", "99999999H"].map(grpcTimeoutMs)).toEqual([
      3_600_000,
      120_000,
      3000,
      4,
      5 * 1e-3,
      6 * 1e-6,
      0,
      99_999_999 * 3_600_000,
    ]);
  });

  it("is malformed with no digits, nine digits, no unit, another unit, or anything else around", () => {
    for (const text of [
      "",
      "S",
      "1",
      "123456789S",
      "1s",
      "1h",
      "1 S",
      " 1S",
      "1S ",
      "+1S",
      "-1S",
      "1.5S",
      "0x1S",
      "1SS",
      "1S, 2S",
      "/S",
      ":S",
      "١S",
    ]) {
      expect(grpcTimeoutMs(text), text).toBe("malformed");
    }
  });

  it("is what the general way makes of it", () => {
    const digits = fc.stringMatching(/^[0-9]{0,10}$/);
    const unit = fc.oneof(fc.constantFrom("H", "M", "S", "m", "u", "n"), fc.stringMatching(/^[!-~]{0,2}$/));
    const text = fc.oneof(
      fc.tuple(digits, unit).map((parts) => parts.join("")),
      fc.stringMatching(/^[!-~]{0,12}$/),
    );
    fc.assert(
      fc.property(text, (value) => {
        const [, amount, unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
        const ms = amount === undefined ? "malformed" : Number(amount) * (msOfUnit.get(unit) ?? Number.NaN);
        expect(grpcTimeoutMs(value)).toBe(ms);
        expect(parseGenerally(value)).toBe(ms);
      }),
      { numRuns: 2000 },
    );
  });
});
