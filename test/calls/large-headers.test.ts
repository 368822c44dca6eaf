import { request } from "node:http";
import { connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLargeHeaders } from "../../src/calls/port/large-headers.ts";
import { TestServer } from "../support/test-server.ts";

type Answer = { readonly status: number; readonly type: string | undefined; readonly body: string };

const doors = {
  "/authorize": ["rpc", "/authorize?permission=none"],
  "an RPC": ["rpc", "/casapay.token.v1.TokenService/Authenticate"],
  "Envoy's Check": ["rpc", "/envoy.service.auth.v3.Authorization/Check"],
  REST: ["rest", "/v1/tokens"],
} as const;

const headers = {
  "one field of 20 000 bytes": { "x-long": "x".repeat(20_000) },
  "200 fields": Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`x-${at}`, "x"])),
};

const cases = Object.entries(doors).flatMap(([door, [port, path]]) =>
  Object.entries(headers).flatMap(([what, header]) =>
    [overHttp1, overHttp2].map((ask) => ({ door, port, path, what, header, ask, protocol: ask.name })),
  ),
);

describe("a header that is too large is told, logged and counted as that", () => {
  let authority: TestServer;
  let asked = 0;
  beforeAll(async () => {
    authority = await TestServer.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0" });
  });
  afterAll(() => authority[Symbol.asyncDispose]());

  it.each(cases)("at $door, $what, $protocol", async ({ port, path, header, ask }) => {
    const { address, restAddress } = authority.server;
    const { status, type, body } = await ask(port === "rest" ? `${restAddress}` : address, path, header);
    asked += 1;
    expect([status, type]).toEqual([431, "application/json"]);
    const { error } = JSON.parse(body);
    expect(error).toMatchObject({ type: "invalid_request_error", code: "header_too_large", param: null });
    await expect
      .poll(() => authority.logged.filter(({ message }) => message === "the header of a request is too large").at(-1))
      .toMatchObject({ fields: { transport: "loopback", request_id: error.request_id } });
    const metrics = await (await fetch(`http://${authority.server.adminAddress}/metrics`)).text();
    expect(metrics).toMatch(new RegExp(`^token_authority_large_headers_total ${asked}$`, "m"));
  });
});

it("100 lines a second tell of it, which count those left out", () => {
  let nowMs = 500;
  const lines: object[] = [];
  const write = (fields: object) => lines.push(fields);
  const large = createLargeHeaders({ info: write, warn: write, error: write }, () => nowMs);
  for (let round = 0; round < 125; round += 1) {
    large.refuse({ transport: "tls", identity: "spiffe://casapay/gateway" }, "");
  }
  expect(lines).toHaveLength(100);
  nowMs += 1000;
  large.refuse({ transport: "tls", identity: null }, "");
  expect(lines.at(-1)).toMatchObject({ caller: null, suppressed: 25 });
  expect(large.count()).toBe(126);
});

function overHttp1(address: string, path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asking = request(`http://${address}${path}`, { headers, agent: false }, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        body += chunk;
      });
      response.on("error", reject);
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, type: response.headers["content-type"], body }),
      );
    });
    asking.on("error", reject);
    asking.end();
  });
}

function overHttp2(address: string, path: string, headers: Readonly<Record<string, string>>): Promise<Answer> {
  const session = connect(`http://${address}`);
  return new Promise<Answer>((resolve, reject) => {
    session.on("error", reject);
    const stream = session.request({ ":path": path, ...headers });
    let answer = { status: 0, type: undefined as string | undefined };
    let body = "";
    stream.setEncoding("utf8");
    stream.on("response", (fields) => {
      answer = { status: fields[":status"] ?? 0, type: fields["content-type"] };
    });
    stream.on("data", (chunk) => {
      body += chunk;
    });
    stream.on("error", reject);
    stream.on("end", () => resolve({ ...answer, body }));
    stream.end();
  }).finally(() => session.destroy());
}
