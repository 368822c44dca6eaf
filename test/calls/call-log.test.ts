import { beforeEach, describe, expect, it } from "vitest";
import { createCallLog } from "../../src/calls/call-log.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";

const call: FinishedCall = {
  rpc: "casapay.token.v1.TokenService/Authenticate",
  protocol: "grpc",
  caller: "spiffe://casapay/gateway",
  role: "gateway",
  code: "OK",
  reason: null,
  durationMs: 1,
  tokenId: null,
  revision: null,
  refusal: "KEY_UNKNOWN",
  trace: null,
};

describe("the log of refused keys", () => {
  let nowMs: number;
  let lines: { readonly request_id?: string; readonly suppressed: number; readonly refusal?: string }[];
  let logCall: (call: FinishedCall) => void;
  beforeEach(() => {
    nowMs = 5;
    lines = [];
    const write = (fields: object) => lines.push(fields as (typeof lines)[number]);
    const log = createCallLog({ info: write, warn: write, error: write }, () => nowMs);
    logCall = (one) => log(one, null);
  });

  it("has one line in 10 seconds of each reason, which counts those left out", () => {
    for (let round = 0; round < 5; round += 1) {
      logCall(call);
    }
    logCall({ ...call, refusal: "TOKEN_EXPIRED" });
    nowMs += 9999;
    logCall(call);
    expect(lines.map(({ refusal }) => refusal)).toEqual(["KEY_UNKNOWN", "TOKEN_EXPIRED"]);
    nowMs += 1;
    logCall(call);
    expect(lines.at(-1)).toMatchObject({ refusal: "KEY_UNKNOWN", suppressed: 5 });
  });

  it("has a line for each that was answered with a request id, up to 100 a second of each reason", () => {
    for (let round = 0; round < 1000; round += 1) {
      logCall({ ...call, requestId: `req_${round}` });
    }
    expect(lines.map(({ request_id }) => request_id)).toEqual(Array.from({ length: 100 }, (_, at) => `req_${at}`));
    logCall({ ...call, requestId: "req_x", refusal: "TOKEN_REVOKED" });
    expect(lines.at(-1)).toMatchObject({ request_id: "req_x", suppressed: 0 });
    nowMs += 1000;
    logCall({ ...call, requestId: "req_y" });
    expect(lines.at(-1)).toMatchObject({ request_id: "req_y", suppressed: 900 });
  });

  it("is not crowded out by those without a request id", () => {
    logCall(call);
    logCall(call);
    logCall({ ...call, requestId: "req_1" });
    expect(lines.at(-1)).toMatchObject({ request_id: "req_1" });
  });
});
