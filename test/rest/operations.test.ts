import { expect, it } from "vitest";
import type { DelegatedTokens } from "../../src/authority/delegated-tokens.ts";
import { asUnused, type StoredToken } from "../../src/authority/token.ts";
import { createOperations } from "../../src/doors/rest/operations.ts";
import { fromForm } from "../../src/doors/rest/parameters.ts";

const aToken: StoredToken = {
  ...{ id: "tok_1", account: "acct_1", name: "a key", type: "secret", livemode: true, keyHint: "0000" },
  ...{ permissions: [], createdBy: "", createdAtMs: 0, expiresAtMs: null },
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

/** What a request asks, of a bearer. */
function asked(bearer: Partial<StoredToken>, query = "") {
  return {
    bearer: { ...aToken, ...bearer },
    id: "tok_2",
    query: fromForm(query),
    body: fromForm(""),
    header: new Headers(),
    signal: new AbortController().signal,
  };
}

it("one account's lists are made one after the other, also after a failure; another's does not wait for them", async () => {
  const begun: string[] = [];
  const gate = Promise.withResolvers<never>();
  const list: DelegatedTokens["list"] = async ({ account }, { limit }) => {
    begun.push(`${account} ${limit}`);
    return limit === 1 ? await gate.promise : { tokens: [], hasMore: false };
  };
  const operations = createOperations({ tokens: { list } as DelegatedTokens, clock: Date.now });
  const run = (account: string, limit: number) => operations.list.run(asked({ account }, `limit=${limit}`));

  const first = run("acct_1", 1);
  const second = run("acct_1", 2);
  expect((await run("acct_2", 100)).json).toMatchObject({ data: [] });
  expect(begun).toEqual(["acct_1 1", "acct_2 100"]);

  gate.reject(new Error("it failed"));
  await expect(first).rejects.toThrow("it failed");
  expect((await second).json).toMatchObject({ data: [] });
  expect((await run("acct_1", 3)).json).toMatchObject({ data: [] });
  expect(begun).toEqual(["acct_1 1", "acct_2 100", "acct_1 2", "acct_1 3"]);
});

it("a key that asks for its own token too often is told so, which takes nothing from its account and its other keys", async () => {
  const get: DelegatedTokens["get"] = async (maker) => asUnused(maker);
  const { getSelf, get: getOther } = createOperations({ tokens: { get } as DelegatedTokens, clock: Date.now });
  const publishable = asked({ id: "tok_3", type: "publishable" });
  let answered = 0;
  const askOn = async () => {
    for (; answered < 100_000; answered += 1) {
      await getSelf.run(publishable);
    }
  };
  await expect(askOn()).rejects.toMatchObject({ told: { status: 429, code: "rate_limited" }, retryAfterSeconds: 1 });
  expect(answered).toBeGreaterThanOrEqual(100);
  await getOther.run(asked({}));
  await getSelf.run(asked({}));
});
