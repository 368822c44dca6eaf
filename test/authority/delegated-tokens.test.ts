import { expect, it } from "vitest";
import { createDelegatedTokens } from "../../src/authority/delegated-tokens.ts";
import type { StoredToken } from "../../src/authority/token.ts";

const maker: StoredToken = {
  ...{ id: "tok_00000000000000000000", account: "acct_1", name: "a key", type: "secret", livemode: true },
  ...{ keyHint: "Zz09", permissions: [], createdBy: "local", createdAtMs: 0, expiresAtMs: null },
  ...{
    revokedAtMs: null,
    revokeReason: "",
    createRevision: 1,
    issueRevision: 1,
    keyEndsAtMs: null,
    held: false,
    accountState: "active",
    revokeRevision: null,
  },
};

it("a list that nobody waits for any more stops looking on", async () => {
  const request = new AbortController();
  let pages = 0;
  const tokens = createDelegatedTokens({
    authority: {
      create: () => expect.unreachable(),
      revoke: () => expect.unreachable(),
      rotateKey: () => expect.unreachable(),
      endRotation: () => expect.unreachable(),
    },
    // An account without end, none of whose tokens passes.
    store: {
      get: () => expect.unreachable(),
      async list() {
        pages += 1;
        if (pages === 3) {
          request.abort(new Error("the deadline has passed"));
        }
        return { tokens: [], next: 1_000_000 - pages };
      },
    },
    clock: Date.now,
  });
  const whole = {
    limit: 10,
    from: null,
    types: [],
    states: [],
    createdFromMs: null,
    createdBeforeMs: null,
    expiresFromMs: null,
    expiresBeforeMs: null,
  };
  await expect(tokens.list(maker, whole, request.signal)).rejects.toThrow("the deadline has passed");
  expect(pages).toBe(3);
});
