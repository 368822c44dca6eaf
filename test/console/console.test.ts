import { X509Certificate } from "node:crypto";
import { writeFileSync } from "node:fs";
import { request } from "node:http";
import { request as httpsRequest } from "node:https";
import { hostname } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { createFigures } from "../../src/doors/console/figures.ts";
import { createAuthority, type TestCertificate } from "../support/certificates.ts";
import { TestServer } from "../support/test-server.ts";

const service = "/casapay.token.v1.TokenService";
const json = { "content-type": "application/json" };

function start(environment: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  return TestServer.start({ TOKEN_AUTHORITY_CONSOLE_LISTEN: "127.0.0.1:0", ...environment });
}

/** Asks as no browser would let a page ask: with any Host and Origin. */
function ask(
  server: TestServer,
  path: string,
  { method = "GET", header = {}, body = "" }: { method?: string; header?: Record<string, string>; body?: string } = {},
): Promise<{ readonly status: number; readonly header: NodeJS.Dict<string | string[]>; readonly text: string }> {
  const [host, port] = server.server.consoleAddress?.split(":") ?? [];
  return new Promise((resolve, reject) => {
    request({ host, port, path, method, headers: header, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      response.once("end", () => resolve({ status: response.statusCode ?? 0, header: response.headers, text }));
    })
      .once("error", reject)
      .end(body);
  });
}

function endOf({ certificatePem }: TestCertificate): number {
  return new X509Certificate(certificatePem).validToDate.getTime();
}

function list(server: TestServer, header: Record<string, string> = {}) {
  return ask(server, `${service}/List`, { method: "POST", header: { ...json, ...header }, body: "{}" });
}

describe("the console", () => {
  it("is not there unless it is asked for", async () => {
    await using server = await TestServer.start();
    expect(server.server.consoleAddress).toBeNull();
  });

  it("lets its own files run, and nothing else", async () => {
    await using server = await start();
    for (const [path, type] of [
      ["/", "text/html; charset=utf-8"],
      ["/main.js", "text/javascript; charset=utf-8"],
      ["/style.css", "text/css; charset=utf-8"],
      ["/icon.svg", "image/svg+xml"],
    ] as const) {
      const { status, header } = await ask(server, path);
      expect(status).toBe(200);
      expect(header).toMatchObject({
        "content-type": type,
        "content-security-policy":
          "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
      });
    }
  });

  it("answers GET and HEAD for its files, and no other method", async () => {
    await using server = await start();
    expect(await ask(server, "/", { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
      expect(await ask(server, "/", { method })).toMatchObject({ status: 405, header: { allow: "GET, HEAD" } });
    }
  });

  it.each([
    "/index.html",
    "/../package.json",
    "/page-files.ts",
    "//main.js",
    "/main.js/",
    "/grpc.health.v1.Health/Check",
  ])("has nothing at %s", async (path) => {
    await using server = await start();
    expect((await ask(server, path, { method: "GET", header: json })).status).toBe(404);
  });

  it("answers the RPCs of the page, with the headers of the page and none of CORS", async () => {
    await using server = await start();
    const { id } = await server.issue();
    const { status, header, text } = await list(server, { origin: `http://${server.server.consoleAddress}` });
    expect(status).toBe(200);
    expect(JSON.parse(text).tokens[0].id).toBe(id);
    expect(header["cache-control"]).toBe("no-store");
    expect(Object.keys(header).filter((name) => name.startsWith("access-control-"))).toEqual([]);
  });

  it("does not take a key: Authenticate is not there", async () => {
    await using server = await start();
    const answer = await ask(server, `${service}/Authenticate`, { method: "POST", header: json, body: '{"key":"x"}' });
    expect(answer.status).toBe(404);
  });

  it.each([
    ["another origin", { origin: "http://evil.example" }],
    ["a sandboxed page", { origin: "null" }],
    ["another port of this machine", { origin: "http://127.0.0.1:1" }],
    ["another scheme", { origin: "https://127.0.0.1" }],
    ["another site, as the browser says", { "sec-fetch-site": "cross-site" }],
    ["a neighbour, as the browser says", { "sec-fetch-site": "same-site" }],
  ])("refuses a call from %s", async (_name, header) => {
    await using server = await start();
    expect((await list(server, header)).status).toBe(403);
    expect((await ask(server, "/figures", { header })).status).toBe(403);
    expect((await ask(server, "/caller", { header })).status).toBe(403);
  });

  it("refuses whatever names another host, so that no foreign name can be made to point here", async () => {
    await using server = await start();
    for (const path of ["/", "/caller", "/figures"]) {
      expect((await ask(server, path, { header: { host: "evil.example" } })).status).toBe(403);
    }
    expect((await list(server, { host: "evil.example", origin: "http://evil.example" })).status).toBe(403);
    expect((await list(server, { host: "localhost:9" })).status).toBe(200);
  });

  it.each(["text/plain", "application/x-www-form-urlencoded", "application/grpc", "application/jsonp", ""])(
    "refuses a call of the type %j, which a form could send or which is not JSON",
    async (type) => {
      await using server = await start();
      expect((await list(server, { "content-type": type })).status).toBe(415);
    },
  );

  it("gives a plaintext caller the plaintext role", async () => {
    await using server = await start({ TOKEN_AUTHORITY_PLAINTEXT_ROLE: "service" });
    expect(JSON.parse((await ask(server, "/caller")).text)).toEqual({
      identity: "local",
      role: "service",
      fault: null,
    });
    const { status, text } = await ask(server, `${service}/ListAccounts`, { method: "POST", header: json, body: "{}" });
    expect(status).toBe(403);
    expect(text).toContain("the role service may not call ListAccounts");
    expect((await ask(server, "/figures")).status).toBe(200);
  });

  it("asks for the client certificates of the RPCs where these have TLS", async () => {
    const root = createAuthority();
    const server = new TestServer();
    await using _end = server;
    const write = (file: string, content: string) => {
      writeFileSync(join(server.directory, file), content, { mode: 0o600 });
      return join(server.directory, file);
    };
    const own = root.issue();
    await server.start({
      TOKEN_AUTHORITY_CONSOLE_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_TLS_CERT: write("cert.pem", own.certificatePem),
      TOKEN_AUTHORITY_TLS_KEY: write("key.pem", own.keyPem),
      TOKEN_AUTHORITY_TLS_CLIENT_CA: write("ca.pem", root.certificatePem),
      TOKEN_AUTHORITY_CALLERS: write("callers.json", '{"spiffe://casapay/oncall": "operator"}'),
    });
    const port = server.server.consoleAddress?.split(":")[1];
    const askAs = (path: string, client: TestCertificate | null) =>
      new Promise<string>((resolve, reject) => {
        const identity = client === null ? {} : { cert: client.certificatePem, key: client.keyPem };
        httpsRequest(
          { host: "localhost", port, path, agent: false, ca: root.certificatePem, ...identity },
          (response) => {
            let text = `${response.statusCode} `;
            response.setEncoding("utf8").on("data", (chunk) => {
              text += chunk;
            });
            response.once("end", () => resolve(text));
          },
        )
          .once("error", reject)
          .end();
      });
    const oncall = root.issue({ names: [{ uri: "spiffe://casapay/oncall" }] });
    const late = root.issue({ names: [{ uri: "spiffe://casapay/oncall" }], validToMs: Date.now() - 60_000 });
    const stranger = root.issue({ names: [{ uri: "spiffe://casapay/stranger" }] });
    expect(await askAs("/caller", oncall)).toBe(
      '200 {"identity":"spiffe://casapay/oncall","role":"operator","fault":null}',
    );
    expect(await askAs("/caller", stranger)).toBe(
      '200 {"identity":"spiffe://casapay/stranger","role":null,"fault":null}',
    );
    expect(await askAs("/caller", null)).toBe('200 {"identity":null,"role":null,"fault":"CERTIFICATE_MISSING"}');
    expect(await askAs("/caller", late)).toBe('200 {"identity":null,"role":null,"fault":"CERTIFICATE_EXPIRED"}');
    expect(await askAs("/figures", late)).toContain('"fault":"CERTIFICATE_EXPIRED"');
    const { state } = JSON.parse((await askAs("/figures", oncall)).replace(/^200 /, ""));
    expect(state.certificates).toEqual(
      expect.arrayContaining([
        { of: "server", caller: null, endsAtMs: endOf(own) },
        { of: "caller", caller: "spiffe://casapay/oncall", endsAtMs: endOf(oncall) },
      ]),
    );
    expect(await askAs("/figures", oncall)).toMatch(/^200 /);
    expect(await askAs("/figures", stranger)).toMatch(/^403 /);
    expect(await askAs("/figures", null)).toMatch(/^401 /);
  });

  it("tells operators which server this is, how it is, and when tokens are no longer created", async () => {
    await using server = await start({ TOKEN_AUTHORITY_MIN_FREE_MIB: "3" });
    const { state } = JSON.parse((await ask(server, "/figures")).text);
    expect(state).toMatchObject({
      version: packageJson.version,
      host: hostname(),
      address: server.server.address,
      threads: 1,
      isServing: true,
      disk: { minFreeBytes: 3 * 1024 * 1024 },
      nodes: null,
      certificates: [],
      refused: [],
    });
    expect(state.uptimeMs).toBeGreaterThan(0);
    expect(state.disk.freeBytes).toBeGreaterThan(0);
    expect(state.disk.databaseBytes).toBeGreaterThan(0);
  });

  it("tells operators whose keys were refused and which gateway asked, on whatever thread, and never the key", async () => {
    await using server = await start({ TOKEN_AUTHORITY_THREADS: "2" });
    const { id, key } = await server.issue();
    await server.tokens.revoke({ id });
    for (let time = 0; time < 6; time += 1) {
      expect(await server.verdictOf(key)).toBe("TOKEN_REVOKED");
    }
    await server.verdictOf("nonsense");
    const { text } = await ask(server, "/figures");
    const { refused } = JSON.parse(text).state;
    expect(refused).toHaveLength(2);
    expect(refused).toEqual(
      expect.arrayContaining([
        { reason: "TOKEN_REVOKED", caller: "local", tokenId: id, count: 6, lastMs: expect.any(Number) },
        { reason: "KEY_MALFORMED", caller: "local", tokenId: null, count: 1, lastMs: expect.any(Number) },
      ]),
    );
    expect(text).not.toContain(key);
  });

  it.each(["gateway", "service", "dashboard"])("tells the role %s the last hour, and not the state", async (role) => {
    await using server = await start({ TOKEN_AUTHORITY_PLAINTEXT_ROLE: role });
    expect(JSON.parse((await ask(server, "/figures")).text).state).toBeNull();
  });

  it("is served by one of several threads", async () => {
    await using server = await start({ TOKEN_AUTHORITY_THREADS: "2" });
    for (let time = 0; time < 8; time += 1) {
      expect((await ask(server, "/caller")).status).toBe(200);
    }
  });
});

describe("the figures of the last hour", () => {
  const counts = (decided: readonly number[], undecided: number, refusals: Readonly<Record<string, number>>) => ({
    decided,
    undecided,
    refusals: new Map(Object.entries(refusals)),
  });

  it("tell what was counted between one sample and the next", () => {
    const figures = createFigures();
    figures.sample(0, counts([5, 1], 2, { KEY_UNKNOWN: 3 }));
    expect(figures.intervals()).toEqual([]);
    figures.sample(15_000, counts([9, 1], 2, { KEY_UNKNOWN: 4, TOKEN_REVOKED: 1 }));
    expect(figures.intervals()).toEqual([
      { endMs: 15_000, decided: [4, 0], undecided: 0, refusals: { KEY_UNKNOWN: 1, TOKEN_REVOKED: 1 } },
    ]);
  });

  it("do not change with the counts that they were made of", () => {
    const figures = createFigures();
    const decided = [1];
    const refusals = new Map([["KEY_UNKNOWN", 1]]);
    figures.sample(0, { decided, undecided: 0, refusals });
    decided[0] = 3;
    refusals.set("KEY_UNKNOWN", 2);
    figures.sample(1, { decided, undecided: 0, refusals });
    expect(figures.intervals()[0]).toMatchObject({ decided: [2], refusals: { KEY_UNKNOWN: 1 } });
  });

  it("are never negative, also when a thread took its counts along", () => {
    const figures = createFigures();
    figures.sample(0, counts([5], 1, { KEY_UNKNOWN: 3 }));
    figures.sample(1, counts([2], 0, { KEY_UNKNOWN: 0 }));
    expect(figures.intervals()[0]).toMatchObject({ decided: [0], undecided: 0, refusals: { KEY_UNKNOWN: 0 } });
  });

  it("go back an hour, and no further", () => {
    const figures = createFigures();
    for (let time = 0; time <= 300; time += 1) {
      figures.sample(time, counts([time], 0, {}));
    }
    expect(figures.intervals()).toHaveLength(240);
    expect(figures.intervals().at(-1)?.endMs).toBe(300);
  });
});
