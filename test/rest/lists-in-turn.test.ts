import { expect, it } from "vitest";
import type { DelegatedTokens } from "../../src/authority/delegated-tokens.ts";
import type { StoredToken } from "../../src/authority/token.ts";
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
    revokeRevision: null,
  },
};

it("one account's lists are made one after the other, also after a failure; another's does not wait for them", async () => {
  const begun: string[] = [];
  const gate = Promise.withResolvers<never>();
  const list: DelegatedTokens["list"] = async ({ account }, { limit }) => {
    begun.push(`${account} ${limit}`);
    return limit === 1 ? await gate.promise : { tokens: [], hasMore: false };
  };
  const operations = createOperations({ tokens: { list } as DelegatedTokens, clock: Date.now });
  const run = (account: string, limit: number) =>
    operations.list.run({
      bearer: { ...aToken, account },
      id: "",
      query: fromForm(`limit=${limit}`),
      body: fromForm(""),
      header: new Headers(),
      signal: new AbortController().signal,
    });

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
