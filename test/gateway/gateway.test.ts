import { get } from "node:http";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { TestServer } from "../support/test-server.ts";
import { type Answer, type Asked, authorize, check, type Door, envoyDoor, forwardAuthDoor } from "./doors.ts";

const identity = ["x-token-id", "x-account", "x-livemode", "x-permissions", "x-token-type"] as const;
const none: Asked["words"] = [["permission", "none"]];

describe.each([envoyDoor, forwardAuthDoor])("at the door of $name", (door: Door) => {
  let authority: TestServer;
  let secret: { key: string; id: string };
  let restricted: { key: string; id: string };
  let publishable: { key: string; id: string };

  beforeAll(async () => {
    authority = await TestServer.start();
    secret = await authority.issue({ livemode: true });
    restricted = await authority.issue({
      type: TokenType.RESTRICTED,
      account: "acct_2",
      permissions: ["charges:write", "events:read"],
    });
    publishable = await authority.issue({ type: TokenType.PUBLISHABLE });
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  function ask(headers: Asked["headers"], words = none): Promise<Answer> {
    return door.ask(authority.server.address, { words, headers });
  }

  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(`${key}:`).toString("base64")}` });

  it("a good key passes with all five headers", async () => {
    const { status, headers } = await ask(bearer(restricted.key), [["permission", "charges:read,events:read"]]);
    expect(status).toBe(200);
    expect(Object.fromEntries(identity.map((name) => [name, headers[name]]))).toEqual({
      "x-token-id": restricted.id,
      "x-account": "acct_2",
      "x-livemode": "false",
      "x-permissions": "charges:write,events:read",
      "x-token-type": "restricted",
    });
  });

  it("no header is empty: a secret key may everything, a publishable key nothing", async () => {
    expect((await ask(bearer(secret.key))).headers).toMatchObject({ "x-permissions": "*", "x-livemode": "true" });
    const words = [...none, ["types", "publishable"]] as const;
    expect((await ask(bearer(publishable.key), words)).headers).toMatchObject({
      "x-permissions": "none",
      "x-token-type": "publishable",
    });
  });

  it("the key is found in each of its places, and may be there twice", async () => {
    for (const headers of [
      bearer(secret.key),
      basic(secret.key),
      { "x-api-key": secret.key },
      { ...bearer(secret.key), "x-api-key": secret.key },
      { ...basic(secret.key), "x-api-key": ` ${secret.key}, ${secret.key}` },
      { authorization: `Bearer ${secret.key},Bearer ${secret.key}` },
    ]) {
      expect((await ask(headers)).status, Object.keys(headers).join()).toBe(200);
    }
  });

  it("two keys, or a key beside something else, are refused, wherever they stand", async () => {
    for (const headers of [
      { ...bearer(secret.key), "x-api-key": restricted.key },
      { authorization: `Bearer ${secret.key},Bearer ${restricted.key}` },
      { authorization: `Bearer ${secret.key}, Bearer ${restricted.key}` },
      { "x-api-key": `${secret.key},${restricted.key}` },
      { authorization: "Digest x", "x-api-key": secret.key },
      { authorization: `Bearer ${secret.key}, Bearer` },
      { authorization: `Bearer ${"x".repeat(5000)}`, "x-api-key": secret.key },
    ]) {
      const { status, code, body } = await ask(headers);
      expect([status, code]).toEqual([401, "keys_conflict"]);
      expect(body).not.toContain(secret.key);
    }
  });

  it("each refusal is worded as over REST", async () => {
    const expired = await authority.issue({ expireTime: authority.inSeconds(1) });
    authority.clock.nowMs += 1000;
    const revoked = await authority.issue();
    await authority.tokens.revoke({ id: revoked.id });
    const read: Asked["words"] = [["permission", "files:read"]];
    for (const [headers, words, status, code] of [
      [{}, none, 401, "key_missing"],
      [{ authorization: "Digest x" }, none, 401, "key_missing"],
      [bearer("sk_live_x"), none, 401, "key_malformed"],
      [bearer(mintKey("secret", true)), none, 401, "key_unknown"],
      [bearer(revoked.key), none, 401, "token_revoked"],
      [bearer(expired.key), none, 401, "token_expired"],
      [bearer(secret.key), [...none, ["livemode", "false"]], 403, "livemode_mismatch"],
      [bearer(publishable.key), none, 403, "type_not_allowed"],
      [bearer(secret.key), [...none, ["types", "restricted publishable"]], 403, "type_not_allowed"],
      [bearer(restricted.key), read, 403, "insufficient_permissions"],
    ] as const) {
      const answer = await ask(headers, words);
      expect([answer.status, answer.code]).toEqual([status, code]);
      expect(answer.headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
      expect(answer.headers["www-authenticate"] ?? null).toEqual(
        status === 401 || code === "insufficient_permissions" ? expect.stringMatching(/^Bearer realm=/) : null,
      );
      expect(identity.filter((name) => name in answer.headers)).toEqual([]);
    }
  });

  it("a key that lacks a permission is told all that the route asks for, in body and challenge", async () => {
    const most = Array.from({ length: 16 }, (_, at) => `r${"x".repeat(60)}${String(at).padStart(2, "0")}:write`);
    for (const [said, required] of [
      ["charges:write,files:read", ["charges:write", "files:read"]],
      ["files:write", ["files:write"]],
      [most.join(" "), most],
    ] as const) {
      const { status, headers, body } = await ask(bearer(restricted.key), [["permission", said]]);
      expect(status).toBe(403);
      const { error } = JSON.parse(body);
      expect(Object.keys(error)).toEqual(["type", "code", "message", "param", "required_permissions", "request_id"]);
      expect(error.required_permissions).toEqual(required);
      expect(headers["www-authenticate"]).toBe(
        `Bearer realm="CasaPay", error="insufficient_scope", scope="${required.join(" ")}"`,
      );
      expect(`${headers["www-authenticate"]}${body}`.length).toBeLessThan(3 * 1024);
    }
    for (const words of [
      [...none, ["types", "publishable"]],
      [...none, ["livemode", "true"]],
    ] as const) {
      const { headers, body } = await ask(bearer(restricted.key), words);
      expect(headers["www-authenticate"]).toBeUndefined();
      expect(body).not.toContain("required_permissions");
    }
  });

  it.each(['a:read"', "a:read\r\nx-a: b", "ä:read", "a:read\u2028", "A:read", `${"a".repeat(64)}:read`])(
    "what is no permission reaches no header, and no body as one: %j",
    async (said) => {
      for (const list of [said, `charges:write,${said}`]) {
        const { headers, body } = await ask(bearer(restricted.key), [["permission", list]]);
        expect(headers["www-authenticate"]).toBeUndefined();
        expect(body).not.toContain("required_permissions");
      }
    },
  );

  it("a key is refused from the answer to its revocation on", async () => {
    const { key, id } = await authority.issue();
    expect((await ask(bearer(key))).status).toBe(200);
    await authority.tokens.revoke({ id });
    expect((await ask(bearer(key))).code).toBe("token_revoked");
  });

  it("a refusal has the gateway's name for the request, unless that could be anything", async () => {
    const named = await ask({ "x-request-id": "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52" });
    expect(JSON.parse(named.body).error.request_id).toBe("0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52");
    for (const anything of ["<script>", mintKey("restricted", true), mintKey("restricted", true).slice(0, 40)]) {
      const unnamed = await ask({ "x-request-id": anything });
      expect(JSON.parse(unnamed.body).error.request_id).toMatch(/^req_[0-9a-f-]{36}$/);
    }
  });

  it("a route that makes no sense is not decided, and says what is wrong", async () => {
    for (const [words, message] of [
      [[], "permission must be said by the route"],
      [[["permission", ""]], "permission must be none, or 1 to 16"],
      [[["permission", "none,charges:read"]], "permission must be none, or 1 to 16"],
      [[["permission", "charges"]], "permission must be none, or 1 to 16"],
      [[["permission", Array(17).fill("a:read").join()]], "permission must be none, or 1 to 16"],
      [[...none, ["livemode", "TRUE"]], "livemode must be true or false"],
      [[...none, ["livemode", ""]], "livemode must be true or false"],
      [[...none, ["types", ""]], "types must be of secret, publishable, restricted"],
      [[...none, ["types", "secret,secrets"]], "types must be of secret, publishable, restricted"],
      [[...none, ["live_mode", "true"]], "the route may say permission, livemode and types, and nothing else"],
      [[...none, ["api_key", secret.key]], "the route may say permission, livemode and types, and nothing else"],
    ] as const) {
      const answer = await ask(bearer(secret.key), words);
      expect(answer.status, message).toBe(door === envoyDoor ? 503 : 500);
      expect(answer.code).toBe(door === envoyDoor ? "INVALID_ARGUMENT" : "gateway_misconfigured");
      expect(answer.body).toContain(message);
      expect(answer.body).not.toContain(secret.key);
    }
  });

  it("each 401 and 403 has a line in the log that is found by its request_id", async () => {
    for (const headers of [
      {},
      bearer("sk_live_x"),
      bearer(publishable.key),
      { "x-request-id": "shop.7", ...bearer("x") },
    ]) {
      for (let round = 0; round < 3; round += 1) {
        const { body, code } = await ask(headers);
        const { request_id } = JSON.parse(body).error;
        const lines = authority.logged.filter(
          ({ fields }) => "request_id" in fields && fields.request_id === request_id,
        );
        expect(lines.at(-1)).toMatchObject({ message: "key refused", fields: { refusal: code?.toUpperCase() } });
      }
    }
  });

  it("a route that makes no sense has a line that says which word of it is to be changed", async () => {
    const rpc = door === envoyDoor ? "envoy.service.auth.v3.Authorization/Check" : "forward-auth/authorize";
    const words: Asked["words"] = [
      ["permission", "refunds-write"],
      ["livemode", "true"],
    ];
    await ask({ "x-request-id": "shop.8" }, words);
    expect(authority.logged.at(-1)).toMatchObject({
      message: "call failed",
      fields: {
        rpc,
        caller: "local",
        reason: "FIELD_INVALID",
        request_id: "shop.8",
        field: "permission",
        value: "refunds-write",
        error: "permission must be none, or 1 to 16 of the form resource:read or resource:write",
        change: "this word of this route, in the gateway's configuration",
      },
    });
    const route = expect.stringMatching(
      /^(permission=refunds-write&livemode=true|livemode=true&permission=refunds-write)$/,
    );
    expect(authority.logged.at(-1)?.fields).toMatchObject({ route });
    await ask({ "x-request-id": "shop.9" }, [["permission", secret.key]]);
    expect(authority.logged.at(-1)).toMatchObject({ fields: { request_id: "shop.9", value: "(withheld)" } });
    await ask({ "x-request-id": "shop.10" }, [...none, ["live_mode", secret.key.slice(0, -1)]]);
    expect(authority.logged.at(-1)).toMatchObject({ fields: { field: "live_mode", value: "(withheld)" } });
    expect(JSON.stringify(authority.logged)).not.toContain(secret.key.slice(0, -1));
  });

  it("logs and metrics hear of refusals and of routes that make no sense, and never of a key", async () => {
    const rpc = door === envoyDoor ? "envoy.service.auth.v3.Authorization/Check" : "forward-auth/authorize";
    const { logged } = authority;
    expect(logged.map(({ fields, message }) => ({ ...fields, message }))).toContainEqual(
      expect.objectContaining({ rpc, code: "INVALID_ARGUMENT", reason: "FIELD_INVALID", message: "call failed" }),
    );
    expect(JSON.stringify(logged)).not.toContain(secret.key);
    const metrics = await (await fetch(`http://${authority.server.adminAddress}/metrics`)).text();
    const system = door === envoyDoor ? "grpc" : "http";
    expect(metrics).toMatch(
      new RegExp(`^rpc_server_call_duration_seconds_count\\{[^}]*rpc_system_name="${system}"[^}]*${rpc}`, "m"),
    );
    expect(metrics).toMatch(/reason="KEYS_CONFLICT"/);
  });

  it("callers who may not authenticate keys learn nothing of them", async () => {
    await using other = await TestServer.start({ TOKEN_AUTHORITY_PLAINTEXT_ROLE: "service" });
    const answer = await door.ask(other.server.address, { words: none, headers: bearer(secret.key) });
    expect([answer.status, answer.code]).toEqual(
      door === envoyDoor ? [503, "PERMISSION_DENIED"] : [500, "gateway_misconfigured"],
    );
    await using gateway = await TestServer.start({ TOKEN_AUTHORITY_PLAINTEXT_ROLE: "gateway" });
    const unknown = await door.ask(gateway.server.address, { words: none, headers: bearer(secret.key) });
    expect([unknown.status, unknown.code]).toEqual([401, "key_unknown"]);
  });
});

describe("Envoy's Check", () => {
  let authority: TestServer;
  let key: string;
  beforeAll(async () => {
    authority = await TestServer.start();
    ({ key } = await authority.issue());
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  it("reads raw headers as well, and several of one name", async () => {
    const other = mintKey("secret", true);
    const ask = (headers: { key: string; value?: string; rawValue?: Buffer }[]) =>
      check(authority.server.address, {
        attributes: { contextExtensions: Object.fromEntries(none), request: { http: { headerMap: { headers } } } },
      });
    expect((await ask([{ key: "authorization", rawValue: Buffer.from(`Bearer ${key}`) }])).status).toBe(200);
    expect((await ask([{ key: "x-api-key", value: key }])).status).toBe(200);
    const twice = [key, other].map((one) => ({ key: "authorization", rawValue: Buffer.from(`Bearer ${one}`) }));
    expect((await ask(twice)).code).toBe("keys_conflict");
    expect((await ask(twice.toReversed())).code).toBe("keys_conflict");
  });

  it("that is about no HTTP request presents no key", async () => {
    const answer = await check(authority.server.address, {
      attributes: { contextExtensions: Object.fromEntries(none) },
    });
    expect(answer.code).toBe("key_missing");
  });

  it("is answered over plain gRPC alone", async () => {
    const response = await fetch(`http://${authority.server.address}/envoy.service.auth.v3.Authorization/Check`, {
      method: "POST",
      headers: { "content-type": "application/grpc+json" },
    });
    expect(response.headers.get("grpc-status")).toBe("12");
  });

  it("that says nothing is not decided", async () => {
    expect((await check(authority.server.address, {})).code).toBe("INVALID_ARGUMENT");
  });
});

describe("forward authentication", () => {
  let authority: TestServer;
  let key: string;
  beforeAll(async () => {
    authority = await TestServer.start();
    ({ key } = await authority.issue());
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  it("answers whatever the method, with or without a body", async () => {
    const headers = { authorization: `Bearer ${key}` };
    for (const method of ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PURGE"]) {
      const body = method === "POST" ? "x".repeat(100_000) : "";
      const answer = await authorize(authority.server.address, "?permission=none", headers, method, body);
      expect([method, answer.status]).toEqual([method, 200]);
      expect(answer.headers["x-account"]).toBe("acct_1");
      expect(answer.headers["cache-control"]).toBe("no-store");
    }
  });

  it("takes no second value for what was said", async () => {
    const headers = { authorization: `Bearer ${key}` };
    for (const query of [
      "?permission=none&permission=charges:read",
      "?permission=charges:read&permission=none",
      "?permission=none&livemode=true&livemode=false",
      "?permission=none&types=secret&types=publishable",
    ]) {
      expect((await authorize(authority.server.address, query, headers)).code).toBe("gateway_misconfigured");
    }
  });

  it("takes no key from a URL", async () => {
    for (const query of [`?permission=none&key=${key}`, `?permission=none&authorization=Bearer%20${key}`]) {
      const { status, body } = await authorize(authority.server.address, query, {});
      expect(status).toBe(500);
      expect(body).not.toContain(key);
    }
  });

  it("joins fields of one name before it looks for a second key", async () => {
    const headers = { "x-api-key": [key, mintKey("secret", true)] };
    expect((await authorize(authority.server.address, "?permission=none", headers)).code).toBe("keys_conflict");
  });

  it("over plaintext is asked of this machine by a local name", async () => {
    const headers = { authorization: `Bearer ${key}`, host: "evil.test" };
    const { code, body } = await authorize(authority.server.address, "?permission=none", headers);
    expect(code).toBe("gateway_misconfigured");
    expect(body).toContain("must name localhost or a loopback address as its host");
  });

  it("stands at one path, spelled in one way", async () => {
    for (const path of ["/authorize/", "/Authorize", "/%61uthorize", "/x/../authorize", "//authorize"]) {
      expect([path, await statusOf(authority.server.address, `${path}?permission=none`)]).toEqual([path, 404]);
    }
  });
});

/** Of a path as it stands: URLs would be tidied up. */
function statusOf(address: string, path: string): Promise<number | undefined> {
  const { hostname, port } = new URL(`http://${address}`);
  return new Promise((resolve, reject) => {
    get({ hostname, port, path, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    }).on("error", reject);
  });
}
