import { createHash } from "node:crypto";
import { toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { TokenState, TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction, ListResponseSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { TestServer } from "../support/test-server.ts";

async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
  return call.then(
    () => expect.unreachable("the call was answered"),
    (error) => ConnectError.from(error),
  );
}

describe("authenticating", () => {
  it("refuses a token from the millisecond it expires", async () => {
    await using authority = await TestServer.start();
    const { key } = await authority.issue({ expireTime: authority.inSeconds(60) });
    authority.clock.nowMs += 59_999;
    expect(await authority.verdictOf(key)).toBe("principal");
    authority.clock.nowMs += 1;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
  });

  it("never takes back an expiry when the system's clock runs back", async () => {
    await using authority = await TestServer.start();
    const { key } = await authority.issue({ expireTime: authority.inSeconds(60) });
    authority.clock.nowMs += 60_000;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
    authority.clock.nowMs -= 30_000;
    expect(await authority.verdictOf(key)).toBe("TOKEN_EXPIRED");
  });

  it("makes its checks in the order of the contract: each key fails the first of those that it would fail", async () => {
    await using authority = await TestServer.start();
    const request = { livemode: true, requiredPermissions: ["events:write"] };
    const restricted = {
      type: TokenType.RESTRICTED,
      permissions: ["events:read"],
      expireTime: authority.inSeconds(60),
    };
    const publishable = { type: TokenType.PUBLISHABLE, expireTime: authority.inSeconds(60) };

    const testmode = await authority.issue({ ...publishable, livemode: false });
    const livemode = await authority.issue({ ...publishable, livemode: true });
    const short = await authority.issue({ ...restricted, livemode: true });
    expect(await authority.verdictOf(testmode.key, request)).toBe("LIVEMODE_MISMATCH");
    expect(await authority.verdictOf(livemode.key, request)).toBe("TYPE_NOT_ALLOWED");
    expect(await authority.verdictOf(short.key, request)).toBe("INSUFFICIENT_PERMISSIONS");

    authority.clock.nowMs += 60_000;
    expect(await authority.verdictOf(testmode.key, request)).toBe("TOKEN_EXPIRED");
    await authority.tokens.revoke({ id: testmode.id });
    expect(await authority.verdictOf(testmode.key, request)).toBe("TOKEN_REVOKED");
  });

  it("tells support whose key it was, once the key is proven, and which permissions it lacks", async () => {
    await using authority = await TestServer.start();
    const { key, id } = await authority.issue({ type: TokenType.RESTRICTED, permissions: ["events:read"] });
    const requiredPermissions = ["events:read", "events:write", "charges:read"];
    const { outcome } = await authority.tokens.authenticate({ key, requiredPermissions });
    expect(outcome.value).toMatchObject({
      tokenId: id,
      account: "acct_1",
      missingPermissions: ["events:write", "charges:read"],
    });
  });

  it("lets a publishable key pass only where a gateway says so, and gives it no permission there", async () => {
    await using authority = await TestServer.start();
    const { key } = await authority.issue({ type: TokenType.PUBLISHABLE });
    const allowedTypes = [TokenType.PUBLISHABLE];
    expect(await authority.verdictOf(key)).toBe("TYPE_NOT_ALLOWED");
    expect(await authority.verdictOf(key, { allowedTypes })).toBe("principal");
    expect(await authority.verdictOf(key, { allowedTypes, requiredPermissions: ["events:read"] })).toBe(
      "INSUFFICIENT_PERMISSIONS",
    );
  });

  it("moves the last use for accepted keys alone, a minute or more at a time", async () => {
    await using authority = await TestServer.start();
    const used = await authority.issue();
    const refused = await authority.issue({ type: TokenType.PUBLISHABLE });
    const first = authority.inSeconds(0);
    await authority.verdictOf(used.key);
    await authority.verdictOf(refused.key);
    authority.clock.nowMs += 59_999;
    await authority.verdictOf(used.key);
    // Stopping flushes what is written behind.
    await authority.stop();
    await authority.start();
    const lastUse = async (id: string) => (await authority.tokens.get({ id })).token?.lastUseTime;
    expect(await lastUse(used.id)).toEqual(first);
    expect(await lastUse(refused.id)).toBeUndefined();

    authority.clock.nowMs += 1;
    await authority.verdictOf(used.key);
    await authority.stop();
    await authority.start();
    expect(await lastUse(used.id)).toEqual(authority.inSeconds(0));
  });
});

describe("creating", () => {
  it("refuses an expiry that is not in the future, at the millisecond", async () => {
    await using authority = await TestServer.start();
    const error = await errorOf(authority.issue({ expireTime: authority.inSeconds(0) }));
    expect([error.code, error.rawMessage]).toEqual([Code.InvalidArgument, "expire_time must lie in the future"]);
    expect((await authority.issue({ expireTime: authority.inSeconds(0.001) })).id).toMatch(/^tok_/);
  });

  it("counts towards an account's limit only what still lives", async () => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_MAX_TOKENS_PER_ACCOUNT: "2" });
    const first = await authority.issue({ expireTime: authority.inSeconds(60) });
    await authority.issue();
    expect((await errorOf(authority.issue())).code).toBe(Code.ResourceExhausted);
    expect((await authority.issue({ account: "acct_2" })).id).toMatch(/^tok_/);

    authority.clock.nowMs += 60_000;
    const second = await authority.issue();
    expect((await errorOf(authority.issue())).code).toBe(Code.ResourceExhausted);
    await authority.tokens.revoke({ id: second.id });
    await authority.issue();
    expect((await authority.tokens.get({ id: first.id })).token?.state).toBe(TokenState.EXPIRED);
  });

  it("holds the limit when many creations run at once", async () => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_MAX_TOKENS_PER_ACCOUNT: "10" });
    const results = await Promise.allSettled(Array.from({ length: 50 }, () => authority.issue()));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(10);
  });
});

describe("names and reasons", () => {
  it.each([
    ["a line break", "a\nb"],
    ["a line separator", "a\u2028b"],
    ["a change of the writing direction", "a\u202eb"],
    ["a space of no width", "a\u200bb"],
    ["a byte order mark", "\ufeffab"],
    ["a tag", "a\u{e0041}"],
    ["a joiner between letters that do not join", "a\u200db"],
    ["a joiner at the end", "می\u200c"],
    ["two joiners", "می\u200c\u200cخواهم"],
    ["a joiner between scripts", "می\u200cab"],
    ["a joiner after an emoji alone", "👨\u200d"],
    ["a filler", "a\u3164"],
    ["a variant of a letter that has none", "a\ufe0f"],
    ["a soft hyphen", "a\u00adb"],
  ])("refuse %s", async (_what, text) => {
    await using authority = await TestServer.start();
    const rule = "must not contain control characters or invisible ones";
    expect((await errorOf(authority.issue({ name: text }))).rawMessage).toBe(`name ${rule}`);
    const { id } = await authority.issue();
    expect((await errorOf(authority.tokens.revoke({ id, reason: text }))).rawMessage).toBe(`reason ${rule}`);
  });

  it("refuse what looks like nothing, and count no blank around them", async () => {
    await using authority = await TestServer.start();
    const { id } = await authority.issue();
    const ruleOf = async (name: string) => (await errorOf(authority.issue({ name }))).rawMessage;
    const length = "name must be 1 to 100 characters";
    const glyph = "name must have a character that can be seen";
    expect(await Promise.all(["", "   ", "\u00a0\u3000", "n".repeat(101)].map(ruleOf))).toEqual(Array(4).fill(length));
    // Combining marks, and the blank of Braille.
    expect(await Promise.all(["\u0301", "\u2800\u2800"].map(ruleOf))).toEqual([glyph, glyph]);
    expect((await authority.issue({ name: `  ${"n".repeat(100)}\u00a0 ` })).token?.name).toBe("n".repeat(100));
    expect((await errorOf(authority.tokens.revoke({ id, reason: "\u0301" }))).rawMessage).toBe(
      "reason must have a character that can be seen",
    );
    const { token } = await authority.tokens.revoke({ id, reason: "  found in a repository  " });
    expect(token?.revokeReason).toBe("found in a repository");
  });

  it.each([
    ["many scripts at once", "Zoë's 💶 – שלום عربي 日本語 ✓️"],
    ["Persian", "کلید می‌خواهم و نامه‌ها"],
    ["Hindi", "मुख्‍य कुंजी क्‌ष"],
    ["Bengali", "র‍্যাব"],
    ["Sinhala", "ශ්‍රී ලංකා"],
    ["Malayalam", "അവന്‍"],
    ["families of emoji", "👨‍👩‍👧‍👦 👩🏽‍💻 🏳️‍🌈 ❤️‍🔥 🧑‍🦯‍➡️"],
    ["flags and keycaps", "🏴󠁧󠁢󠁥󠁮󠁧󠁿 🇩🇪 1️⃣"],
    ["variants of ideographs", "葛󠄀城"],
  ])("take %s", async (_what, text) => {
    await using authority = await TestServer.start();
    const { token, id } = await authority.issue({ name: text });
    expect(token?.name).toBe(text);
    const part = text.slice(1, -1).replaceAll(/^\p{Cs}|\p{Cs}$/gu, "");
    expect((await authority.tokens.list({ nameContains: part })).tokens.map((one) => one.id)).toEqual([id]);
    expect((await authority.tokens.revoke({ id, reason: text })).token?.revokeReason).toBe(text);
  });
});

describe("listing", () => {
  it("ends a page at a MiB, which clients of gRPC take by default, and goes on where it ended", async () => {
    await using authority = await TestServer.start();
    const longest = (at: number) => `${String(at).padStart(3, "p").padEnd(63, "x")}:write`;
    const permissions = Array.from({ length: 100 }, (_, at) => longest(at));
    const request = { type: TokenType.RESTRICTED, permissions };
    const made = await Promise.all(Array.from({ length: 200 }, () => authority.issue(request)));
    const ids: string[] = [];
    let pageToken = "";
    let longestPage = 0;
    do {
      const page = await authority.tokens.list({ pageSize: 1000, pageToken });
      longestPage = Math.max(longestPage, toBinary(ListResponseSchema, page).length);
      ids.push(...page.tokens.map(({ id }) => id));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(ids.toSorted()).toEqual(made.map(({ id }) => id).toSorted());
    expect(longestPage).toBeGreaterThan(900_000);
    expect(longestPage).toBeLessThan(1_100_000);
  });

  it("goes to the last page and back again, and both ways gives the same tokens, newest first", async () => {
    await using authority = await TestServer.start();
    const made: string[] = [];
    for (let count = 0; count < 7; count += 1) {
      made.unshift((await authority.issue()).id);
    }
    const page = async (pageToken: string) => {
      const response = await authority.tokens.list({ account: "acct_1", pageSize: 3, pageToken });
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
    await using authority = await TestServer.start();
    const client = authority.tokens;
    const request = { account: "acct_1", name: "a key", type: TokenType.SECRET };
    await Promise.all(Array.from({ length: 1001 }, () => client.create(request)));
    const { tokens, nextPageToken } = await client.list({ pageSize: 5000 });
    expect(tokens).toHaveLength(1000);
    expect((await client.list({ pageSize: 5000, pageToken: nextPageToken })).tokens).toHaveLength(1);
    expect((await client.list({})).tokens).toHaveLength(50);
    expect((await errorOf(client.list({ pageSize: -1 }))).rawMessage).toBe("page_size must not be negative");
  });
});

describe("finding by digest", () => {
  const digestOf = (key: string) => createHash("sha256").update(key).digest();

  it("answers a token whatever its state, with its last use", async () => {
    await using authority = await TestServer.start();
    const expiring = await authority.issue({ expireTime: authority.inSeconds(60) });
    await authority.issue();
    await authority.verdictOf(expiring.key);
    await authority.stop();
    await authority.start();
    const find = async () => (await authority.tokens.findByDigest({ digest: digestOf(expiring.key) })).token;
    expect(await find()).toMatchObject({
      id: expiring.id,
      state: TokenState.ACTIVE,
      lastUseTime: authority.inSeconds(0),
    });
    authority.clock.nowMs += 60_000;
    expect(await find()).toMatchObject({ id: expiring.id, state: TokenState.EXPIRED });
    await authority.tokens.revoke({ id: expiring.id });
    expect(await find()).toMatchObject({ id: expiring.id, state: TokenState.REVOKED });
  });
});

describe("listing changes and accounts", () => {
  it("goes through the journal page by page, newest first, while it grows", async () => {
    await using authority = await TestServer.start();
    for (let count = 0; count < 5; count += 1) {
      await authority.issue();
    }
    const page = (pageToken: string, tokenId = "") => authority.tokens.listChanges({ pageSize: 2, pageToken, tokenId });
    const first = await page("");
    const { id } = await authority.issue();
    const second = await page(first.nextPageToken);
    const third = await page(second.nextPageToken);
    const revisions = [first, second, third].map(({ changes }) => changes.map(({ revision }) => revision));
    expect(revisions).toEqual([[5n, 4n], [3n, 2n], [1n]]);
    expect(third.nextPageToken).toBe("");
    expect((await errorOf(page(first.nextPageToken, id))).code).toBe(Code.InvalidArgument);
    expect((await errorOf(authority.tokens.list({ pageToken: first.nextPageToken }))).code).toBe(Code.InvalidArgument);
  });

  it("finds the changes of an account, a caller, an action and a time, with names and reasons", async () => {
    await using authority = await TestServer.start();
    const { tokens } = authority;
    const first = await authority.issue({ account: "acct_1", name: "Till 7" });
    authority.clock.nowMs += 60_000;
    await authority.issue({ account: "acct_2", name: "Till 8" });
    await tokens.revoke({ id: first.id, reason: "lost" });
    const found = async (filter: Parameters<typeof tokens.listChanges>[0]) =>
      (await tokens.listChanges(filter)).changes.map((one) => [
        one.revision,
        one.account,
        one.tokenName,
        one.revokeReason,
      ]);
    const [made, other, lost] = [
      [1n, "acct_1", "Till 7", ""],
      [2n, "acct_2", "Till 8", ""],
      [3n, "acct_1", "Till 7", "lost"],
    ];
    expect(await found({})).toEqual([lost, other, made]);
    expect(await found({ account: "acct_1" })).toEqual([lost, made]);
    expect(await found({ action: ChangeAction.REVOKE })).toEqual([lost]);
    expect(await found({ action: ChangeAction.CREATE, account: "acct_2" })).toEqual([other]);
    expect(await found({ changedFrom: authority.inSeconds(0) })).toEqual([lost, other]);
    expect(await found({ changedBefore: authority.inSeconds(0) })).toEqual([made]);
    expect(await found({ caller: "local", tokenId: first.id })).toEqual([lost, made]);
    expect(await found({ caller: "loca" })).toEqual([]);
  });

  it("goes through the accounts page by page, in the order of their bytes", async () => {
    await using authority = await TestServer.start();
    for (const account of ["b", "a", "Z", "a", "ab"]) {
      await authority.issue({ account });
    }
    const page = (pageToken: string, prefix = "") => authority.tokens.listAccounts({ pageSize: 3, pageToken, prefix });
    const first = await page("");
    const second = await page(first.nextPageToken);
    const counts = [first, second].map(({ accounts }) => accounts.map((one) => [one.account, one.activeCount]));
    expect(counts).toEqual([
      [
        ["Z", 1],
        ["a", 2],
        ["ab", 1],
      ],
      [["b", 1]],
    ]);
    expect(second.nextPageToken).toBe("");
    expect((await errorOf(page(first.nextPageToken, "a"))).code).toBe(Code.InvalidArgument);
    expect((await page("", "c")).accounts).toEqual([]);
  });

  it("counts an account's tokens to 10,000, and no further", async () => {
    await using authority = await TestServer.start({ TOKEN_AUTHORITY_MAX_TOKENS_PER_ACCOUNT: "20000" });
    const { tokens } = authority;
    const request = { account: "acct_1", name: "a key", type: TokenType.SECRET };
    for (let batch = 0; batch < 11; batch += 1) {
      await Promise.all(Array.from({ length: 910 }, () => tokens.create(request)));
    }
    await tokens.revoke({ id: (await authority.issue()).id });
    const { accounts } = await tokens.listAccounts({});
    expect(accounts).toMatchObject([{ account: "acct_1", activeCount: 10_000, expiredCount: 0, revokedCount: 1 }]);
  });
});

describe("revoking", () => {
  it("again keeps the first time, reason and revision", async () => {
    await using authority = await TestServer.start();
    const { id } = await authority.issue();
    const first = await authority.tokens.revoke({ id, reason: "lost" });
    authority.clock.nowMs += 1000;
    await authority.issue();
    const again = await authority.tokens.revoke({ id, reason: "found" });
    expect(again).toEqual(first);
    expect(first).toMatchObject({ revision: 2n, token: { revokeReason: "lost", state: TokenState.REVOKED } });
    expect((await authority.issue()).revision).toBe(4n);
  });

  it("holds for every Authenticate that starts after it was answered", async () => {
    await using authority = await TestServer.start();
    for (let round = 0; round < 50; round += 1) {
      const { key, id } = await authority.issue();
      const during = Array.from({ length: 10 }, () => authority.verdictOf(key));
      await authority.tokens.revoke({ id });
      expect(await authority.verdictOf(key)).toBe("TOKEN_REVOKED");
      await Promise.all(during);
    }
  });
});
