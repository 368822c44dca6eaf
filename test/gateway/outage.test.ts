import { create, toBinary } from "@bufbuild/protobuf";
import { afterEach, describe, expect, it, vi } from "vitest";
import { CheckRequestSchema } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { createFaultLog } from "../../src/calls/fault-log.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { type Authenticate, createCheck } from "../../src/doors/gateway/check.ts";
import { createCheckLane } from "../../src/doors/gateway/check-lane.ts";
import { createForwardAuth } from "../../src/doors/gateway/forward-auth.ts";
import { enveloped, peerOf, rawRequest } from "../connect/connect-rig.ts";
import { errorIn } from "../grpc/lane-rig.ts";
import { bodyOf } from "../support/exchange.ts";

const key = "sk_live_anything";
const open = { isClosed: false };
/** Envoy's, which names the request. */
const question = Buffer.from(
  enveloped(
    toBinary(
      CheckRequestSchema,
      create(CheckRequestSchema, { attributes: { request: { http: { headers: { "x-request-id": "check-1" } } } } }),
    ),
  ),
);
const words = [["permission", "none"]] as const;

/** Both doors over an Authenticate that fails, and what they tell. */
function createDoors(authenticate: Authenticate) {
  const calls: FinishedCall[] = [];
  const reported: object[] = [];
  const log = { info() {}, warn() {}, error: (fields: object) => reported.push(fields) };
  const check = createCheck(authenticate);
  const options = {
    roleOf: () => "gateway" as const,
    reportFault: createFaultLog(log),
    onCall: (call: FinishedCall) => calls.push(call),
  };
  const forwardAuth = createForwardAuth({ ...options, check });
  const lane = createCheckLane(
    () => check({ words, authorization: `Bearer ${key}`, apiKey: null, requestId: null }),
    options,
  );
  return {
    calls,
    reported,
    forwardAuth: () =>
      forwardAuth(
        rawRequest({
          method: "GET",
          path: "/authorize?permission=none",
          header: { authorization: `Bearer ${key}` },
          peer: peerOf("gateway"),
        }),
      ),
    async check() {
      return errorIn(
        await lane.answer(question, 0, question.length, ["application/grpc", null, null], peerOf("gateway"), open),
      );
    },
  };
}

const outages: readonly (readonly [string, Authenticate])[] = [
  [
    "an error that is thrown",
    () => {
      throw new Error("disk I/O error");
    },
  ],
  ["an error that comes later", () => Promise.reject(new Error("disk I/O error"))],
];

describe("an outage never looks like a bad key", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it.each(outages)("%s is 503 at one door and UNAVAILABLE at the other", async (_, authenticate) => {
    const doors = createDoors(authenticate);
    const response = await doors.forwardAuth();
    expect(response.status).toBe(503);
    const answer = new Response(await bodyOf(response), { headers: new Headers(response.header) });
    expect(await answer.json()).toMatchObject({ error: { code: "unavailable" } });
    expect(answer.headers.get("cache-control")).toBe("no-store");
    expect(await doors.check()).toMatchObject({ rawMessage: "the authority cannot answer now: ask again" });
    expect(doors.calls).toMatchObject([
      { rpc: "forward-auth/authorize", code: "UNAVAILABLE", reason: "UNDECIDED", refusal: null },
      { rpc: "envoy.service.auth.v3.Authorization/Check", code: "UNAVAILABLE", reason: "UNDECIDED", refusal: null },
    ]);
    expect(doors.calls.at(-1)?.requestId).toBe("check-1");
    expect(doors.reported).toHaveLength(2);
  });

  it("a decision that does not come is given up after a second", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const doors = createDoors(() => new Promise(() => {}));
    const answers = Promise.all([doors.forwardAuth(), doors.check()]);
    await vi.advanceTimersByTimeAsync(999);
    expect(doors.calls).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect((await answers)[0].status).toBe(503);
    expect(doors.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }, { code: "DEADLINE_EXCEEDED" }]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("an accepted answer that is late is one", async () => {
    const doors = createDoors(() =>
      Promise.resolve({ kind: "refusal", reason: "KEY_UNKNOWN", token: null, missingPermissions: [] }),
    );
    expect((await doors.forwardAuth()).status).toBe(401);
    expect(await doors.check()).toBeNull();
  });
});
