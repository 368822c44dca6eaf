import { describe, expect, it } from "vitest";
import { answerBytes, stateOf, type Token } from "../../src/authority/token.ts";

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

describe("what a token takes in an answer", () => {
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
