import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { ChangeAction } from "#gen/casapay/token/v1/token_service_pb.ts";
import { RestRig } from "./rest-rig.ts";

const attributes = [
  "id",
  "object",
  "name",
  "type",
  "key_prefix",
  "permissions",
  "last_used_at",
  "expires_at",
  "livemode",
  "created",
  "status",
  "revoked_at",
  "key_hint",
  "previous_key",
  "held",
];

const webhookKey = {
  name: "Webhook Server Key",
  type: "restricted",
  permissions: ["payment_intents:read", "events:read", "webhook_endpoints:write"],
};

describe("a merchant", () => {
  it("creates a token as the page shows it: with the key, this once", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const { status, header, json } = await rig.call("POST", "/v1/tokens", { key, body: webhookKey });
    expect(status).toBe(200);
    expect(header.get("cache-control")).toBe("no-store");
    expect(json).toEqual({
      id: expect.stringMatching(/^tok_[0-9A-Za-z]{20,}$/),
      object: "token",
      name: "Webhook Server Key",
      type: "restricted",
      key: expect.stringMatching(/^rk_test_[0-9A-Za-z]{38}$/),
      key_prefix: "rk_test_",
      permissions: webhookKey.permissions,
      last_used_at: null,
      expires_at: null,
      livemode: false,
      created: Math.floor(rig.clock.nowMs / 1000),
      status: "active",
      revoked_at: null,
      key_hint: json.key.slice(-4),
      previous_key: null,
      held: false,
    });
    expect(Object.keys(json).slice(0, 6)).toEqual(["id", "object", "name", "type", "key", "key_prefix"]);
    expect(await rig.verdictOf(json.key, { requiredPermissions: ["events:read"] })).toBe("principal");
  });

  it("retrieves a token with the attributes of the page, in its order, and without the key", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue({ livemode: true });
    const expiresAt = Math.floor(rig.clock.nowMs / 1000) + 60;
    const { json: made } = await rig.call("POST", "/v1/tokens", {
      key,
      body: { ...webhookKey, expires_at: expiresAt },
    });
    const { json, text } = await rig.call("GET", `/v1/tokens/${made.id}`, { key });
    expect(Object.keys(json)).toEqual(attributes);
    expect(json).toMatchObject({ id: made.id, expires_at: expiresAt, livemode: true, key_prefix: "rk_live_" });
    expect(text).not.toContain(made.key);
  });

  it("revokes a token: from the answer on its key is refused, and again changes nothing", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const { json: made } = await rig.call("POST", "/v1/tokens", { key, body: webhookKey });
    const first = await rig.call("POST", `/v1/tokens/${made.id}/revoke`, { key });
    const revokedAt = Math.floor(rig.clock.nowMs / 1000);
    expect(first.json).toMatchObject({ id: made.id, status: "revoked", revoked_at: revokedAt });
    expect(await rig.verdictOf(made.key)).toBe("TOKEN_REVOKED");
    rig.clock.nowMs += 60_000;
    const again = await rig.call("POST", `/v1/tokens/${made.id}/revoke`, { key, body: {} });
    expect(again.json).toEqual(first.json);
  });

  it("presents its key as a bearer's token, or as curl -u KEY: does", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const basic = `Basic ${Buffer.from(`${key}:`).toString("base64")}`;
    expect(await rig.codeOf("GET", "/v1/tokens", { header: { authorization: basic } })).toBe("200 ok");
    expect(await rig.codeOf("GET", "/v1/tokens", { header: { authorization: `bearer ${key}` } })).toBe("200 ok");
  });

  it("is a maker by its token's id, which is said to have created the token", async () => {
    await using rig = await RestRig.start();
    const { key, id } = await rig.issue();
    const { json } = await rig.call("POST", "/v1/tokens", { key, body: webhookKey });
    expect((await rig.tokens.get({ id: json.id })).token?.createdBy).toBe(id);
    expect((await rig.tokens.list({ createdBy: id })).tokens.map((token) => token.id)).toEqual([json.id]);
    expect((await rig.tokens.listChanges({ caller: id })).changes.map(({ tokenId }) => tokenId)).toEqual([json.id]);
    await rig.call("POST", `/v1/tokens/${json.id}/revoke`, { key });
    const service = "casapay.token.v1.TokenService";
    const calls = await rig.bearerCalls();
    expect(calls).toMatchObject([
      { rpc: `${service}/Create`, caller: id, code: "OK", token_id: json.id, revision: 2 },
      { rpc: `${service}/Revoke`, caller: id, code: "OK", token_id: json.id, revision: 3 },
    ]);
    for (const fields of calls) {
      expect(fields).toMatchObject({ request_id: expect.any(String) });
    }
    expect(JSON.stringify(rig.logged)).not.toContain(key);
    expect(JSON.stringify(rig.logged)).not.toContain(json.key);
  });

  it("moves the last use of its own key", async () => {
    await using rig = await RestRig.start();
    const { key, id } = await rig.issue();
    await rig.call("GET", "/v1/tokens", { key });
    await rig.stop();
    await rig.start();
    expect((await rig.tokens.get({ id })).token?.lastUseTime).toEqual(rig.inSeconds(0));
  });

  it.each([
    ["an unknown id", async () => `tok_${"0".repeat(24)}`],
    ["what is no id", async () => "tok_abc123"],
    ["another account's token", async (rig: RestRig) => (await rig.issue({ account: "acct_2" })).id],
    ["a token of the other mode", async (rig: RestRig) => (await rig.issue({ livemode: true })).id],
  ])("is told 404 for %s, and cannot revoke it", async (_what, idIn) => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const id = await idIn(rig);
    expect(await rig.codeOf("GET", `/v1/tokens/${id}`, { key })).toBe("404 token_not_found");
    expect(await rig.codeOf("POST", `/v1/tokens/${id}/revoke`, { key })).toBe("404 token_not_found");
    expect(await rig.bearerCalls()).toMatchObject([{ code: "NOT_FOUND" }, { code: "NOT_FOUND" }]);
    expect((await rig.tokens.listChanges({ action: ChangeAction.REVOKE })).changes).toEqual([]);
  });

  it("sees keys that others made for it, of every type", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const publishable = await rig.issue({ type: TokenType.PUBLISHABLE, name: "for the page" });
    const { json } = await rig.call("GET", `/v1/tokens/${publishable.id}`, { key });
    expect(json).toMatchObject({ type: "publishable", name: "for the page", key_prefix: "pk_test_", permissions: [] });
  });

  it("finds the document of this API, without a key", async () => {
    await using rig = await RestRig.start();
    const { json } = await rig.call("GET", "/v1/openapi.json");
    expect(json).toMatchObject({ openapi: "3.1.0", paths: { "/v1/tokens": { post: { operationId: "createToken" } } } });
    expect(json).toStrictEqual(
      JSON.parse(readFileSync(resolve(import.meta.dirname, "../../docs/openapi.json"), "utf8")),
    );
  });
});
