import { describe, expect, it } from "vitest";
import { openAuthority, refusalOf } from "../support/authority-rig.ts";

describe("listing", () => {
  it("goes to the last page and back again, and both ways gives the same tokens, newest first", async () => {
    const authority = await openAuthority();
    const made: string[] = [];
    for (let count = 0; count < 7; count += 1) {
      made.unshift((await authority.issue()).id);
    }
    const page = async (pageToken: string) => {
      const response = await authority.listTokens({ account: "acct_1", pageSize: 3, pageToken });
      return { ...response, ids: response.tokens.map(({ id }) => id) };
    };
    const first = await page("");
    const second = await page(first.nextPageToken);
    const third = await page(second.nextPageToken);
    expect([first.ids, second.ids, third.ids]).toEqual([made.slice(0, 3), made.slice(3, 6), made.slice(6)]);
    expect([first.previousPageToken, third.nextPageToken]).toEqual(["", ""]);

    const secondAgain = await page(third.previousPageToken);
    const firstAgain = await page(secondAgain.previousPageToken);
    expect([secondAgain.ids, firstAgain.ids]).toEqual([second.ids, first.ids]);
    expect(firstAgain.previousPageToken).toBe("");
    expect((await page(firstAgain.nextPageToken)).ids).toEqual(second.ids);

    const newer = (await authority.issue()).id;
    expect((await page(first.nextPageToken)).ids).toEqual(second.ids);
    const firstLater = await page(secondAgain.previousPageToken);
    expect(firstLater.ids).toEqual(first.ids);
    expect((await page(firstLater.previousPageToken)).ids).toEqual([newer]);
  });

  it("of 1000 at the most, however many are asked for", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 10_000 });
    await Promise.all(Array.from({ length: 1001 }, () => authority.issue()));
    const { tokens, nextPageToken } = await authority.listTokens({ pageSize: 5000 });
    expect(tokens).toHaveLength(1000);
    expect((await authority.listTokens({ pageSize: 5000, pageToken: nextPageToken })).tokens).toHaveLength(1);
    expect((await authority.listTokens({})).tokens).toHaveLength(50);
    expect(await refusalOf(authority.listTokens({ pageSize: -1 }))).toBe(
      "FIELD_INVALID: pageSize must not be negative",
    );
  });
});

describe("listing changes and accounts", () => {
  it("goes through the journal page by page, newest first, while it grows", async () => {
    const authority = await openAuthority();
    for (let count = 0; count < 5; count += 1) {
      await authority.issue();
    }
    const page = (pageToken: string, tokenId = "") => authority.findChanges({ pageSize: 2, pageToken, tokenId });
    const first = await page("");
    const { id } = await authority.issue();
    const second = await page(first.nextPageToken);
    const third = await page(second.nextPageToken);
    const revisions = [first, second, third].map(({ changes }) => changes.map(({ revision }) => revision));
    expect(revisions).toEqual([[5, 4], [3, 2], [1]]);
    expect(third.nextPageToken).toBe("");
    expect(await refusalOf(page(first.nextPageToken, id))).toMatch("PAGE_TOKEN_INVALID: pageToken");
    expect(await refusalOf(authority.listTokens({ pageToken: first.nextPageToken }))).toMatch(
      "PAGE_TOKEN_INVALID: pageToken",
    );
  });

  it("finds the changes of an account, a caller, an action and a time, with names and reasons", async () => {
    const authority = await openAuthority();
    const first = await authority.issue({ account: "acct_1", name: "Till 7" });
    authority.clock.nowMs += 60_000;
    await authority.issue({ account: "acct_2", name: "Till 8" });
    await authority.revoke(first.id, "lost");
    const found = async (filter: Parameters<typeof authority.findChanges>[0]) =>
      (await authority.findChanges(filter)).changes.map((one) => [
        one.revision,
        one.account,
        one.tokenName,
        one.reason,
      ]);
    const [made, other, lost] = [
      [1, "acct_1", "Till 7", ""],
      [2, "acct_2", "Till 8", ""],
      [3, "acct_1", "Till 7", "lost"],
    ];
    expect(await found({})).toEqual([lost, other, made]);
    expect(await found({ account: "acct_1" })).toEqual([lost, made]);
    expect(await found({ action: "revoke" })).toEqual([lost]);
    expect(await found({ action: "create", account: "acct_2" })).toEqual([other]);
    expect(await found({ changedFromMs: authority.clock.nowMs })).toEqual([lost, other]);
    expect(await found({ changedBeforeMs: authority.clock.nowMs })).toEqual([made]);
    expect(await found({ caller: "local", tokenId: first.id })).toEqual([lost, made]);
    expect(await found({ caller: "loca" })).toEqual([]);
  });

  it("is followed from the oldest change on, and an empty page at the head says where to go on", async () => {
    const authority = await openAuthority();
    for (let count = 0; count < 3; count += 1) {
      await authority.issue();
    }
    const tail = async (afterRevision: number, asked: Parameters<typeof authority.findChanges>[0] = {}) => {
      const answer = await authority.findChanges({ oldestFirst: true, afterRevision, pageSize: 2, ...asked });
      const { nextPageToken, reachedRevision } = answer;
      return { revisions: answer.changes.map(({ revision }) => revision), nextPageToken, reachedRevision };
    };
    const first = await tail(0);
    expect(first).toMatchObject({ revisions: [1, 2], reachedRevision: 2 });
    expect(await tail(2)).toEqual({ revisions: [3], nextPageToken: "", reachedRevision: 3 });
    expect(await tail(3)).toEqual({ revisions: [], nextPageToken: "", reachedRevision: 3 });
    expect(await tail(0, { action: "revoke" })).toEqual({ revisions: [], nextPageToken: "", reachedRevision: 3 });
    await authority.issue();
    expect(await tail(0, { pageToken: first.nextPageToken })).toMatchObject({ revisions: [3, 4], reachedRevision: 4 });
    expect(await tail(3)).toMatchObject({ revisions: [4], reachedRevision: 4 });
    expect((await authority.findChanges({})).reachedRevision).toBeNull();
    expect(await refusalOf(tail(5))).toMatch("FIELD_INVALID: afterRevision must not be beyond the newest change");
    expect(await refusalOf(tail(-1))).toBe("FIELD_INVALID: afterRevision must not be negative");
    expect(await refusalOf(tail(0, { pageToken: first.nextPageToken, oldestFirst: false }))).toMatch(
      "PAGE_TOKEN_INVALID",
    );
  });

  it("goes through the accounts page by page, in the order of their bytes", async () => {
    const authority = await openAuthority();
    for (const account of ["b", "a", "Z", "a", "ab"]) {
      await authority.issue({ account });
    }
    const page = (pageToken: string, prefix = "") => authority.listAccounts({ pageSize: 3, pageToken, prefix });
    const first = await page("");
    const second = await page(first.nextPageToken);
    const counts = [first, second].map(({ accounts }) => accounts.map((one) => [one.account, one.active]));
    expect(counts).toEqual([
      [
        ["Z", 1],
        ["a", 2],
        ["ab", 1],
      ],
      [["b", 1]],
    ]);
    expect(second.nextPageToken).toBe("");
    expect(await refusalOf(page(first.nextPageToken, "a"))).toMatch("PAGE_TOKEN_INVALID: pageToken");
    expect((await page("", "c")).accounts).toEqual([]);
  });

  it("counts an account's tokens to 10,000, and no further", async () => {
    const authority = await openAuthority({ maxTokensPerAccount: 20_000 });
    for (let batch = 0; batch < 11; batch += 1) {
      await Promise.all(Array.from({ length: 910 }, () => authority.issue()));
    }
    await authority.revoke((await authority.issue()).id);
    const { accounts } = await authority.listAccounts({ pageSize: 0, pageToken: "", prefix: "" });
    expect(accounts).toMatchObject([{ account: "acct_1", active: 10_000, expired: 0, revoked: 1 }]);
  });
});
