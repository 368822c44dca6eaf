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
};

const may = "200 ok";
const type = "403 type_not_allowed";
const lacks = "403 insufficient_permissions";

const matrix: Readonly<Record<keyof typeof keys, Readonly<Record<keyof typeof operations, string>>>> = {
  secret: { create: may, get: may, list: may, revoke: may },
  publishable: { create: type, get: type, list: type, revoke: type },
  "restricted, tokens:read": { create: lacks, get: may, list: may, revoke: lacks },
  "restricted, tokens:write": { create: may, get: may, list: may, revoke: may },
  "restricted, neither": { create: lacks, get: lacks, list: lacks, revoke: lacks },
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

  it.each(["create", "get", "list", "revoke"] as const)("without a key, %s: 401 and a challenge", async (operation) => {
    const paths = { create: "/v1/tokens", get: "/v1/tokens/x", list: "/v1/tokens", revoke: "/v1/tokens/x/revoke" };
    const method = operation === "get" || operation === "list" ? "GET" : "POST";
    const { status, header, json } = await rig.call(method, paths[operation]);
    expect([status, json.error.type, json.error.code]).toEqual([401, "authentication_error", "key_missing"]);
    expect(header.get("www-authenticate")).toBe('Bearer realm="CasaPay"');
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
