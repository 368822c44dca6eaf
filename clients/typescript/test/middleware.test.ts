import { once } from "node:events";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import express from "express";
import fastify from "fastify";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { principalOf as principalOfExpress, requireKey as requireKeyExpress } from "../src/express.ts";
import { principalOf as principalOfFastify, requireKey as requireKeyFastify } from "../src/fastify.ts";
import { withKey } from "../src/fetch.ts";
import type { Authenticator, RouteOptions } from "../src/guard.ts";
import { type Authority, connect, type Principal } from "../src/index.ts";
import { AuthorityProcess, rigFile, tlsSettings } from "./support/authority-process.ts";
import { unknownKey } from "./support/keys.ts";

/** What a handler behind the guard found. */
type Seen = { readonly principal: Principal; readonly headers: string; readonly body: string };
type App = AsyncDisposable & { readonly port: number; readonly seen: Seen[] };

const frameworks = { fetch: startFetch, Express: startExpress, Fastify: startFastify };
const options: RouteOptions = { requiredPermissions: ["charges:write"], livemode: true };

describe.each(Object.entries(frameworks))("%s", (_, startApp) => {
  let server: AuthorityProcess;
  let authority: Authority;
  let app: App;
  let key: string;

  beforeAll(async () => {
    server = await AuthorityProcess.start();
    authority = connect(server.address, { security: "plaintext" });
    app = await startApp(authority, options);
    ({ key } = await authority.create({
      account: "acct_1",
      name: "Till",
      type: "restricted",
      livemode: true,
      permissions: ["charges:write"],
    }));
  });

  afterAll(async () => {
    await app[Symbol.asyncDispose]();
    authority.close();
    await server[Symbol.asyncDispose]();
  });

  it("hands on a request with its principal and body, and without its key", async () => {
    const basic = `Basic ${Buffer.from(`${key}:`).toString("base64")}`;
    for (const headers of [
      [["Authorization", `Bearer ${key}`]],
      [["authorization", basic]],
      [["X-API-Key", key]],
      [
        ["Authorization", `Bearer ${key}`],
        ["X-Api-Key", key],
      ],
    ] as const) {
      app.seen.length = 0;
      expect(await ask(app, headers)).toMatchObject({ status: 200, text: "charged" });
      expect(app.seen).toMatchObject([
        { principal: { kind: "principal", account: "acct_1", type: "restricted" }, body: "amount=1" },
      ]);
      expect(app.seen[0]?.headers).toContain("x-other");
      expect(app.seen[0]?.headers).not.toContain(key);
      expect(app.seen[0]?.headers).not.toContain(basic);
    }
  });

  it("answers 401 where no key, no usable key or two keys are presented, and never takes one from the URL", async () => {
    app.seen.length = 0;
    expect(await ask(app, [])).toMatchObject({ status: 401, code: "key_missing", challenge: 'Bearer realm="CasaPay"' });
    expect(await ask(app, [], `/?api_key=${key}`)).toMatchObject({ status: 401, code: "key_missing" });
    for (const nothing of ["Digest x", "Bearer", ""]) {
      expect(await ask(app, [["Authorization", nothing]])).toMatchObject({ status: 401, code: "key_missing" });
    }
    const conflict = { status: 401, code: "keys_conflict", challenge: 'Bearer realm="CasaPay", error="invalid_token"' };
    expect(
      await ask(app, [
        ["Authorization", `Bearer ${key}`],
        ["Authorization", `Bearer ${unknownKey}`],
      ]),
    ).toMatchObject(conflict);
    expect(
      await ask(app, [
        ["Authorization", `Bearer ${key}`],
        ["X-API-Key", unknownKey],
      ]),
    ).toMatchObject(conflict);
    expect(
      await ask(app, [
        ["Authorization", "Digest x"],
        ["X-API-Key", key],
      ]),
    ).toMatchObject(conflict);
    expect(app.seen).toStrictEqual([]);
  });

  it("answers each refusal as the authority's other doors do", async () => {
    app.seen.length = 0;
    const till = {
      account: "acct_1",
      name: "Till",
      type: "restricted",
      livemode: true,
      permissions: ["charges:write"],
    } as const;
    const gone = await authority.create(till);
    await authority.revoke(gone.token.id);
    const brief = await authority.create({ ...till, expireTime: new Date(Date.now() + 200) });
    await expect.poll(async () => (await authority.get(brief.token.id)).state).toBe("expired");
    const test = await authority.create({ ...till, livemode: false });
    const page = await authority.create({ account: "acct_1", name: "Page", type: "publishable", livemode: true });
    const weak = await authority.create({ ...till, permissions: ["charges:read"] });
    const retired = await authority.create(till);
    await authority.rotateKey(retired.token.id);
    const held = await authority.create(till);
    await authority.setHold({ tokenId: held.token.id }, true);
    const heldAccount = await authority.create({ ...till, account: "acct_held" });
    await authority.setHold({ account: "acct_held" }, true);
    const closed = await authority.create({ ...till, account: `acct_${crypto.randomUUID()}` });
    await authority.closeAccount(closed.token.account);
    const bearer = async (value: string) => await ask(app, [["Authorization", `Bearer ${value}`]]);
    expect(await bearer(retired.key)).toMatchObject({ status: 401, code: "key_retired" });
    expect(await bearer(held.key)).toMatchObject({ status: 403, code: "token_held", challenge: null });
    expect(await bearer(heldAccount.key)).toMatchObject({ status: 403, code: "account_held", challenge: null });
    expect(await bearer(closed.key)).toMatchObject({ status: 401, code: "account_closed" });
    expect(await bearer("nonsense")).toMatchObject({ status: 401, code: "key_malformed" });
    expect(await bearer(unknownKey)).toMatchObject({ status: 401, code: "key_unknown" });
    expect(await bearer(gone.key)).toMatchObject({ status: 401, code: "token_revoked" });
    expect(await bearer(brief.key)).toMatchObject({ status: 401, code: "token_expired" });
    expect(await bearer(test.key)).toMatchObject({ status: 403, code: "livemode_mismatch", challenge: null });
    expect(await bearer(page.key)).toMatchObject({ status: 403, code: "type_not_allowed", challenge: null });
    expect(await bearer(weak.key)).toMatchObject({
      status: 403,
      code: "insufficient_permissions",
      challenge: 'Bearer realm="CasaPay", error="insufficient_scope", scope="charges:write"',
      requiredPermissions: ["charges:write"],
      requestId: "till-7",
    });
    expect(app.seen).toStrictEqual([]);
  });

  it("answers 503, never 401, while nobody can decide, and calls no handler", async () => {
    const told: unknown[] = [];
    using nobody = connect("127.0.0.1:1", { security: "plaintext", authenticateTimeoutMs: 200 });
    await using other = await startApp(nobody, { ...options, onUndecided: (error) => told.push(error) });
    expect(await ask(other, [["Authorization", `Bearer ${key}`]])).toMatchObject({
      status: 503,
      code: "unavailable",
      retryAfter: "1",
      challenge: null,
    });
    expect(told).toMatchObject([{ name: "UndecidedError", code: "UNAVAILABLE" }]);
    expect(inspect(told, { depth: 10 })).not.toContain(key);
    expect(other.seen).toStrictEqual([]);
  });

  it("answers all the same when the callback for what was not decided throws", async () => {
    const broken: Authenticator = { authenticate: () => Promise.reject(new TypeError("a bug")) };
    await using other = await startApp(broken, {
      ...options,
      onUndecided() {
        throw new Error("no room for the log");
      },
    });
    const warned = once(process, "warning");
    expect(await ask(other, [["Authorization", `Bearer ${key}`]])).toMatchObject({ status: 500 });
    expect(await warned).toMatchObject([{ message: "no room for the log" }]);
  });

  it("answers 500 when the program is at fault, and calls no handler", async () => {
    const broken: Authenticator = { authenticate: () => Promise.reject(new TypeError("a bug")) };
    await using other = await startApp(broken, options);
    await using nonsense = await startApp(authority, { requiredPermissions: ["charges"] });
    for (const each of [other, nonsense]) {
      expect(await ask(each, [["Authorization", `Bearer ${key}`]])).toMatchObject({
        status: 500,
        code: "gateway_misconfigured",
        retryAfter: null,
      });
      expect(each.seen).toStrictEqual([]);
    }
  });
});

it("leaves a request of Express alone that the app has answered meanwhile", async () => {
  const asked = Promise.withResolvers<void>();
  const decided = Promise.withResolvers<never>();
  const slow: Authenticator = {
    authenticate() {
      asked.resolve();
      return decided.promise;
    },
  };
  const app = express();
  app.use((_request, response, next) => {
    void asked.promise.then(() => response.status(504).send("too slow"));
    next();
  });
  const guarded = requireKeyExpress(slow, options);
  app.post("/", (request, response, next) => guarded(request, response, next));
  await using served = await listening(createServer(app), []);
  expect(await ask(served, [["Authorization", `Bearer ${unknownKey}`]])).toMatchObject({
    status: 504,
    text: "too slow",
  });
  const unhandled: unknown[] = [];
  const note = (error: unknown) => unhandled.push(error);
  process.on("unhandledRejection", note);
  decided.reject(new Error("too late"));
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", note);
  expect(unhandled).toStrictEqual([]);
});

it("guards no route that does not say its permissions", () => {
  const authority: Authenticator = { authenticate: () => Promise.reject(new Error("not asked")) };
  const forgotten = { livemode: true } as unknown as RouteOptions;
  expect(() => requireKeyExpress(authority, forgotten)).toThrow("requiredPermissions must be said");
  expect(() => principalOfExpress({})).toThrow("no requireKey");
});

it("answers 403 for a reason that it does not know, which a newer authority may have", async () => {
  const nobody = { missingPermissions: [], tokenId: null, account: null };
  const refusal = { kind: "refusal", reason: "UNKNOWN", source: "authority", ...nobody } as const;
  const newer: Authenticator = { authenticate: () => Promise.resolve(refusal) };
  const handle = withKey(newer, options, () => new Response("reached"));
  const response = await handle(new Request("http://api.test/", { headers: { "x-api-key": unknownKey } }));
  expect([response.status, await response.text()]).toStrictEqual([403, expect.stringContaining('"code":"unknown"')]);
});

it("lets nothing but permissions into a header, whatever the stand-in for a client has let pass", async () => {
  const reason = "INSUFFICIENT_PERMISSIONS";
  const nobody = { missingPermissions: [], tokenId: null, account: null };
  const refusal = { kind: "refusal", reason, source: "authority", ...nobody } as const;
  const lenient: Authenticator = { authenticate: () => Promise.resolve(refusal) };
  const hostile = ['a:read", x="', "a:read\r\nset-cookie: a=b", "ä:read"];
  for (const [requiredPermissions, scope] of [
    [[...hostile, "a:read", "b:write"], ', scope="a:read b:write"'],
    [hostile, ""],
    [[], ""],
  ] as const) {
    const handle = withKey(lenient, { requiredPermissions }, () => new Response("reached"));
    const response = await handle(new Request("http://api.test/", { headers: { "x-api-key": unknownKey } }));
    expect(response.status).toBe(403);
    expect(response.headers.get("www-authenticate")).toBe(`Bearer realm="CasaPay", error="insufficient_scope"${scope}`);
    expect(await response.json()).toMatchObject({ error: { required_permissions: requiredPermissions } });
  }
});

it("answers 500, not 401, when its own role may not ask", async () => {
  await using server = await AuthorityProcess.start(tlsSettings());
  const security = { ca: rigFile("ca.pem"), cert: rigFile("service.pem"), key: rigFile("service.key") };
  using authority = connect(server.address, { security });
  const handle = withKey(authority, options, () => new Response("reached"));
  const response = await handle(
    new Request("http://api.test/", { headers: { authorization: `Bearer ${unknownKey}` } }),
  );
  expect([response.status, await response.text()]).toStrictEqual([
    500,
    expect.stringContaining("gateway_misconfigured"),
  ]);
});

async function ask({ port }: App, headers: readonly (readonly [string, string])[], path = "/") {
  const all = [
    ["X-Other", "1"],
    ["X-Request-Id", "till-7"],
    ["Content-Type", "text/plain"],
    ["Host", "api.test"],
    ...headers,
  ].flat();
  const request = httpRequest({ host: "127.0.0.1", port, path, method: "POST", headers: all });
  request.end("amount=1");
  const [response] = await once(request, "response");
  const text = String(Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>)));
  const { error } = text.startsWith("{") ? JSON.parse(text) : { error: undefined };
  return {
    status: response.statusCode,
    text,
    code: error?.code ?? null,
    requiredPermissions: error?.required_permissions ?? null,
    requestId: error?.request_id ?? null,
    challenge: response.headers["www-authenticate"] ?? null,
    retryAfter: response.headers["retry-after"] ?? null,
  };
}

async function listening(server: Server, seen: Seen[]): Promise<App> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

async function startFetch(authority: Authenticator, route: RouteOptions): Promise<App> {
  const seen: Seen[] = [];
  const handle = withKey(authority, route, async (request, principal) => {
    seen.push({ principal, headers: JSON.stringify([...request.headers]), body: await request.text() });
    return new Response("charged");
  });
  const server = createServer(async (incoming, outgoing) => {
    const headers = new Headers();
    for (let index = 0; index < incoming.rawHeaders.length; index += 2) {
      headers.append(incoming.rawHeaders[index] ?? "", incoming.rawHeaders[index + 1] ?? "");
    }
    const body = Buffer.concat(await Array.fromAsync(incoming as AsyncIterable<Buffer>));
    const response = await handle(new Request(`http://api.test${incoming.url}`, { method: "POST", headers, body }));
    outgoing.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text());
  });
  return await listening(server, seen);
}

async function startExpress(authority: Authenticator, route: RouteOptions): Promise<App> {
  const seen: Seen[] = [];
  const app = express();
  app.post("/", requireKeyExpress(authority, route), express.text({ type: "*/*" }), (request, response) => {
    const headers = JSON.stringify([request.headers, request.rawHeaders, request.headersDistinct]);
    seen.push({ principal: principalOfExpress(request), headers, body: request.body });
    response.send("charged");
  });
  return await listening(createServer(app), seen);
}

async function startFastify(authority: Authenticator, route: RouteOptions): Promise<App> {
  const seen: Seen[] = [];
  const app = fastify();
  app.post("/", { onRequest: requireKeyFastify(authority, route) }, async (request) => {
    const headers = JSON.stringify([request.headers, request.raw.rawHeaders]);
    seen.push({ principal: principalOfFastify(request), headers, body: String(request.body) });
    return "charged";
  });
  await app.listen({ port: 0, host: "127.0.0.1" });
  return {
    port: (app.server.address() as AddressInfo).port,
    seen,
    async [Symbol.asyncDispose]() {
      await app.close();
    },
  };
}
