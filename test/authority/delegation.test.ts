import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mayCreate } from "../../src/authority/caller.ts";
import { DelegationError, isVisible, requireGrantable, requireRevocable } from "../../src/authority/delegation.ts";
import { missingPermissions } from "../../src/authority/permission.ts";
import { type StoredToken, tokenTypes } from "../../src/authority/token.ts";

const resources = ["tokens", "events", "charges"];
const permissions = fc.uniqueArray(
  fc.constantFrom(...resources.flatMap((resource) => [`${resource}:read`, `${resource}:write`])),
  { minLength: 1 },
);
const expiry = fc.option(fc.integer({ min: 1, max: 3 }));

function aToken(facts: Partial<StoredToken>): StoredToken {
  return {
    id: "tok_00000000000000000000",
    account: "acct_1",
    name: "a key",
    type: "restricted",
    livemode: true,
    keyHint: "Zz09",
    permissions: [],
    createdBy: "local",
    createdAtMs: 0,
    expiresAtMs: null,
    revokedAtMs: null,
    revokeReason: "",
    createRevision: 1,
    issueRevision: 1,
    keyEndsAtMs: null,
    held: false,
    accountState: "active",
    revokeRevision: null,
    ...facts,
  };
}

function isRefused(rule: () => void): boolean {
  try {
    rule();
    return false;
  } catch (error) {
    expect(error).toBeInstanceOf(DelegationError);
    return true;
  }
}

it("each role creates the types that are its own, and a bearer restricted keys alone", () => {
  const types = Object.fromEntries(
    (["gateway", "service", "dashboard", "operator", "bearer"] as const).map((role) => [
      role,
      tokenTypes.filter((type) => mayCreate(role, type)),
    ]),
  );
  expect(types).toEqual({
    gateway: [],
    service: ["restricted"],
    dashboard: ["secret", "publishable", "restricted"],
    operator: ["secret", "publishable", "restricted"],
    bearer: ["restricted"],
  });
});

describe("what is given", () => {
  it("lets nobody do what the maker cannot do, at no time that the maker cannot", () => {
    fc.assert(
      fc.property(permissions, expiry, permissions, expiry, (own, ownEnd, given, givenEnd) => {
        const maker = aToken({ permissions: own, expiresAtMs: ownEnd });
        const grant = { permissions: given, expiresAtMs: givenEnd };
        const isMore = given.some((permission) => missingPermissions("restricted", own, [permission]).length > 0);
        const isLonger = (givenEnd ?? 9) > (ownEnd ?? 9);
        const isOfTokens = given.some((permission) => permission.startsWith("tokens"));
        expect(isRefused(() => requireGrantable(maker, grant))).toBe(isMore || isLonger || isOfTokens);
        expect(isRefused(() => requireGrantable({ ...maker, type: "secret" }, grant))).toBe(false);
      }),
    );
  });
});

describe("what is revoked", () => {
  it("is a restricted token that the maker covers, and anything for a secret key", () => {
    fc.assert(
      fc.property(permissions, permissions, (own, theirs) => {
        const maker = aToken({ permissions: own });
        const isMore = missingPermissions("restricted", own, theirs).length > 0;
        expect(isRefused(() => requireRevocable(maker, aToken({ permissions: theirs })))).toBe(isMore);
      }),
    );
    const all = aToken({ permissions: ["tokens:write", "events:write"] });
    for (const type of ["secret", "publishable"] as const) {
      expect(isRefused(() => requireRevocable(all, aToken({ type })))).toBe(true);
      expect(isRefused(() => requireRevocable(aToken({ type: "secret" }), aToken({ type })))).toBe(false);
    }
  });
});

describe("what is seen", () => {
  it.each([
    [{}, true],
    [{ account: "acct_2" }, false],
    [{ livemode: false }, false],
  ])("of a token that differs in %j: %s", (difference, isSeen) => {
    expect(isVisible(aToken({}), aToken(difference))).toBe(isSeen);
  });
});
