import { describe, expect, it } from "vitest";
import { type AuthenticateRequest, judge } from "../../src/authority/judge.ts";
import type { Principal } from "../../src/authority/key-index.ts";
import type { StoredToken } from "../../src/authority/token.ts";

const expiresAtMs = 2_000;
const live: StoredToken = {
  id: "tok_1",
  account: "acct_1",
  name: "a key",
  type: "restricted",
  livemode: true,
  keyHint: "abcd",
  permissions: ["events:read", "charges:write"],
  createdBy: "operator",
  createdAtMs: 1_000,
  expiresAtMs,
  revokedAtMs: null,
  revokeReason: "",
  createRevision: 1,
  issueRevision: 1,
  keyEndsAtMs: null,
  held: false,
  accountState: "active",
  revokeRevision: null,
};
/** Fails every check that a token can fail. */
const dead: StoredToken = {
  ...live,
  type: "publishable",
  revokedAtMs: 1_500,
  revokeRevision: 2,
  keyEndsAtMs: 1_800,
  held: true,
  accountState: "closed",
  permissions: [],
};
const asked: AuthenticateRequest = { key: "", requiredPermissions: [], livemode: null, allowedTypes: [] };
const askedMuch: AuthenticateRequest = { ...asked, requiredPermissions: ["files:read"], livemode: false };

function decide(token: StoredToken, request: Partial<AuthenticateRequest> = {}, nowMs = expiresAtMs - 1) {
  const found: Principal = { kind: "principal", token, isRemembered: false, beside: null };
  const outcome = judge({ ...asked, ...request }, found, nowMs);
  return outcome === found ? "accepted" : outcome;
}

function reason(...args: Parameters<typeof decide>) {
  const outcome = decide(...args);
  return outcome !== "accepted" && outcome.kind === "refusal" ? outcome.reason : "accepted";
}

describe("a decision on a key that is known", () => {
  it("tells the first check that fails, in the order of the contract", () => {
    expect(reason(dead, askedMuch, expiresAtMs)).toBe("TOKEN_REVOKED");
    const unrevoked = { ...dead, revokedAtMs: null, revokeRevision: null };
    expect(reason(unrevoked, askedMuch, expiresAtMs)).toBe("KEY_RETIRED");
    const current = { ...unrevoked, keyEndsAtMs: null };
    expect(reason(current, askedMuch, expiresAtMs)).toBe("TOKEN_EXPIRED");
    expect(reason(current, askedMuch)).toBe("ACCOUNT_CLOSED");
    expect(reason({ ...current, accountState: "held" }, askedMuch)).toBe("TOKEN_HELD");
    expect(reason({ ...current, accountState: "held", held: false }, askedMuch)).toBe("ACCOUNT_HELD");
    const free = { ...current, accountState: "active", held: false } as const;
    expect(reason(free, askedMuch)).toBe("LIVEMODE_MISMATCH");
    expect(reason({ ...free, livemode: false }, askedMuch)).toBe("TYPE_NOT_ALLOWED");
    expect(reason({ ...live, livemode: false }, askedMuch)).toBe("INSUFFICIENT_PERMISSIONS");
  });

  it("names the token, and nothing that it lacks, when it is not its permissions that it fails by", () => {
    expect(decide(dead, askedMuch)).toEqual({
      kind: "refusal",
      reason: "TOKEN_REVOKED",
      token: dead,
      missingPermissions: [],
    });
  });

  it("names the permissions that are missing", () => {
    const requiredPermissions = ["events:read", "events:write", "charges:read", "files:read"];
    expect(decide(live, { requiredPermissions })).toMatchObject({
      reason: "INSUFFICIENT_PERMISSIONS",
      missingPermissions: ["events:write", "files:read"],
    });
  });

  it("takes a permission whole: one that begins or ends alike is another", () => {
    const permissions = ["payment_intents:read"];
    for (const required of ["payment:read", "payment_intents_x:read", "intents:read", "payment_intents:write"]) {
      expect(reason({ ...live, permissions }, { requiredPermissions: [required] }), required).toBe(
        "INSUFFICIENT_PERMISSIONS",
      );
    }
  });

  it("is a refusal from the millisecond it expires, and never for a token without an end", () => {
    expect(reason(live, {}, expiresAtMs - 1)).toBe("accepted");
    expect(reason(live, {}, expiresAtMs)).toBe("TOKEN_EXPIRED");
    expect(reason({ ...live, expiresAtMs: null }, {}, Number.MAX_SAFE_INTEGER)).toBe("accepted");
  });

  it("is a refusal from the millisecond of the key's own end, which is no end of the token", () => {
    const keyEndsAtMs = 1_900;
    expect(reason({ ...live, keyEndsAtMs }, {}, keyEndsAtMs - 1)).toBe("accepted");
    expect(decide({ ...live, keyEndsAtMs }, {}, keyEndsAtMs)).toMatchObject({
      reason: "KEY_RETIRED",
      token: { id: live.id },
    });
  });

  it("names the token that is held, and of an account that is", () => {
    expect(decide({ ...live, held: true })).toMatchObject({ reason: "TOKEN_HELD", token: { id: live.id } });
    expect(decide({ ...live, accountState: "held" })).toMatchObject({ reason: "ACCOUNT_HELD", token: { id: live.id } });
  });

  it("asks for a mode only where the request does", () => {
    for (const livemode of [true, false]) {
      expect(reason({ ...live, livemode })).toBe("accepted");
      expect(reason({ ...live, livemode }, { livemode })).toBe("accepted");
      expect(reason({ ...live, livemode }, { livemode: !livemode })).toBe("LIVEMODE_MISMATCH");
    }
  });

  it("allows secret and restricted keys, or those types that the request names", () => {
    expect(reason({ ...live, type: "secret" })).toBe("accepted");
    expect(reason({ ...live, type: "publishable" })).toBe("TYPE_NOT_ALLOWED");
    expect(reason({ ...live, type: "publishable" }, { allowedTypes: ["publishable"] })).toBe("accepted");
    expect(reason({ ...live, type: "secret" }, { allowedTypes: ["publishable", "restricted"] })).toBe(
      "TYPE_NOT_ALLOWED",
    );
  });
});
