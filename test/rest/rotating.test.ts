import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RestRig } from "./rest-rig.ts";

let rig: RestRig;
beforeAll(async () => {
  rig = await RestRig.start();
});
// Creations are limited by the second.
beforeEach(() => rig.goOnWithAnotherAccount());
afterAll(() => rig[Symbol.asyncDispose]());

const overlap = { expire_current_key_in_minutes: 60 };

function rotate(key: string, id: string, body: object | string = overlap, header: Record<string, string> = {}) {
  return rig.call("POST", `/v1/tokens/${id}/rotate`, { key, body, header });
}

function codeOfRotation(key: string, id: string) {
  return rig.codeOf("POST", `/v1/tokens/${id}/rotate`, { key, body: overlap });
}

function end(key: string, id: string, keep: string) {
  return rig.call("POST", `/v1/tokens/${id}/rotate/end`, { key, body: { keep } });
}

function seconds(fromNow: number): number {
  return Math.floor(rig.clock.nowMs / 1000) + fromNow;
}

describe("a rotation over REST", () => {
  it("shows the new key once and the previous one as long as it works; the token stays what it is", async () => {
    const { key } = await rig.issue();
    const made = await rig.restricted(["events:read"]);
    const before = await rig.call("GET", `/v1/tokens/${made.id}`, { key });
    expect(before.json["previous_key"]).toBeNull();
    const { json } = await rotate(key, made.id);
    expect(json.key).toMatch(/^rk_test_[0-9A-Za-z]{38}$/);
    const previous = { key_hint: made.key.slice(-4), expires_at: seconds(3600), last_used_at: null };
    const { key: newKey, ...token } = json;
    expect(token).toEqual({ ...before.json, key_hint: newKey.slice(-4), previous_key: previous });
    expect((await rig.call("GET", `/v1/tokens/${made.id}`, { key })).json).toEqual(token);
    const ended = await end(key, made.id, "new");
    expect(ended.json["previous_key"]).toBeNull();
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key: made.key })).toBe("401 key_retired");
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key: newKey })).toBe("200 ok");
  });

  it("is taken back with keep=old, for good", async () => {
    const { key } = await rig.issue();
    const made = await rig.restricted(["events:read"]);
    const { json } = await rotate(key, made.id);
    const kept = await end(key, made.id, "old");
    expect(kept.json).toMatchObject({ key_hint: made.key.slice(-4), previous_key: null });
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key: json.key })).toBe("401 key_retired");
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key: made.key })).toBe("200 ok");
    expect((await end(key, made.id, "old")).status).toBe(200);
    expect((await end(key, made.id, "new")).json.error.code).toBe("rotation_not_under_way");
  });

  it("takes JSON and forms, whole minutes from 0 to 7 days, and nothing else", async () => {
    const { key } = await rig.issue();
    const { id } = await rig.restricted(["events:read"]);
    const form = { "content-type": "application/x-www-form-urlencoded" };
    expect((await rotate(key, id, "expire_current_key_in_minutes=10080", form)).status).toBe(200);
    for (const minutes of [-1, 10_081, 1.5, "60", null]) {
      const { json } = await rotate(key, id, { expire_current_key_in_minutes: minutes });
      expect(json.error).toMatchObject({ code: "parameter_invalid", param: "expire_current_key_in_minutes" });
    }
    expect((await rotate(key, id, {})).json.error).toMatchObject({
      ...{ code: "parameter_missing", param: "expire_current_key_in_minutes" },
    });
    expect((await rotate(key, id, { ...overlap, name: "x" })).json.error).toMatchObject({
      ...{ code: "parameter_unknown", param: "name" },
    });
    expect((await end(key, id, "both")).json.error).toMatchObject({ code: "parameter_invalid", param: "keep" });
    expect(await rig.codeOf("POST", `/v1/tokens/${id}/rotate/end`, { key, body: {} })).toBe("400 parameter_missing");
    expect(await rig.codeOf("GET", `/v1/tokens/${id}/rotate`, { key })).toBe("405 method_not_allowed");
  });

  it("without an overlap needs an Idempotency-Key, by which the same key is shown again", async () => {
    const { key } = await rig.issue();
    const { id, key: oldKey } = await rig.restricted(["events:read"]);
    const atOnce = { expire_current_key_in_minutes: 0 };
    expect((await rotate(key, id, atOnce)).json.error).toMatchObject({
      ...{ code: "parameter_invalid", param: "Idempotency-Key" },
    });
    const named = { "idempotency-key": "worker-1" };
    const first = await rotate(key, id, atOnce, named);
    expect((await rotate(key, id, atOnce, named)).json.key).toBe(first.json.key);
    expect((await rotate(key, id, overlap, named)).json.error.code).toBe("idempotency_key_reused");
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key: oldKey })).toBe("401 key_retired");
    await rig.tokens.revoke({ id });
    expect((await rotate(key, id, atOnce, named)).json).toMatchObject({ key: null, status: "revoked" });
  });

  it("of its own token needs an overlap: once the key has ended, it could not ask for the same answer again", async () => {
    const { key, id } = await rig.restricted(["tokens:write"]);
    const { json } = await rotate(key, id, { expire_current_key_in_minutes: 0 }, { "idempotency-key": "own-1" });
    expect(json.error).toMatchObject({ code: "parameter_invalid", param: "expire_current_key_in_minutes" });
    expect(await codeOfRotation(key, id)).toBe("200 ok");
  });

  it("shares the Idempotency-Keys of its token between the old key and the new one", async () => {
    const { key, id } = await rig.restricted(["tokens:write"]);
    const named = { "idempotency-key": "own-2" };
    const { json } = await rotate(key, id, overlap, named);
    expect((await rotate(json.key, id, overlap, named)).json.key).toBe(json.key);
    expect((await rotate(key, id, overlap, named)).json.key).toBe(json.key);
  });

  it("does not end the new key that asks for another rotation, though its use is not stored yet", async () => {
    const { key, id } = await rig.restricted(["tokens:write"]);
    const { json } = await rotate(key, id);
    expect(await codeOfRotation(json.key, id)).toBe("409 rotation_under_way");
    expect(await rig.codeOf("GET", "/v1/tokens/self", { key: json.key })).toBe("200 ok");
  });

  it("says why a token is not rotated", async () => {
    const { key } = await rig.issue();
    const revoked = await rig.restricted(["events:read"]);
    await rig.tokens.revoke({ id: revoked.id });
    expect(await codeOfRotation(key, revoked.id)).toBe("409 token_not_active");
    expect(await codeOfRotation(key, `tok_${"0".repeat(24)}`)).toBe("404 token_not_found");
    expect(await codeOfRotation(key, "self")).toBe("404 token_not_found");
    const { id } = await rig.restricted(["events:read"]);
    expect((await end(key, id, "new")).json.error.code).toBe("rotation_not_under_way");
  });
});

describe("who rotates over REST", () => {
  it("a secret key: every restricted key, and no other: those are rotated in the Dashboard", async () => {
    const { key, id } = await rig.issue();
    expect(await codeOfRotation(key, (await rig.restricted(["tokens:write"])).id)).toBe("200 ok");
    const publishable = await rig.issue({ type: TokenType.PUBLISHABLE });
    for (const other of [id, publishable.id]) {
      expect(await codeOfRotation(key, other)).toBe("403 token_managed_in_dashboard");
      expect((await end(key, other, "new")).json.error.code).toBe("token_managed_in_dashboard");
    }
  });

  it("a restricted key with tokens:write: itself and what it covers, and whose life is no longer than its own", async () => {
    const expireTime = rig.inSeconds(600);
    const maker = await rig.restricted(["tokens:write", "events:write"], { expireTime });
    const covered = await rig.restricted(["events:read"], { expireTime });
    const longer = await rig.restricted(["events:read"]);
    const stronger = await rig.restricted(["charges:read"], { expireTime });
    expect(await codeOfRotation(maker.key, covered.id)).toBe("200 ok");
    expect(await codeOfRotation(maker.key, longer.id)).toBe("403 token_outlives_maker");
    expect(await codeOfRotation(maker.key, stronger.id)).toBe("403 token_not_covered");
    const { json } = await rotate(maker.key, maker.id);
    // Both keys are the token, until one has ended.
    expect(await codeOfRotation(json.key, covered.id)).toBe("200 ok");
    expect((await end(json.key, maker.id, "new")).status).toBe(200);
    expect(await codeOfRotation(maker.key, covered.id)).toBe("401 key_retired");
    // To take away is allowed where to be shown a key is not.
    await rig.tokens.rotateKey({ id: longer.id, overlap: { seconds: 60n } });
    expect((await end(json.key, longer.id, "new")).status).toBe(200);
  });

  it("no key without tokens:write, and none of another account or mode", async () => {
    const { key } = await rig.restricted(["tokens:read", "events:read"]);
    const { id } = await rig.restricted(["events:read"]);
    expect(await codeOfRotation(key, id)).toBe("403 insufficient_permissions");
    const live = await rig.issue({ livemode: true });
    expect(await codeOfRotation(live.key, id)).toBe("404 token_not_found");
    const other = await rig.issue({ account: "acct_other" });
    expect(await codeOfRotation(other.key, id)).toBe("404 token_not_found");
  });
});
