import { createHash } from "node:crypto";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Authority, connect, type NewToken } from "../src/index.ts";
import { AuthorityProcess } from "./support/authority-process.ts";
import { unknownKey } from "./support/keys.ts";

const restricted = {
  account: "acct_1",
  name: "Till",
  type: "restricted",
  livemode: true,
  permissions: ["charges:write"],
} as const satisfies NewToken;

describe("against one authority", () => {
  let server: AuthorityProcess;
  let authority: Authority;

  beforeAll(async () => {
    server = await AuthorityProcess.start();
    authority = connect(server.address, { security: "plaintext" });
  });

  afterAll(async () => {
    authority.close();
    await server[Symbol.asyncDispose]();
  });

  it("creates a token, decides on its key, gets, lists and revokes it", async () => {
    const expireTime = new Date(Date.now() + 3_600_000);
    const { token, key, revision } = await authority.create({ ...restricted, account: "acct_life", expireTime });
    expect(token).toMatchObject({
      account: "acct_life",
      name: "Till",
      type: "restricted",
      livemode: true,
      permissions: ["charges:write"],
      keyPrefix: "rk_live_",
      state: "active",
      expireTime,
      lastUseTime: null,
      revokeTime: null,
      createdBy: "local",
    });
    expect(key).toMatch(/^rk_live_[0-9A-Za-z]{38}$/);

    const question = { requiredPermissions: ["charges:read"], livemode: true, allowedTypes: ["restricted"] } as const;
    expect(await authority.authenticate(key, question)).toStrictEqual({
      kind: "principal",
      tokenId: token.id,
      account: "acct_life",
      type: "restricted",
      livemode: true,
      permissions: ["charges:write"],
      expireTime,
      source: "authority",
    });

    expect(await authority.get(token.id)).toMatchObject({ id: token.id, createTime: token.createTime });
    const page = await authority.list({
      account: "acct_life",
      types: ["restricted"],
      states: ["active"],
      expiresBefore: new Date(expireTime.getTime() + 1),
    });
    expect(page).toMatchObject({ tokens: [{ id: token.id }], nextPageToken: "", previousPageToken: "" });
    expect((await authority.list({ account: "acct_life", expiresBefore: expireTime })).tokens).toStrictEqual([]);
    expect((await authority.list({ account: "acct_life", expiresFrom: expireTime })).tokens).toHaveLength(1);
    expect((await authority.list({ account: "acct_life", held: false, rotating: false })).tokens).toHaveLength(1);
    expect((await authority.list({ account: "acct_life", held: true })).tokens).toStrictEqual([]);
    expect((await authority.list({ account: "acct_life", rotating: true })).tokens).toStrictEqual([]);

    const revoked = await authority.revoke(token.id, "lost");
    expect(revoked.token).toMatchObject({ state: "revoked", revokeReason: "lost" });
    expect(revoked.revision).toBeGreaterThan(revision);
  });

  it("finds a token by the digest of its key", async () => {
    const { token, key } = await authority.create({ ...restricted, account: "acct_digest" });
    expect(await authority.findByDigest(createHash("sha256").update(key).digest())).toMatchObject({ id: token.id });
  });

  it("lists the changes of a token, newest first", async () => {
    const { token, revision } = await authority.create({ ...restricted, account: "acct_changes" });
    const revoked = await authority.revoke(token.id);
    const { changes } = await authority.listChanges({ tokenId: token.id });
    expect(changes).toMatchObject([
      { action: "revoke", revision: revoked.revision, tokenId: token.id, caller: "local" },
      { action: "create", revision },
    ]);
    expect(changes[0]?.hash.length).toBe(32);
    const { createTime } = token;
    const filter = { account: "acct_changes", caller: "local", action: "revoke", changedFrom: createTime } as const;
    expect((await authority.listChanges(filter)).changes).toMatchObject([
      { revision: revoked.revision, account: "acct_changes", tokenName: token.name, revokeReason: "" },
    ]);
    expect((await authority.listChanges({ ...filter, changedBefore: createTime })).changes).toStrictEqual([]);
  });

  it("follows the journal, oldest first after a revision", async () => {
    const { token, revision } = await authority.create({ ...restricted, account: "acct_tail" });
    const { revision: newest } = await authority.revoke(token.id, "lost");
    const tail = { tokenId: token.id, oldestFirst: true, afterRevision: revision - 1 };
    const first = await authority.listChanges({ ...tail, pageSize: 1 });
    expect(first).toMatchObject({ changes: [{ revision, tokenType: "restricted" }], reachedRevision: revision });
    const rest = await authority.listChanges({ ...tail, afterRevision: first.reachedRevision });
    expect(rest).toMatchObject({ changes: [{ reason: "lost", facts: '{"reason":"lost"}' }], reachedRevision: newest });
  });

  it("counts the tokens of accounts", async () => {
    await authority.create({ ...restricted, account: "acct_count" });
    const { token } = await authority.create({ ...restricted, account: "acct_count" });
    await authority.revoke(token.id);
    expect(await authority.listAccounts({ prefix: "acct_cou" })).toStrictEqual({
      accounts: [{ account: "acct_count", activeCount: 1, expiredCount: 0, revokedCount: 1, state: "active" }],
      nextPageToken: "",
    });
  });

  it("goes through all pages of tokens, empty ones included", async () => {
    const created: string[] = [];
    for (let count = 0; count < 5; count += 1) {
      created.unshift(
        (await authority.create({ ...restricted, account: "acct_pages", name: `Till ${count}` })).token.id,
      );
    }
    const first = await authority.list({ account: "acct_pages", pageSize: 2 });
    expect(first.tokens.length).toBe(2);
    expect(
      (await authority.list({ account: "acct_pages", pageSize: 2, pageToken: first.nextPageToken })).previousPageToken,
    ).not.toBe("");
    expect((await Array.fromAsync(authority.eachToken({ account: "acct_pages" }))).map(({ id }) => id)).toStrictEqual(
      created,
    );
  });

  it("goes through all changes and all accounts", async () => {
    const { token } = await authority.create({ ...restricted, account: "acct_each" });
    await authority.revoke(token.id);
    const changes = await Array.fromAsync(authority.eachChange({ tokenId: token.id }));
    expect(changes.map(({ action }) => action)).toStrictEqual(["revoke", "create"]);
    const accounts = await Array.fromAsync(authority.eachAccount({ prefix: "acct_each" }));
    expect(accounts).toMatchObject([{ account: "acct_each", revokedCount: 1 }]);
  });

  it("answers each reason of a refusal as a value", async () => {
    const { key, token } = await authority.create(restricted);
    const publishable = await authority.create({
      account: "acct_1",
      name: "Page",
      type: "publishable",
      livemode: true,
    });
    const gone = await authority.create(restricted);
    await authority.revoke(gone.token.id);
    const brief = await authority.create({ ...restricted, expireTime: new Date(Date.now() + 300) });
    await expect.poll(async () => (await authority.get(brief.token.id)).state).toBe("expired");

    const refusal = { kind: "refusal", missingPermissions: [], source: "authority" };
    const nobody = { ...refusal, tokenId: null, account: null };
    const somebody = { ...refusal, account: "acct_1" };
    expect(await authority.authenticate(key.slice(0, -1))).toStrictEqual({ ...nobody, reason: "KEY_MALFORMED" });
    expect(await authority.authenticate(unknownKey)).toStrictEqual({ ...nobody, reason: "KEY_UNKNOWN" });
    expect(await authority.authenticate(gone.key)).toStrictEqual({
      ...somebody,
      reason: "TOKEN_REVOKED",
      tokenId: gone.token.id,
    });
    expect(await authority.authenticate(brief.key)).toStrictEqual({
      ...somebody,
      reason: "TOKEN_EXPIRED",
      tokenId: brief.token.id,
    });
    expect(await authority.authenticate(key, { livemode: false })).toStrictEqual({
      ...somebody,
      reason: "LIVEMODE_MISMATCH",
      tokenId: token.id,
    });
    expect(await authority.authenticate(publishable.key)).toStrictEqual({
      ...somebody,
      reason: "TYPE_NOT_ALLOWED",
      tokenId: publishable.token.id,
    });
    expect(await authority.authenticate(key, { requiredPermissions: ["charges:read", "events:read"] })).toStrictEqual({
      ...somebody,
      reason: "INSUFFICIENT_PERMISSIONS",
      missingPermissions: ["events:read"],
      tokenId: token.id,
    });
  });

  it("tells a mistake of the program from an outage, with reason and field", async () => {
    await expect(authority.authenticate(unknownKey, { requiredPermissions: ["charges"] })).rejects.toMatchObject({
      name: "UndecidedError",
      code: "INVALID_ARGUMENT",
      reason: "FIELD_INVALID",
      field: "required_permissions",
      isMistake: true,
    });
    await expect(authority.create({ ...restricted, account: "" })).rejects.toMatchObject({
      name: "AuthorityError",
      code: "INVALID_ARGUMENT",
      reason: "FIELD_INVALID",
      field: "account",
    });
    await expect(authority.get(`tok_${"0".repeat(20)}`)).rejects.toMatchObject({
      code: "NOT_FOUND",
      reason: "TOKEN_NOT_FOUND",
      isMistake: true,
    });
  });

  it("words no value of a request that cannot be written, and no key", async () => {
    const nonsense = { ...restricted, name: `${unknownKey}\uD800`, livemode: unknownKey } as unknown as NewToken;
    const error = await authority.create(nonsense).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ name: "AuthorityError", code: "INVALID_ARGUMENT" });
    expect(inspect(error, { depth: 10 })).not.toContain(unknownKey);
  });

  it("answers the same token and key for the same request id", async () => {
    const requestId = crypto.randomUUID();
    const first = await authority.create({ ...restricted, requestId });
    const again = await authority.create({ ...restricted, requestId });
    expect([again.token.id, again.key, again.revision]).toStrictEqual([first.token.id, first.key, first.revision]);
    await expect(authority.create({ ...restricted, name: "Other", requestId })).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      reason: "REQUEST_ID_REUSED",
    });
  });

  it("shows a created key by its name alone", async () => {
    const created = await authority.create(restricted);
    expect(created.key.length).toBe(46);
    for (const text of [
      inspect(created, { depth: 10, showHidden: true, getters: false }),
      JSON.stringify(created),
      String(created),
      JSON.stringify({ ...created }),
    ]) {
      expect(text).not.toContain(created.key);
    }
  });

  it("fails calls after it was closed, as cancelled", async () => {
    const other = connect(server.address, { security: "plaintext" });
    expect(await other.authenticate(unknownKey)).toMatchObject({ reason: "KEY_UNKNOWN" });
    other.close();
    await expect(other.authenticate(unknownKey)).rejects.toMatchObject({ name: "UndecidedError", code: "CANCELLED" });
  });

  it("gives up when the caller does", async () => {
    const signal = AbortSignal.abort(new Error("gone"));
    await expect(authority.authenticate(unknownKey, {}, { signal })).rejects.toMatchObject({ code: "CANCELLED" });
  });
});

it("says that Create needs a sealing secret, and creates without request ids when told so", async () => {
  await using server = await AuthorityProcess.start({ SEALING_SECRET: "" });
  using authority = connect(server.address, { security: "plaintext" });
  await expect(authority.create(restricted)).rejects.toMatchObject({
    code: "FAILED_PRECONDITION",
    reason: "SEALING_SECRET_MISSING",
    isMistake: true,
    message: expect.stringContaining("sealing secret"),
  });
  using without = connect(server.address, { security: "plaintext", requestIds: false });
  expect((await without.create(restricted)).key).toMatch(/^rk_live_/);
});

it("refuses what cannot be a key without a call", async () => {
  // Nobody listens there.
  using authority = connect("127.0.0.1:9", { security: "plaintext" });
  for (const key of [
    "",
    "sk_live_\u00e9",
    "sk_live_\n",
    "sk_live_\0",
    "x".repeat(513),
    undefined as unknown as string,
  ]) {
    expect(await authority.authenticate(key)).toMatchObject({ kind: "refusal", reason: "KEY_MALFORMED" });
  }
});

it("does not take a fault of this program for an outage, and does not try again", async () => {
  using authority = connect("127.0.0.1:9", { security: "plaintext", authenticateTimeoutMs: 60_000 });
  // As on a platform that lacks what the library uses.
  vi.stubGlobal("Headers", undefined);
  try {
    await expect(authority.authenticate(unknownKey)).rejects.toMatchObject({
      name: "UndecidedError",
      code: "INTERNAL",
      isMistake: true,
      message: expect.stringContaining("TypeError"),
    });
    await expect(authority.create(restricted)).rejects.toMatchObject({ code: "INTERNAL", isMistake: true });
  } finally {
    vi.unstubAllGlobals();
  }
});

it("refuses addresses and settings that make no sense", () => {
  for (const address of [
    "127.0.0.1",
    "http://127.0.0.1:50051",
    "127.0.0.1:0",
    "127.0.0.1:70000",
    "unix:relative",
    "[127.0.0.1]:1",
  ]) {
    expect(() => connect(address, { security: "plaintext" }), address).toThrow(TypeError);
  }
  for (const address of ["10.0.0.1:50051", "authority.internal:50051", "127.evil.example:50051"]) {
    expect(() => connect(address, { security: "plaintext" }), address).toThrow("plaintext is for loopback");
  }
  expect(() => connect("127.0.0.1:1", { security: "plaintext", keepalive: { intervalMs: 10 } })).toThrow(
    "keepalive.intervalMs",
  );
});
