import { describe, expect, it } from "vitest";
import {
  answerBytes,
  asUnused,
  currentKey,
  endOfKey,
  holdRefusal,
  isRetired,
  type Key,
  lastUseOf,
  maxShownKeys,
  stateOf,
  type Token,
} from "../../src/authority/token.ts";

const token: Token = {
  id: "tok_1",
  account: "acct_1",
  name: "a key",
  type: "restricted",
  livemode: true,
  keyHint: "abcd",
  permissions: ["events:read"],
  createdBy: "operator",
  createdAtMs: 1_000,
  expiresAtMs: 2_000,
  revokedAtMs: null,
  revokeReason: "",
  createRevision: 1,
  issueRevision: 1,
  keyEndsAtMs: null,
  held: false,
  accountState: "active",
  revokeRevision: null,
  lastUsedAtMs: null,
  keys: [{ hint: "abcd", issueRevision: 1, issuedAtMs: 1_000, endsAtMs: null, lastUsedAtMs: null }],
};

describe("the state of a token", () => {
  it("is active up to, and not including, the millisecond it expires", () => {
    expect(stateOf(token, 1_999)).toBe("active");
    expect(stateOf(token, 2_000)).toBe("expired");
    expect(stateOf({ ...token, expiresAtMs: null }, 2_000)).toBe("active");
  });

  it("is revoked once it is, whether or not it has expired as well", () => {
    const revoked = { ...token, revokedAtMs: 1_500, revokeRevision: 2 };
    expect(stateOf(revoked, 1_999)).toBe("revoked");
    expect(stateOf(revoked, 2_000)).toBe("revoked");
  });
});

describe("the keys of a token", () => {
  const [first, second, third] = [1, 5, 9].map(
    (issueRevision): Key => ({
      hint: `k${issueRevision}`,
      issueRevision,
      issuedAtMs: 0,
      endsAtMs: null,
      lastUsedAtMs: null,
    }),
  ) as [Key, Key, Key];
  const ended = (key: Key): Key => ({ ...key, endsAtMs: 3_000 });
  const used = (key: Key, lastUsedAtMs: number): Key => ({ ...key, lastUsedAtMs });

  it("has the newest without an end of its own as the current one, in whatever order they come", () => {
    expect(currentKey([first, second, third])).toBe(third);
    expect(currentKey([third, first, second])).toBe(third);
    expect(currentKey([first, second, ended(third)])).toBe(second);
    expect(currentKey([ended(first), second, ended(third)])).toBe(second);
  });

  it("has the newest as the current one where each has an end", () => {
    const newest = ended(third);
    expect(currentKey([ended(first), newest, ended(second)])).toBe(newest);
  });

  it("is never without one", () => {
    expect(() => currentKey([])).toThrow("a token has no key");
  });

  it("was used last when any of them was", () => {
    expect(lastUseOf([])).toBeNull();
    expect(lastUseOf([first, second])).toBeNull();
    expect(lastUseOf([used(first, 20), used(second, 30), used(third, 10)])).toBe(30);
    expect(lastUseOf([first, used(second, 30), third])).toBe(30);
    expect(lastUseOf([used(first, 30), second])).toBe(30);
  });

  it("is one, unused, when the token was created just now", () => {
    const { lastUsedAtMs: _, keys: __, ...stored } = { ...token, keyEndsAtMs: 1_900, issueRevision: 7 };
    expect(asUnused(stored)).toEqual({
      ...stored,
      lastUsedAtMs: null,
      keys: [{ hint: "abcd", issueRevision: 7, issuedAtMs: 1_000, endsAtMs: 1_900, lastUsedAtMs: null }],
    });
  });

  it("are retired from the millisecond of their own end on, and never without one", () => {
    expect(isRetired({ keyEndsAtMs: 1_900 }, 1_899)).toBe(false);
    expect(isRetired({ keyEndsAtMs: 1_900 }, 1_900)).toBe(true);
    expect(isRetired({ keyEndsAtMs: null }, Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  it("end with the token, or before", () => {
    expect(endOfKey({ keyEndsAtMs: null, expiresAtMs: null })).toBeNull();
    expect(endOfKey({ keyEndsAtMs: null, expiresAtMs: 2_000 })).toBe(2_000);
    expect(endOfKey({ keyEndsAtMs: 0, expiresAtMs: null })).toBe(0);
    expect(endOfKey({ keyEndsAtMs: 1_900, expiresAtMs: null })).toBe(1_900);
    expect(endOfKey({ keyEndsAtMs: 1_900, expiresAtMs: 2_000 })).toBe(1_900);
    expect(endOfKey({ keyEndsAtMs: 2_100, expiresAtMs: 2_000 })).toBe(2_000);
  });
});

describe("what stands against a token beside its own state", () => {
  it("is first what is for good, then what may be lifted", () => {
    expect(holdRefusal({ held: true, accountState: "closed" })).toBe("ACCOUNT_CLOSED");
    expect(holdRefusal({ held: false, accountState: "closed" })).toBe("ACCOUNT_CLOSED");
    expect(holdRefusal({ held: true, accountState: "held" })).toBe("TOKEN_HELD");
    expect(holdRefusal({ held: true, accountState: "active" })).toBe("TOKEN_HELD");
    expect(holdRefusal({ held: false, accountState: "held" })).toBe("ACCOUNT_HELD");
    expect(holdRefusal({ held: false, accountState: "active" })).toBeNull();
  });
});

describe("what a token takes in an answer", () => {
  it("grows with each key that is shown, and with no more", () => {
    const of = (count: number) =>
      answerBytes({ ...token, keys: Array.from({ length: count }, () => token.keys).flat() });
    expect(of(2) - of(1)).toBe(60);
    expect(of(maxShownKeys) - of(1)).toBe(60 * (maxShownKeys - 1));
    expect(of(maxShownKeys + 5)).toBe(of(maxShownKeys));
  });

  it("grows with each of its texts, by their bytes in UTF-8, and by a little more for each permission", () => {
    const bytes = answerBytes(token);
    expect(answerBytes({ ...token, account: "acct_12" }) - bytes).toBe(1);
    expect(answerBytes({ ...token, name: "a keyé" }) - bytes).toBe(2);
    expect(answerBytes({ ...token, createdBy: "operator." }) - bytes).toBe(1);
    expect(answerBytes({ ...token, revokeReason: "lost €" }) - bytes).toBe(8);
    expect(answerBytes({ ...token, permissions: ["events:read", "a:read"] }) - bytes).toBe(8);
    expect(bytes).toBeGreaterThan(150);
  });
});
