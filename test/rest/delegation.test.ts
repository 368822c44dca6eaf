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

function seconds(fromNow: number): number {
  return Math.floor(rig.clock.nowMs / 1000) + fromNow;
}

function create(key: string, permissions: readonly string[], facts: object = {}) {
  return rig.codeOf("POST", "/v1/tokens", { key, body: { name: "a key", permissions, ...facts } });
}

describe("a restricted key", () => {
  it("gives what it covers itself: write covers read, and not the other way round", async () => {
    const { key } = await rig.restricted(["tokens:write", "events:write", "charges:read"]);
    expect(await create(key, ["events:read", "events:write", "charges:read"])).toBe("200 ok");
    expect(await create(key, ["charges:write"])).toBe("403 permission_not_covered");
    expect(await create(key, ["events:read", "refunds:read"])).toBe("403 permission_not_covered");
  });

  it("gives no permission of tokens, although it covers it", async () => {
    const { key } = await rig.restricted(["tokens:write", "events:write"]);
    expect(await create(key, ["tokens:read"])).toBe("403 permission_of_tokens");
    expect(await create(key, ["events:read", "tokens:write"])).toBe("403 permission_of_tokens");
  });

  it("makes no key that outlives it", async () => {
    const expires = seconds(60);
    const { key } = await rig.restricted(["tokens:write", "events:write"], {
      expireTime: { seconds: BigInt(expires), nanos: 0 },
    });
    expect(await create(key, ["events:read"], { expires_at: expires })).toBe("200 ok");
    expect(await create(key, ["events:read"], { expires_at: expires + 1 })).toBe("403 expires_after_maker");
    expect(await create(key, ["events:read"])).toBe("403 expires_after_maker");
    expect(await create(key, ["events:read"], { expires_at: null })).toBe("403 expires_after_maker");
  });

  it("that never expires makes keys that expire and keys that never do", async () => {
    const { key } = await rig.restricted(["tokens:write", "events:write"]);
    expect(await create(key, ["events:read"], { expires_at: seconds(60) })).toBe("200 ok");
    expect(await create(key, ["events:read"])).toBe("200 ok");
  });

  it("revokes restricted keys that it covers, itself among them, and no others", async () => {
    const maker = await rig.restricted(["tokens:write", "events:write"]);
    const revoke = (id: string) => rig.codeOf("POST", `/v1/tokens/${id}/revoke`, { key: maker.key });
    expect(await revoke((await rig.restricted(["events:read"])).id)).toBe("200 ok");
    for (const other of [
      await rig.restricted(["events:read", "charges:read"]),
      await rig.issue(),
      await rig.issue({ type: TokenType.PUBLISHABLE }),
    ]) {
      expect(await revoke(other.id)).toBe("403 token_not_covered");
      expect(await rig.verdictOf(other.key, { allowedTypes: [1, 2, 3] })).toBe("principal");
    }
    expect(await revoke(maker.id)).toBe("200 ok");
    expect(await revoke(maker.id)).toBe("401 token_revoked");
  });

  it("is told what makes no sense before what it may not give", async () => {
    const { key } = await rig.restricted(["tokens:write"]);
    expect(await create(key, ["events:delete"])).toBe("400 parameter_invalid");
    expect(await create(key, [])).toBe("400 parameter_invalid");
  });
});

describe("a secret key", () => {
  it("gives any permission for any time, those of tokens included", async () => {
    const { key } = await rig.issue({ expireTime: rig.inSeconds(60) });
    expect(await create(key, ["tokens:write", "anything:write"])).toBe("200 ok");
    expect(await create(key, ["tokens:read"], { expires_at: seconds(600) })).toBe("200 ok");
  });

  it("revokes keys of every type, itself included", async () => {
    const { key, id } = await rig.issue();
    for (const other of [
      await rig.issue(),
      await rig.issue({ type: TokenType.PUBLISHABLE }),
      await rig.restricted(["tokens:write"]),
      { id },
    ]) {
      expect(await rig.codeOf("POST", `/v1/tokens/${other.id}/revoke`, { key })).toBe("200 ok");
    }
    expect(await rig.codeOf("GET", "/v1/tokens", { key })).toBe("401 token_revoked");
  });
});

describe("any key", () => {
  it("makes restricted keys only: the others are managed in the Dashboard", async () => {
    const { key } = await rig.issue();
    for (const type of ["secret", "publishable"]) {
      for (const permissions of [["events:read"], [], undefined]) {
        const { status, json } = await rig.call("POST", "/v1/tokens", {
          key,
          body: { name: "a key", type, permissions },
        });
        expect([status, json.error.code, json.error.param]).toEqual([400, "type_managed_in_dashboard", "type"]);
        expect(json.error.message).toContain("managed in the Dashboard");
      }
    }
    const { json } = await rig.call("POST", "/v1/tokens", {
      key,
      body: { name: "a key", permissions: ["events:read"] },
    });
    expect(json.type).toBe("restricted");
  });
});
