import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeAccountPageToken,
  decodeChangePageToken,
  decodePageToken,
  encodeAccountPageToken,
  encodeChangePageToken,
  encodePageToken,
} from "../../src/authority/page-token.ts";
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
      { ...filter, nameContains: null },
      { ...filter, keyHint: "zz09" },
      { ...filter, nameContains: "Zz09", keyHint: "till" },
      { ...filter, nameContains: null, keyHint: null },
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

  it("do not expire: one from before a filter was added is still good where that is not given", () => {
    const older = { ...filter, nameContains: null, keyHint: null };
    const position = { direction: "older" as const, after: 7 };
    expect(decodePageToken("AQAAAAAAAAAAB_10uGCT2sY48YibNRbwC9g", older)).toEqual(position);
  });

  it("of changes bring back their revision, for the same token alone", () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.option(fc.constantFrom("tok_1", "tok_2")), (after, tokenId) => {
        const text = encodeChangePageToken(after, tokenId);
        expect(decodeChangePageToken(text, tokenId)).toBe(after);
        expect(decodeChangePageToken(text, "tok_3")).toBeNull();
        expect(decodeChangePageToken(text.slice(0, -1), tokenId)).toBeNull();
      }),
    );
  });

  it("of accounts bring back their account, for the same prefix alone", () => {
    for (const after of ["acct_1", "a".repeat(64)]) {
      const text = encodeAccountPageToken(after, "a");
      expect(decodeAccountPageToken(text, "a")).toBe(after);
      expect(decodeAccountPageToken(text, "")).toBeNull();
      expect(decodeAccountPageToken(`${text}A`, "a")).toBeNull();
    }
    expect(decodeAccountPageToken(encodeAccountPageToken("b", "a"), "a"), "beside the prefix").toBeNull();
    expect(decodeAccountPageToken(encodeAccountPageToken("a b", "a"), "a"), "no account").toBeNull();
  });

  it("of one kind are refused as any other", () => {
    const token = encodePageToken({ direction: "older", after: 7 }, filter);
    const change = encodeChangePageToken(7, "acct_1");
    const account = encodeAccountPageToken("acct_1", "acct_1");
    expect([decodePageToken(change, filter), decodePageToken(account, filter)]).toEqual([null, null]);
    expect([decodeChangePageToken(token, "acct_1"), decodeChangePageToken(account, "acct_1")]).toEqual([null, null]);
    expect([decodeAccountPageToken(token, "acct_1"), decodeAccountPageToken(change, "acct_1")]).toEqual([null, null]);
  });
});
