// Clients that nobody here wrote walk the life of a key against a real process, in plaintext and over mTLS.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCertificateAuthority } from "./support/certificates.ts";
import { fail, succeed, walkLifeOfKey } from "./support/life-of-key.ts";
import { createReport } from "./support/report.ts";
import {
  addressOf,
  createConnectNode,
  createCurl,
  createGrpcio,
  createGrpcJs,
  createGrpcurl,
  type Grpcio,
  grpcurlFlags,
  prepareGrpcio,
  type RpcClient,
  type RpcTarget,
  reflectWithGrpcio,
} from "./support/rpc-clients.ts";
import { type Finished, runProgram } from "./support/run-program.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { installGoProgram, installPython } from "./support/tools.ts";

const grpcurlVersion = "v1.9.3";
const healthProbeVersion = "v0.4.61";
const grpcioVersion = "1.85.1";

type Tools = { readonly grpcurl: string; readonly healthProbe: string; readonly grpcio: Grpcio };

const report = createReport("interop");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-interop-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });

const tools = await report.step("install grpcurl, grpc-health-probe and grpcio", installTools);
if (tools !== null) {
  await overPlaintext(tools);
  await overMutualTls(tools);
}
report.close();

async function installTools(): Promise<Tools> {
  const grpcurl = await installGoProgram("github.com/fullstorydev/grpcurl/cmd/grpcurl", grpcurlVersion);
  const healthProbe = await installGoProgram("github.com/grpc-ecosystem/grpc-health-probe", healthProbeVersion);
  const packages = ["grpcio", "grpcio-tools", "grpcio-reflection"].map((name) => `${name}==${grpcioVersion}`);
  const interpreter = await installPython(`grpcio-${grpcioVersion}`, packages);
  return { grpcurl, healthProbe, grpcio: await prepareGrpcio(interpreter, scratch.path) };
}

function createClients({ grpcurl, grpcio }: Tools, target: RpcTarget): readonly RpcClient[] {
  return [
    createGrpcurl(grpcurl, target),
    createGrpcio(grpcio, target),
    createGrpcJs(target),
    createConnectNode("gRPC", target),
    createConnectNode("gRPC-Web", target),
    createConnectNode("Connect", target),
    createCurl("1.1", target),
    createCurl("2", target),
  ];
}

async function overPlaintext(tools: Tools): Promise<void> {
  await using server = await startServerProcess({
    dataDirectory: join(scratch.path, "plaintext-data"),
    sealingSecret,
    settings: { ADMIN_LISTEN: "127.0.0.1:0" },
  });
  const target: RpcTarget = { host: "127.0.0.1", port: server.port, tls: null };
  for (const client of createClients(tools, target)) {
    await report.step(`plaintext, ${client.name}: the life of a key`, () => walkLifeOfKey(client));
  }
  await report.step("plaintext, grpcurl: list and describe by reflection", () => reflect(tools.grpcurl, target));
  await report.step("plaintext, grpcio: reflection v1alpha", () => reflectAlpha(tools.grpcio, target));
  await report.step("plaintext, grpc-health-probe: SERVING", () => probe(tools.healthProbe, target, []));
  await report.step("plaintext, curl: no Authenticate by GET", () => refuseGet(target));
  await report.step("plaintext, curl: livez, readyz and metrics", () => readAdmin(server));
  await report.step("plaintext: the server ends in good order", async () => assert.equal(await server.stop(), 0));
}

async function overMutualTls(tools: Tools): Promise<void> {
  const authority = createCertificateAuthority(scratch.path);
  const own = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  const callers = join(scratch.path, "callers.json");
  const roles = { gateway: "gateway", service: "service", dashboard: "dashboard", operator: "operator" };
  const identities = Object.entries(roles).map(([name, role]) => [`spiffe://casapay.test/${name}`, role]);
  writeFileSync(callers, JSON.stringify(Object.fromEntries(identities)));
  await using server = await startServerProcess({
    dataDirectory: join(scratch.path, "tls-data"),
    sealingSecret,
    settings: { TLS_CERT: own.cert, TLS_KEY: own.key, TLS_CLIENT_CA: authority.cert, CALLERS: callers },
  });
  const targetFor = (name: string): RpcTarget => {
    const { cert, key } = authority.issue(name, `URI:spiffe://casapay.test/${name}`);
    return { host: "localhost", port: server.port, tls: { ca: authority.cert, cert, key } };
  };
  const operator = targetFor("operator");
  const gateway = targetFor("gateway");
  const stranger = targetFor("stranger");
  for (const client of createClients(tools, operator)) {
    await report.step(`mTLS, ${client.name}: the life of a key, as operator`, () => walkLifeOfKey(client));
  }
  const key = await createSecretKey(createGrpcJs(operator));
  for (const client of createClients(tools, gateway)) {
    await report.step(`mTLS, ${client.name}: a gateway can do nothing but Authenticate`, async () => {
      const { principal } = await succeed(client, "Authenticate", { key });
      assert.ok(principal);
      await refuseManagement(client, "PERMISSION_DENIED");
    });
  }
  for (const client of createClients(tools, stranger)) {
    await report.step(`mTLS, ${client.name}: an identity without a role can do nothing`, async () => {
      await fail(client, "Authenticate", { key }, "PERMISSION_DENIED");
      await refuseManagement(client, "PERMISSION_DENIED");
    });
  }
  await report.step("mTLS, grpcurl: reflection for a gateway", () => reflect(tools.grpcurl, gateway));
  await report.step("mTLS, grpc-health-probe: SERVING for a gateway", () => {
    const { ca, cert, key: keyFile } = gateway.tls ?? { ca: "", cert: "", key: "" };
    const flags = ["-tls", `-tls-ca-cert=${ca}`, `-tls-client-cert=${cert}`, `-tls-client-key=${keyFile}`];
    return probe(tools.healthProbe, gateway, flags);
  });
  await report.step("mTLS, curl: without a certificate nothing is answered", () =>
    refuseWithoutCertificate(operator, key),
  );
}

async function createSecretKey(client: RpcClient): Promise<string> {
  const { key } = await succeed(client, "Create", {
    account: "acct_1",
    name: "for gateways",
    type: "TOKEN_TYPE_SECRET",
  });
  assert.ok(typeof key === "string");
  return key;
}

async function refuseManagement(client: RpcClient, code: string): Promise<void> {
  await fail(client, "Create", { account: "acct_1", name: "no", type: "TOKEN_TYPE_SECRET" }, code);
  await fail(client, "List", { account: "acct_1" }, code);
  await fail(client, "Get", { id: `tok_${"0".repeat(24)}` }, code);
  await fail(client, "Revoke", { id: `tok_${"0".repeat(24)}` }, code);
  await fail(client, "FindByDigest", { digest: Buffer.alloc(32).toString("base64") }, code);
  await fail(client, "ListChanges", { tokenId: `tok_${"0".repeat(24)}` }, code);
  await fail(client, "ListAccounts", {}, code);
}

function run(program: string, args: readonly string[]): Promise<Finished> {
  return runProgram(program, args, { timeoutMs: 60_000 });
}

async function reflect(grpcurl: string, target: RpcTarget): Promise<void> {
  const flags = [...grpcurlFlags(target), addressOf(target)];
  const { stdout: services } = await run(grpcurl, [...flags, "list"]);
  assert.deepEqual(services.trim().split("\n").sort(), [
    "casapay.token.v1.TokenService",
    "envoy.service.auth.v3.Authorization",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
  const { stdout: service } = await run(grpcurl, [...flags, "describe", "casapay.token.v1.TokenService"]);
  assert.match(service, /rpc Authenticate \( \.casapay\.token\.v1\.AuthenticateRequest \)/);
  const { stdout: message } = await run(grpcurl, [...flags, "describe", "casapay.token.v1.Token"]);
  assert.match(message, /\.google\.protobuf\.Timestamp expire_time = 11;/);
}

async function reflectAlpha(grpcio: Grpcio, target: RpcTarget): Promise<void> {
  const answer = await reflectWithGrpcio(grpcio, target);
  assert.ok("ok" in answer, JSON.stringify(answer));
  assert.equal(answer.ok.file, "casapay/token/v1/token_service.proto");
  assert.ok(Array.isArray(answer.ok.services) && answer.ok.services.includes("casapay.token.v1.TokenService"));
}

async function probe(healthProbe: string, target: RpcTarget, flags: readonly string[]): Promise<void> {
  for (const service of ["", "casapay.token.v1.TokenService"]) {
    const args = [`-addr=${addressOf(target)}`, `-service=${service}`, ...flags];
    const { exitCode, stdout, stderr } = await run(healthProbe, args);
    assert.equal(exitCode, 0, `${stdout}${stderr}`);
    assert.match(`${stdout}${stderr}`, /status: SERVING/);
  }
}

async function refuseGet(target: RpcTarget): Promise<void> {
  const message = encodeURIComponent(JSON.stringify({ key: "sk_live_x" }));
  const url = `http://${addressOf(target)}/casapay.token.v1.TokenService/Authenticate?connect=v1&encoding=json&message=${message}`;
  const { stdout } = await run("curl", ["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", url]);
  assert.equal(stdout, "405");
}

async function readAdmin(server: ServerProcess): Promise<void> {
  for (const path of ["livez", "readyz", "metrics"]) {
    const { exitCode, stdout, stderr } = await run("curl", [
      "--silent",
      "--fail",
      `http://${server.adminAddress}/${path}`,
    ]);
    assert.equal(exitCode, 0, `${path}: ${stdout}${stderr}`);
    if (path === "metrics") {
      assert.match(stdout, /^rpc_server_call_duration_seconds_count\{.*rpc_method="[^"]*Create"/m);
    }
  }
}

async function refuseWithoutCertificate(target: RpcTarget, key: string): Promise<void> {
  const { stdout } = await run("curl", [
    "--silent",
    ...["--cacert", target.tls?.ca ?? "", "--header", "content-type: application/json"],
    ...["--data", JSON.stringify({ key }), "--write-out", "%{http_code}"],
    `https://${addressOf(target)}/casapay.token.v1.TokenService/Authenticate`,
  ]);
  // Refused in the handshake (no HTTP status at all), or else UNAUTHENTICATED.
  assert.match(stdout, /^000$|"unauthenticated".*401$/);
}
