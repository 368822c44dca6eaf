import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodePageToken, encodePageToken } from "../../src/authority/page-token.ts";
import type { TokenFilter } from "../../src/authority/token-store.ts";

const filter: TokenFilter = {
  account: "acct_1",
  types: ["secret"],
  livemode: true,
  states: ["active"],
  permission: "events:read",
  createdFromMs: 1,
  createdBeforeMs: 2,
  expiresBeforeMs: 3,
  unusedSinceMs: 4,
  nameContains: "till",
  keyHint: "Zz09",
};
const direction = fc.constantFrom("older" as const, "newer" as const);

describe("page tokens", () => {
  it("bring back the position that they were made for", () => {
    fc.assert(
      fc.property(direction, fc.maxSafeNat(), (way, after) => {
        const position = { direction: way, after };
        expect(decodePageToken(encodePageToken(position, filter), filter)).toEqual(position);
      }),
    );
  });

  it("are refused with another filter, whichever part differs", () => {
    const token = encodePageToken({ direction: "older", after: 7 }, filter);
    const others: TokenFilter[] = [
      { ...filter, account: null },
      { ...filter, types: [] },
      { ...filter, livemode: null },
      { ...filter, states: ["active", "expired"] },
      { ...filter, permission: null },
      { ...filter, createdFromMs: 2 },
      { ...filter, createdBeforeMs: null },
      { ...filter, expiresBeforeMs: 4 },
      { ...filter, unusedSinceMs: 5 },
    ];
    expect(others.map((other) => decodePageToken(token, other))).toEqual(others.map(() => null));
  });

  it("are refused when they are anything else, without an error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String(), fc.constant("A".repeat(100_000))), (text) => {
        expect(decodePageToken(text, filter)).toBeNull();
      }),
    );
  });

  it("are refused with one character changed, padding added or cut short", () => {
    const token = encodePageToken({ direction: "newer", after: 300 }, filter);
    expect(decodePageToken(`${token}=`, filter)).toBeNull();
    expect(decodePageToken(token.slice(1), filter)).toBeNull();
    expect(decodePageToken(`${token.slice(0, -1)}${token.endsWith("A") ? "B" : "A"}`, filter)).toBeNull();
  });
});
