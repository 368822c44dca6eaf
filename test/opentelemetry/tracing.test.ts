import { randomBytes } from "node:crypto";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { version } from "../../src/version.ts";
import { check } from "../gateway/doors.ts";
import { OtlpReceiver, type ReceivedSpan } from "../support/otlp-receiver.ts";
import { TestServer } from "../support/test-server.ts";

const service = "casapay.token.v1.TokenService";

/** A parent of its own, so that a call's span is known by it. */
function parent(flags = "01") {
  const traceId = randomBytes(16).toString("hex");
  const spanId = randomBytes(8).toString("hex");
  return {
    traceId,
    spanId,
    header: { traceparent: `00-${traceId}-${spanId}-${flags}` },
    isOf: (span: ReceivedSpan) => span.traceId === traceId && span.parentSpanId === spanId,
  };
}

/** Longer than a test may take: whoever waits for a collector that never answers does not end. */
const patient = { OTEL_EXPORTER_OTLP_TIMEOUT: "600000", OTEL_BSP_EXPORT_TIMEOUT: "600000" };

/** The authority, whose spans go to a receiver at once. */
async function startTraced(environment: Readonly<Record<string, string>> = {}, receiver?: OtlpReceiver) {
  const resources = new AsyncDisposableStack();
  const collector = receiver ?? resources.use(await OtlpReceiver.start());
  const authority = resources.use(
    await TestServer.start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: "1",
      TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0",
      ...environment,
    }),
  );
  return { authority, collector, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

const webs = { grpc: createGrpcTransport, "grpc-web": createGrpcWebTransport, connect: createConnectTransport };

describe("a traced call", () => {
  it.each(["grpc", "grpc-web", "connect"] as const)(
    "over %s is a server's span below its caller's",
    async (protocol) => {
      await using traced = await startTraced();
      const { authority, collector } = traced;
      const { key, id } = await authority.issue();
      const baseUrl = `http://${authority.server.address}`;
      const tokens = createClient(TokenService, webs[protocol]({ httpVersion: "2", baseUrl }));
      const caller = parent();
      authority.clock.nowMs += 1000;
      await tokens.authenticate({ key }, { headers: { ...caller.header, tracestate: "vendor=1" } });

      const span = await collector.span(caller.isOf);
      expect(span).toMatchObject({ name: `${service}/Authenticate`, kind: 2, statusCode: 0, traceState: "vendor=1" });
      expect(span.resource).toEqual({ "service.name": "token-authority", "service.version": version });
      expect(span.attributes).toEqual({
        "rpc.system.name": protocol === "connect" ? "connectrpc" : "grpc",
        "rpc.method": `${service}/Authenticate`,
        ...(protocol === "connect" ? {} : { "rpc.response.status_code": "OK" }),
        "token_authority.rpc": `${service}/Authenticate`,
        "token_authority.protocol": protocol,
        "token_authority.code": "OK",
        "token_authority.caller": "local",
        "token_authority.role": "operator",
        "token_authority.token_id": id,
      });
      expect(span.endMs).toBeCloseTo(authority.clock.nowMs, 1);
      expect(span.endMs - span.startMs).toBeGreaterThan(0);
      expect(span.endMs - span.startMs).toBeLessThan(60_000);
    },
  );

  it("of the REST API has HTTP's names", async () => {
    await using traced = await startTraced();
    const { authority, collector } = traced;
    const { key, id } = await authority.issue();
    const base = `http://${authority.server.restAddress}/v1/tokens`;
    const caller = parent();
    const answer = await fetch(`${base}/${id}`, { headers: { authorization: `Bearer ${key}`, ...caller.header } });
    const span = await collector.span(caller.isOf);
    expect(span.name).toBe("GET /v1/tokens/{id}");
    expect(span.attributes).toMatchObject({
      "http.request.method": "GET",
      "http.route": "/v1/tokens/{id}",
      "http.response.status_code": 200,
      "token_authority.rpc": `${service}/Get`,
      "token_authority.caller": id,
      "token_authority.role": "bearer",
      "token_authority.request_id": answer.headers.get("request-id"),
    });
  });

  it("of forward authentication has HTTP's names, and says why the key was refused", async () => {
    await using traced = await startTraced();
    const { authority, collector } = traced;
    const caller = parent();
    const headers = { authorization: `Bearer ${mintKey("secret", true)}`, ...caller.header };
    await fetch(`http://${authority.server.address}/authorize?permission=none`, { headers, method: "PURGE" });
    const span = await collector.span(caller.isOf);
    expect(span).toMatchObject({ name: "HTTP /authorize", statusCode: 0 });
    expect(span.attributes).toMatchObject({
      "http.request.method": "_OTHER",
      "http.response.status_code": 401,
      "token_authority.refusal": "KEY_UNKNOWN",
    });
  });

  it("of Envoy's Check takes the trace from the call's metadata, not from the request that it is about", async () => {
    await using traced = await startTraced();
    const { authority, collector } = traced;
    const { key, id } = await authority.issue();
    const caller = parent();
    const headers = { authorization: `Bearer ${key}`, ...parent().header };
    const attributes = { contextExtensions: { permission: "none" }, request: { http: { headers } } };
    await check(authority.server.address, { attributes }, caller.header);
    const span = await collector.span(caller.isOf);
    expect(span.name).toBe("envoy.service.auth.v3.Authorization/Check");
    expect(span.attributes).toMatchObject({ "token_authority.token_id": id });
  });

  it("that failed for the caller's mistake is no error of the server", async () => {
    await using traced = await startTraced();
    const caller = parent();
    const tokens = traced.authority.tokens;
    await expect(tokens.get({ id: "tok_none" }, { headers: caller.header })).rejects.toThrow();
    const span = await traced.collector.span(caller.isOf);
    expect(span.statusCode).toBe(0);
    expect(span.attributes).toMatchObject({ "rpc.response.status_code": "INVALID_ARGUMENT" });
    expect(span.attributes["error.type"]).toBeUndefined();
  });

  it("has its ids in its log line", async () => {
    await using traced = await startTraced();
    const { authority, collector } = traced;
    const caller = parent();
    const { token } = await authority.tokens.create({ account: "a", name: "n", type: 1 }, { headers: caller.header });
    const span = await collector.span(caller.isOf);
    const lines = authority.logged.map(({ fields }) => fields);
    expect(lines).toContainEqual(
      expect.objectContaining({ token_id: token?.id, trace_id: caller.traceId, span_id: span.spanId }),
    );
  });
});

describe("which calls are traced", () => {
  it("management calls always, also where the caller's trace is not sampled or there is none", async () => {
    await using traced = await startTraced({ OTEL_TRACES_SAMPLER: "parentbased_always_off" });
    const { authority, collector } = traced;
    const caller = parent("00");
    await authority.tokens.create({ account: "a", name: "n", type: 1 }, { headers: caller.header });
    expect((await collector.span(caller.isOf)).name).toBe(`${service}/Create`);
    await authority.issue();
    await collector.span(({ name, parentSpanId }) => name === `${service}/Create` && parentSpanId === "");
  });

  it("of those that decide on a key, those whose caller samples them", async () => {
    await using traced = await startTraced({ OTEL_TRACES_SAMPLER: "parentbased_always_off" });
    const { authority, collector } = traced;
    const { key } = await authority.issue();
    for (const flags of ["00", "01"]) {
      await authority.tokens.authenticate({ key }, { headers: parent(flags).header });
    }
    await authority.tokens.authenticate({ key });
    await authority.tokens.authenticate({ key }, { headers: { traceparent: "00-nonsense" } });
    await authority.stop();
    expect(collector.spans.filter(({ name }) => name === `${service}/Authenticate`)).toHaveLength(1);
  });

  it("and a share of those whose callers tell of no trace", async () => {
    await using traced = await startTraced({ OTEL_TRACES_SAMPLER_ARG: "1" });
    const { authority, collector } = traced;
    const { key } = await authority.issue();
    await authority.tokens.authenticate({ key });
    const span = await collector.span(({ name }) => name === `${service}/Authenticate`);
    expect(span.parentSpanId).toBe("");
    expect(span.traceId).toMatch(/^[0-9a-f]{32}$/);
  });

  it("who has no role decides nothing about it", async () => {
    await using traced = await startTraced({ OTEL_TRACES_SAMPLER: "parentbased_always_off" });
    const { authority, collector } = traced;
    const headers = { authorization: `Bearer ${mintKey("secret", true)}`, ...parent().header };
    await fetch(`http://${authority.server.restAddress}/v1/tokens`, { headers });
    await authority.stop();
    expect(collector.spans).toEqual([]);
  });
});

it("lets no key and no digest out into a span", async () => {
  await using traced = await startTraced({ OTEL_TRACES_SAMPLER: "always_on" });
  const { authority, collector } = traced;
  const keys: string[] = [];
  const canary = () => {
    const key = mintKey("secret", true);
    keys.push(key.slice(8, 40));
    return key;
  };
  const headers = () => ({
    ...parent().header,
    tracestate: `v=${canary()}`,
    "x-request-id": canary(),
    baggage: `k=${canary()}`,
  });
  for (const ask of [
    () => authority.tokens.authenticate({ key: canary() }, { headers: headers() }),
    () => authority.tokens.authenticate({ key: "x", requiredPermissions: [canary()] }, { headers: headers() }),
    () => authority.tokens.get({ id: canary() }, { headers: headers() }),
    () => authority.tokens.revoke({ id: canary(), reason: canary() }, { headers: headers() }),
    () => authority.tokens.create({ account: canary(), name: canary(), type: 1 }, { headers: headers() }),
    () => authority.tokens.list({ account: canary(), pageToken: canary() }, { headers: headers() }),
    () => fetch(`http://${authority.server.address}/authorize?permission=${canary()}`, { headers: headers() }),
    () => fetch(`http://${authority.server.restAddress}/v1/tokens/${canary()}`, { headers: headers() }),
  ]) {
    await ask().catch(() => {});
  }
  await authority.stop();
  expect(collector.spans).toHaveLength(8);
  const sent = collector.requests.map(({ body }) => body.toString("latin1")).join("\n");
  expect(keys.filter((key) => sent.includes(key))).toEqual([]);
});

it("passes a trace state on up to 512 characters", async () => {
  await using traced = await startTraced();
  const { authority, collector } = traced;
  for (const [tracestate, passedOn] of [
    [`v=${"x".repeat(200)},w=${"y".repeat(200)}`, `v=${"x".repeat(200)},w=${"y".repeat(200)}`],
    [`v=${"x".repeat(200)},w=${"y".repeat(310)}`, ""],
  ] as const) {
    const caller = parent();
    await authority.tokens.list({}, { headers: { ...caller.header, tracestate } });
    expect((await collector.span(caller.isOf)).traceState).toBe(passedOn);
  }
});

describe("the collector", () => {
  it("gets the headers, the resource and the path that the environment says", async () => {
    await using collector = await OtlpReceiver.start();
    await using traced = await startTraced({
      OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/otlp/here`,
      OTEL_EXPORTER_OTLP_HEADERS: "authorization=Basic%20abc,x-tenant=casapay",
      OTEL_SERVICE_NAME: "authority-1",
      OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test,service.name=other",
    });
    await traced.authority.issue();
    const span = await collector.span(() => true);
    expect(span.resource).toEqual({
      "service.name": "authority-1",
      "service.version": version,
      "deployment.environment.name": "test",
    });
    expect(collector.requests[0]).toMatchObject({
      path: "/otlp/here",
      headers: { authorization: "Basic abc", "x-tenant": "casapay", "content-type": "application/x-protobuf" },
    });
  });

  it("gets the last spans before the end", async () => {
    await using traced = await startTraced({ OTEL_BSP_SCHEDULE_DELAY: "600000" });
    const { authority, collector } = traced;
    await authority.issue();
    expect(collector.spans).toEqual([]);
    await authority.stop();
    expect(collector.spans.map(({ name }) => name)).toEqual([`${service}/Create`]);
  });

  it("that never answers delays no call, keeps a bounded number of spans, and the end for a second at most", async () => {
    await using silent = await OtlpReceiver.start(() => {});
    const batches = { OTEL_BSP_MAX_QUEUE_SIZE: "10", OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "5" };
    await using traced = await startTraced({ ...patient, ...batches, OTEL_BSP_SCHEDULE_DELAY: "600000" }, silent);
    const { authority } = traced;
    for (let call = 0; call < 50; call++) {
      await authority.tokens.list({});
    }
    await authority.stop();
    // One batch was on its way, and two waited.
    expect(silent.spans).toHaveLength(15);
  });

  it("that is away is told of once a minute, with what was lost", async () => {
    await using traced = await startTraced({
      OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1",
      OTEL_EXPORTER_OTLP_TIMEOUT: "1",
    });
    const { authority } = traced;
    const warnings = () => authority.logged.filter(({ message }) => message === "spans could not be sent");
    await authority.issue();
    await authority.stop();
    expect(warnings()).toHaveLength(1);
    expect(warnings()[0]?.fields).toMatchObject({ spans: 1 });
  });
});

it("a thread ends in time, also when its collector never answers", async () => {
  await using silent = await OtlpReceiver.start(() => {});
  await using traced = await startTraced({ ...patient, TOKEN_AUTHORITY_THREADS: "2" }, silent);
  const { authority } = traced;
  for (let connection = 0; connection < 40; connection++) {
    await authority.tokens.list({});
  }
  await authority.stop();
});

it("traces the calls of every thread, and each thread sends its last spans before it ends", async () => {
  await using traced = await startTraced({ TOKEN_AUTHORITY_THREADS: "2", OTEL_BSP_SCHEDULE_DELAY: "600000" });
  const { authority, collector } = traced;
  // The system spreads connections among threads: with this many, each has some.
  for (let connection = 0; connection < 40; connection++) {
    await authority.tokens.list({}, { headers: { "x-connection": String(connection) } });
  }
  await authority.stop();
  expect(collector.spans).toHaveLength(40);
  expect(collector.requests.length).toBe(2);
});
