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
import type { ChangeFilter, TokenFilter } from "../../src/authority/token-store.ts";
import { allChanges, everything } from "../support/token-store/builders.ts";

const filter: TokenFilter = {
  account: "acct_1",
  types: ["secret"],
  livemode: true,
  states: ["active"],
  permission: "events:read",
  createdFromMs: 1,
  createdBeforeMs: 2,
  expiresFromMs: 2,
  expiresBeforeMs: 3,
  unusedSinceMs: 4,
  nameContains: "till",
  keyHint: "Zz09",
  createdBy: "tok_1",
  held: true,
  rotating: false,
};
const changes: ChangeFilter = {
  tokenId: "tok_1",
  caller: "local",
  action: "revoke",
  account: "acct_1",
  changedFromMs: 1,
  changedBeforeMs: 2,
  afterRevision: 3,
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
      { ...filter, createdBy: null },
      { ...filter, expiresFromMs: 3, expiresBeforeMs: 2 },
      { ...filter, held: null },
      { ...filter, held: false, rotating: true },
      { ...filter, rotating: null },
      { ...filter, keyHint: "tok_1", createdBy: "Zz09" },
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

  it("take types and states as sets: in another order, or named twice, they are the same", () => {
    const asked: TokenFilter = { ...filter, types: ["secret", "restricted"], states: ["expired", "active"] };
    const again: TokenFilter = { ...filter, types: ["restricted", "secret", "secret"], states: ["active", "expired"] };
    const position = { direction: "older" as const, after: 7 };
    expect(decodePageToken(encodePageToken(position, asked), again)).toEqual(position);
  });

  it("do not expire: one from before a filter was added is still good where that is not given", () => {
    const old = { ...filter, createdBy: null, expiresFromMs: null, held: null, rotating: null };
    const older = { ...old, nameContains: null, keyHint: null };
    const position = { direction: "older" as const, after: 7 };
    expect(decodePageToken("AQAAAAAAAAAAB_10uGCT2sY48YibNRbwC9g", older)).toEqual(position);
    expect(decodePageToken("AQAAAAAAAAAAB3v8BZ-Tbmr4Od0QW9nQpMg", old)).toEqual(position);
    const ofToken = { ...allChanges, tokenId: "tok_1" };
    expect(decodeChangePageToken("AgAAAAAAAAAHHY_GzrH5TGMm1tVIPSWPyw", allChanges)).toBe(7);
    expect(decodeChangePageToken("AgAAAAAAAAAHkR3INPvQe3I3yFn0hhr2Kg", ofToken)).toBe(7);
  });

  it("of changes bring back their revision, for the same filter alone", () => {
    const others: ChangeFilter[] = [
      { ...changes, tokenId: null },
      { ...changes, caller: "another" },
      { ...changes, action: "create" },
      { ...changes, account: null },
      { ...changes, changedFromMs: 2 },
      { ...changes, changedBeforeMs: null },
      { ...changes, caller: "acct_1", account: "local" },
      { ...allChanges, tokenId: "tok_1" },
      allChanges,
    ];
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.constantFrom(changes, ...others), (after, asked) => {
        const text = encodeChangePageToken(after, asked);
        expect(decodeChangePageToken(text, asked)).toBe(after);
        expect(decodeChangePageToken(text, { ...asked, tokenId: "tok_3" })).toBeNull();
        expect(decodeChangePageToken(text.slice(0, -1), asked)).toBeNull();
      }),
    );
    const token = encodeChangePageToken(7, changes);
    expect(others.map((other) => decodeChangePageToken(token, other))).toEqual(others.map(() => null));
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
    const change = encodeChangePageToken(7, changes);
    const account = encodeAccountPageToken("acct_1", "acct_1");
    expect([decodePageToken(change, filter), decodePageToken(account, filter)]).toEqual([null, null]);
    expect([decodeChangePageToken(token, changes), decodeChangePageToken(account, changes)]).toEqual([null, null]);
    expect([decodeAccountPageToken(token, "acct_1"), decodeAccountPageToken(change, "acct_1")]).toEqual([null, null]);
  });
});

it("is refused where another kind of page is asked for, or its position is of no page", () => {
  const ofTokens = encodePageToken({ direction: "older", after: 7 }, everything);
  const ofChanges = encodeChangePageToken(7, allChanges);
  const ofAccounts = encodeAccountPageToken("acct_1", "acct");
  expect([decodeChangePageToken(ofTokens, allChanges), decodeAccountPageToken(ofTokens, "acct")]).toEqual([null, null]);
  expect([decodePageToken(ofChanges, everything), decodeAccountPageToken(ofChanges, "acct")]).toEqual([null, null]);
  expect([decodePageToken(ofAccounts, everything), decodeChangePageToken(ofAccounts, allChanges)]).toEqual([
    null,
    null,
  ]);
  // The same facts, another first byte: what a page of one kind is bound to must not open a page of another.
  for (const [text, decode] of [
    [ofTokens, (one: string) => decodePageToken(one, everything)],
    [ofChanges, (one: string) => decodeChangePageToken(one, allChanges)],
    [ofAccounts, (one: string) => decodeAccountPageToken(one, "acct")],
  ] as const) {
    const bytes = Buffer.from(text, "base64url");
    bytes.writeUInt8(bytes.readUInt8(0) ^ 0x07, 0);
    expect([decode(text) === null, decode(bytes.toString("base64url"))]).toEqual([false, null]);
  }
});

it("of tokens has a direction, and a position of eight bytes", () => {
  const text = encodePageToken({ direction: "newer", after: 7 }, filter);
  const bytes = Buffer.from(text, "base64url");
  const [kind, position, hash] = [bytes.subarray(0, 1), bytes.subarray(1, 10), bytes.subarray(10)];
  const made = (changed: Uint8Array) => Buffer.concat([kind, changed, hash]).toString("base64url");
  expect(decodePageToken(made(position), filter)).toEqual({ direction: "newer", after: 7 });
  expect(decodePageToken(made(Buffer.concat([Uint8Array.of(2), position.subarray(1)])), filter)).toBeNull();
  for (const other of [position.subarray(0, 8), Buffer.concat([position, Buffer.alloc(1)]), position.subarray(0, 0)]) {
    expect(decodePageToken(made(other), filter)).toBeNull();
  }
});

it("of accounts is as long as its account is, to the longest", () => {
  const account = "a".repeat(64);
  expect(decodeAccountPageToken(encodeAccountPageToken(account, "a"), "a")).toBe(account);
});

it("is bound to each filter that came later, also to one alone", () => {
  const none = { nameContains: null, keyHint: null, createdBy: null, expiresFromMs: null, held: null, rotating: null };
  const text = encodePageToken({ direction: "older", after: 7 }, { ...filter, ...none, keyHint: "Zz09" });
  expect(decodePageToken(text, { ...filter, ...none })).toBeNull();
  const ofChanges = encodeChangePageToken(7, { ...allChanges, action: "revoke" });
  expect(decodeChangePageToken(ofChanges, allChanges)).toBeNull();
  const ofTail = encodeChangePageToken(7, { ...allChanges, afterRevision: 3 }, "newer");
  expect(decodeChangePageToken(ofTail, { ...allChanges, afterRevision: 3 }, "newer")).toBe(7);
  expect(decodeChangePageToken(ofTail, { ...allChanges, afterRevision: 4 }, "newer")).toBeNull();
  expect(decodeChangePageToken(ofTail, { ...allChanges, afterRevision: 3 })).toBeNull();
  expect(decodeChangePageToken(encodeChangePageToken(7, allChanges), allChanges, "newer")).toBeNull();
});
