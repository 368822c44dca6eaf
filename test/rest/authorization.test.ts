import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { RestRig } from "./rest-rig.ts";

type Made = { readonly id: string; readonly key: string };

const keys = {
  secret: (rig: RestRig) => rig.issue(),
  publishable: (rig: RestRig) => rig.issue({ type: TokenType.PUBLISHABLE }),
  "restricted, tokens:read": (rig: RestRig) => rig.restricted(["tokens:read", "events:read"]),
  "restricted, tokens:write": (rig: RestRig) => rig.restricted(["tokens:write", "events:read"]),
  "restricted, neither": (rig: RestRig) => rig.restricted(["events:write"]),
};

const operations = {
  create: (rig: RestRig, key: string) =>
    rig.codeOf("POST", "/v1/tokens", { key, body: { name: "a key", permissions: ["events:read"] } }),
  get: (rig: RestRig, key: string, other: Made) => rig.codeOf("GET", `/v1/tokens/${other.id}`, { key }),
  list: (rig: RestRig, key: string) => rig.codeOf("GET", "/v1/tokens", { key }),
  revoke: (rig: RestRig, key: string, other: Made) => rig.codeOf("POST", `/v1/tokens/${other.id}/revoke`, { key }),
  getSelf: (rig: RestRig, key: string) => rig.codeOf("GET", "/v1/tokens/self", { key }),
  revokeSelf: (rig: RestRig, key: string) => rig.codeOf("POST", "/v1/tokens/self/revoke", { key }),
};

const may = "200 ok";
const type = "403 type_not_allowed";
const lacks = "403 insufficient_permissions";
const everybodys = "403 key_is_public";

const matrix: Readonly<Record<keyof typeof keys, Readonly<Record<keyof typeof operations, string>>>> = {
  secret: { create: may, get: may, list: may, revoke: may, getSelf: may, revokeSelf: may },
  publishable: { create: type, get: type, list: type, revoke: type, getSelf: may, revokeSelf: everybodys },
  "restricted, tokens:read": { create: lacks, get: may, list: may, revoke: lacks, getSelf: may, revokeSelf: may },
  "restricted, tokens:write": { create: may, get: may, list: may, revoke: may, getSelf: may, revokeSelf: may },
  "restricted, neither": { create: lacks, get: lacks, list: lacks, revoke: lacks, getSelf: may, revokeSelf: may },
};

function cases() {
  return Object.entries(matrix).flatMap(([key, row]) =>
    Object.entries(row).map(([operation, code]) => [key, operation, code] as const),
  );
}

describe("what a key may do", () => {
  let rig: RestRig;
  beforeAll(async () => {
    rig = await RestRig.start();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  it.each(cases())("%s, %s: %s", async (keyName, operationName, code) => {
    const { key } = await keys[keyName as keyof typeof keys](rig);
    const other = await rig.restricted(["events:read"]);
    expect(await operations[operationName as keyof typeof operations](rig, key, other)).toBe(code);
    const changed = code === may && operationName === "revoke";
    expect(await rig.verdictOf(other.key)).toBe(changed ? "TOKEN_REVOKED" : "principal");
  });

  it.each([
    ["POST", "/v1/tokens"],
    ["GET", "/v1/tokens/x"],
    ["GET", "/v1/tokens"],
    ["POST", "/v1/tokens/x/revoke"],
    ["GET", "/v1/tokens/self"],
    ["POST", "/v1/tokens/self/revoke"],
  ])("without a key, %s %s: 401 and a challenge", async (method, path) => {
    const { status, header, json } = await rig.call(method, path);
    expect([status, json.error.type, json.error.code]).toEqual([401, "authentication_error", "key_missing"]);
    expect(header.get("www-authenticate")).toBe('Bearer realm="CasaPay"');
  });

  it.each([
    ["POST", "/v1/tokens", "tokens:write"],
    ["GET", "/v1/tokens/x", "tokens:read"],
    ["GET", "/v1/tokens", "tokens:read"],
    ["POST", "/v1/tokens/x/revoke", "tokens:write"],
  ])("with a key that lacks a permission, %s %s: 403, and which it needs", async (method, path, permission) => {
    const { key } = await rig.restricted(["events:write"]);
    const { status, header, json } = await rig.call(method, path, { key });
    expect([status, json.error.code]).toEqual([403, "insufficient_permissions"]);
    expect(json.error).toMatchObject({ required_permissions: [permission] });
    const challenge = `Bearer realm="CasaPay", error="insufficient_scope", scope="${permission}"`;
    expect(header.get("www-authenticate")).toBe(challenge);
  });

  it("with a key of the wrong type, or that may not give as much: 403, and no permission that would help", async () => {
    const { key: publishable } = await rig.issue({ type: TokenType.PUBLISHABLE });
    const { key: writer } = await rig.restricted(["tokens:write"]);
    const body = { name: "a key", permissions: ["events:read"] };
    for (const [key, path] of [
      [publishable, "/v1/tokens"],
      [publishable, "/v1/tokens/self/revoke"],
      [writer, "/v1/tokens"],
    ] as const) {
      const { status, header, json } = await rig.call("POST", path, path === "/v1/tokens" ? { key, body } : { key });
      expect([status, header.get("www-authenticate")]).toEqual([403, null]);
      expect(Object.keys(json.error)).toEqual(["type", "code", "message", "param", "request_id"]);
    }
  });

  it("with a key that is malformed, unknown, revoked or expired: 401", async () => {
    const revoked = await rig.issue();
    await rig.tokens.revoke({ id: revoked.id });
    const expired = await rig.issue({ expireTime: rig.inSeconds(60) });
    rig.clock.nowMs += 60_000;
    const refused = {
      key_malformed: "sk_live_nonsense",
      key_unknown: mintKey("secret", false),
      token_revoked: revoked.key,
      token_expired: expired.key,
    };
    for (const [code, key] of Object.entries(refused)) {
      const { status, header, json } = await rig.call("GET", "/v1/tokens", { key });
      expect([status, json.error.type, json.error.code]).toEqual([401, "authentication_error", code]);
      expect(header.get("www-authenticate")).toBe('Bearer realm="CasaPay", error="invalid_token"');
    }
  });
});
