// What is seen of the authority from outside: spans through the OpenTelemetry Collector, the dashboard and the alert
// rules against the metrics that a real server serves, by promtool.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { credentials } from "@grpc/grpc-js";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { OtlpReceiver } from "../support/otlp-receiver.ts";
import { migrateTokens } from "./postgres/databases.ts";
import { createCertificateAuthority } from "./support/certificates.ts";
import { serverRole, startPostgres } from "./support/postgres.ts";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { startServerProcess } from "./support/server-process.ts";
import { createTokenClient } from "./support/token-client.ts";
import { buildGoProgram, unpackDebianPackages } from "./support/tools.ts";
import { startCollector } from "./telemetry/collector-process.ts";
import { namesInQueries, namesServed } from "./telemetry/prometheus-names.ts";

const spanTimeoutMs = 20_000;
const grafana = resolve(import.meta.dirname, "../../examples/grafana");
const report = createReport("telemetry");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-telemetry-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });

const collectorProgram = await report.step("build the OpenTelemetry Collector", () =>
  buildGoProgram(join(import.meta.dirname, "telemetry/collector")),
);
if (collectorProgram !== null) {
  for (const threads of ["1", "2"]) {
    await report.step(`spans of every door in the collector, ${threads} threads`, () =>
      trace(collectorProgram, threads),
    );
  }
}
const promtool = await report.step("unpack promtool", async () => {
  const { path } = await unpackDebianPackages(["prometheus"]);
  return { PATH: `${path}:${process.env.PATH}` };
});
if (promtool !== null) {
  await report.step("promtool: the alert rules", () => check("promtool", ["check", "rules", "alerts.yaml"], promtool));
  await report.step("promtool: the tests of the alert rules", () =>
    check("promtool", ["test", "rules", "alerts.test.yaml"], promtool),
  );
  await report.step("every metric and label of dashboard and rules is served, and promtool likes what is", () =>
    compareNames(promtool),
  );
}
report.close();

async function trace(program: string, threads: string): Promise<void> {
  await using receiver = await OtlpReceiver.start();
  await using collector = await startCollector(program, scratch.path, receiver.url);
  await using server = await startServerProcess({
    dataDirectory: join(scratch.path, `data-${threads}`),
    sealingSecret,
    settings: { REST_LISTEN: "127.0.0.1:0", THREADS: threads },
    variables: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: "100" },
  });
  const baseUrl = `http://${server.address}`;
  const rpc = (transport: Parameters<typeof createClient>[1]) => createClient(TokenService, transport);
  const grpc = rpc(createGrpcTransport({ baseUrl }));
  const { key } = await grpc.create({ account: "acct_1", name: "traced", type: TokenType.SECRET });
  const web = { baseUrl, httpVersion: "2" } as const;
  const bearer = { authorization: `Bearer ${key}` };
  const doors: Readonly<Record<string, readonly [string, (headers: Record<string, string>) => Promise<unknown>]>> = {
    gRPC: ["casapay.token.v1.TokenService/Authenticate", (headers) => grpc.authenticate({ key }, { headers })],
    "gRPC, a change": [
      "casapay.token.v1.TokenService/Create",
      (headers) => grpc.create({ account: "acct_1", name: "another", type: TokenType.SECRET }, { headers }),
    ],
    "gRPC-Web": [
      "casapay.token.v1.TokenService/List",
      (headers) => rpc(createGrpcWebTransport(web)).list({}, { headers }),
    ],
    Connect: [
      "casapay.token.v1.TokenService/Authenticate",
      (headers) => rpc(createConnectTransport(web)).authenticate({ key }, { headers }),
    ],
    REST: ["GET /v1/tokens", (headers) => get(`http://${server.restAddress}/v1/tokens`, { ...bearer, ...headers })],
    "forward authentication": [
      "GET /authorize",
      (headers) => get(`${baseUrl}/authorize?permission=none`, { ...bearer, ...headers }),
    ],
  };
  for (const [door, [name, call]] of Object.entries(doors)) {
    const traceId = randomBytes(16).toString("hex");
    const parentId = randomBytes(8).toString("hex");
    await call({ traceparent: `00-${traceId}-${parentId}-01`, tracestate: "casapay=1" });
    const span = await within(
      receiver.span((one) => one.traceId === traceId),
      `the span of ${door}`,
    );
    assert.equal(span.parentSpanId, parentId, door);
    assert.equal(span.name, name, door);
    assert.equal(span.kind, 2, door);
    assert.equal(span.traceState, "casapay=1", door);
    assert.equal(span.resource["service.name"], "token-authority", door);
  }
  assert.equal(await server.stop(), 0);
}

async function get(url: string, headers: Record<string, string>): Promise<void> {
  const response = await fetch(url, { headers });
  assert.equal(response.status, 200);
  await response.arrayBuffer();
}

async function within<T>(promise: Promise<T>, what: string): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`${what} did not arrive`)), spanTimeoutMs);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

type Environment = Readonly<Record<string, string>>;

async function check(program: string, args: readonly string[], env: Environment): Promise<void> {
  const { exitCode, stdout, stderr } = await runProgram(program, args, { timeoutMs: 60_000, cwd: grafana, env });
  assert.equal(exitCode, 0, stdout + stderr);
}

async function compareNames(env: Environment): Promise<void> {
  const texts = [...(await metricsOfTlsServerAndEdge()), await metricsOfNode()];
  for (const text of texts) {
    const file = join(scratch.path, "metrics");
    // Three of prom-client's own are gauges that end in _total.
    writeFileSync(file, text.replace(/^.*nodejs_active_.*\n/gm, ""));
    await check("sh", ["-c", 'promtool check metrics < "$0"', file], env);
  }
  const served = namesServed(texts.join("\n"));
  const dashboard: string[] = [];
  JSON.parse(readFileSync(join(grafana, "dashboard.json"), "utf8"), (name, value) => {
    if (name === "gridPos") {
      assert.ok(Object.values(value).every(Number.isInteger), "a panel has no place");
    }
    if (name === "expr") {
      dashboard.push(value);
    }
    return value;
  });
  const rules = [
    ...readFileSync(join(grafana, "alerts.yaml"), "utf8").matchAll(/expr: (?:\|\n)?(.*?)\n +(?:for|labels):/gs),
  ];
  const queries = [...dashboard, ...rules.map(([, query = ""]) => query)].map((query) =>
    query.replaceAll("$__rate_interval", "5m"),
  );
  assert.ok(dashboard.length >= 20 && rules.length >= 12, "the queries were not found");
  const used = namesInQueries(queries);
  // Prometheus itself makes these.
  const known = { metrics: new Set(["up"]), labels: new Set(["job", "instance"]) };
  assert.deepEqual([...used.metrics.difference(served.metrics.union(known.metrics))], []);
  assert.deepEqual([...used.labels.difference(served.labels.union(known.labels))], []);
}

/** What a server with certificates serves after a call of each kind, and an edge that asks it. */
async function metricsOfTlsServerAndEdge(): Promise<readonly string[]> {
  const authority = createCertificateAuthority(scratch.path);
  const own = authority.issue("server", "DNS:localhost");
  const operator = authority.issue("operator", "URI:spiffe://casapay/operator");
  const callers = join(scratch.path, "callers.json");
  writeFileSync(callers, JSON.stringify({ "spiffe://casapay/operator": "operator" }));
  await using server = await startServerProcess({
    dataDirectory: join(scratch.path, "data-tls"),
    sealingSecret,
    settings: {
      ADMIN_LISTEN: "127.0.0.1:0",
      REST_LISTEN: "127.0.0.1:0",
      ...{ TLS_CERT: own.cert, TLS_KEY: own.key, TLS_CLIENT_CA: authority.cert, CALLERS: callers },
      ...{ REST_TLS_CERT: own.cert, REST_TLS_KEY: own.key },
    },
  });
  const files = [authority.cert, operator.key, operator.cert].map((name) => readFileSync(name));
  using client = createTokenClient(`localhost:${server.port}`, credentials.createSsl(files[0], files[1], files[2]));
  await client.call(TokenService.method.authenticate, { key: mintKey("secret", true) });
  const aToken = { account: "acct_1", name: "revoked", type: TokenType.SECRET };
  const { token } = await client.call(TokenService.method.create, aToken);
  const { promise: leased, resolve: hasLease } = Promise.withResolvers<void>();
  await using edge = await startServerProcess({
    dataDirectory: scratch.path,
    sealingSecret,
    onLine: (line) => (line.includes("keys are decided on from memory") ? hasLease() : undefined),
    settings: {
      ADMIN_LISTEN: "127.0.0.1:0",
      UPSTREAM: `localhost:${server.port}`,
      ...{ UPSTREAM_CA: authority.cert, UPSTREAM_CERT: operator.cert, UPSTREAM_KEY: operator.key },
    },
  });
  const metricsOf = async (address: string) => (await fetch(`http://${address}/metrics`)).text();
  const ofEdge = await metricsOf(edge.adminAddress);
  // A holder that is silent from now on, for as long as its lease lasts.
  await leased;
  await edge.kill();
  await client.call(TokenService.method.revoke, { id: token?.id ?? "" });
  return [await metricsOf(server.adminAddress), ofEdge];
}

/** What a node of a PostgreSQL database serves. */
async function metricsOfNode(): Promise<string> {
  await using database = await startPostgres({ version: 15 });
  await migrateTokens(database);
  await using node = await startServerProcess({
    dataDirectory: scratch.path,
    sealingSecret,
    settings: { ADMIN_LISTEN: "127.0.0.1:0", DATABASE: database.url(serverRole) },
  });
  return (await fetch(`http://${node.adminAddress}/metrics`)).text();
}
