// connectconformance calls ConformanceService, which is not ours: `npm run suite:conformance` mounts it on the general
// way. Its unary cases of gRPC that make sense for Authenticate are here, by their names, over a socket, with both ways
// as the product mounts them.

import { once } from "node:events";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AuthenticateRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { fieldInvalid } from "../../src/authority/errors.ts";
import type { Outcome } from "../../src/authority/judge.ts";
import { laneHeaders } from "../../src/calls/grpc/plain-request.ts";
import { maxMessageBytes } from "../../src/calls/limits.ts";
import { tokenRpcs } from "../../src/calls/rpcs.ts";
import { Http2Server } from "../../src/wire/http2/http2-server.ts";
import { createHttp2Handler } from "../../src/wire/port/http2-handler.ts";
import type { Peer } from "../../src/wire/port/peer.ts";
import { ConnectRig, enveloped, peerOf } from "../connect/connect-rig.ts";
import { createLaneRig, type LaneRig } from "./lane-rig.ts";

const authenticatePath = `/${tokenRpcs.authenticate}`;
const unknownKey: Outcome = { kind: "refusal", reason: "KEY_UNKNOWN", token: null, missingPermissions: [] };
const plainHeaders = {
  ":method": "POST",
  ":path": authenticatePath,
  "content-type": "application/grpc",
  te: "trailers",
};
const whole = enveloped(messageOf({ key: "k" }));

let decide: () => Outcome | Promise<Outcome>;
let general: ConnectRig;
let lane: LaneRig;
let session: ClientHttp2Session;
const ending = new AsyncDisposableStack();

beforeAll(async () => {
  general = ending.use(
    await ConnectRig.start({
      replaceAuthority: (authority) => ({ ...authority, authenticate: () => decide() }),
    }),
  );
  lane = createLaneRig(() => decide());
  const errors: unknown[] = [];
  const http2 = new Http2Server<Peer>({
    lanes: { headers: laneHeaders, paths: new Map([[authenticatePath, lane.lane]]) },
    handle: createHttp2Handler(general.handle, { scheme: "http", log: { info() {}, warn() {}, error() {} } }),
    onError: (error) => errors.push(error),
  });
  const listener = createServer((socket) => http2.accept(socket, peerOf("gateway"))).listen(0, "127.0.0.1");
  await once(listener, "listening");
  session = connect(`http://127.0.0.1:${(listener.address() as AddressInfo).port}`);
  ending.defer(async () => {
    session.destroy();
    listener.close();
    await http2.close(0);
    expect(errors).toEqual([]);
  });
});
afterAll(() => ending.disposeAsync());

type Headers = Readonly<Record<string, string | string[]>>;
type Request = { readonly headers?: Headers; readonly body?: Uint8Array; readonly decision?: typeof decide };
/**
 * What a client sees: the HTTP status, the gRPC status where there is one, whether it came without a body; and which
 * way it went.
 */
type Seen = { httpStatus: number; code: string | null; message: string; isTrailersOnly: boolean; way: string };

function messageOf(init: MessageInitShape<typeof AuthenticateRequestSchema>): Uint8Array {
  return toBinary(AuthenticateRequestSchema, create(AuthenticateRequestSchema, init));
}

async function ask({ headers = {}, body = whole, decision = () => unknownKey }: Request = {}): Promise<Seen> {
  decide = decision;
  const before = lane.calls.length;
  const stream = session.request({ ...plainHeaders, ...headers }, { endStream: false });
  let heard: Record<string, unknown> = {};
  stream.on("response", (fields) => {
    heard = { ...heard, ...fields };
  });
  stream.on("trailers", (fields) => {
    heard = { ...heard, ...fields };
  });
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
  });
  stream.end(body);
  await once(stream, "close");
  const code = heard["grpc-status"];
  return {
    httpStatus: Number(heard[":status"]),
    code: code === undefined ? null : String(code),
    message: decodeURIComponent(String(heard["grpc-message"] ?? "")),
    isTrailersOnly: bytes === 0,
    way: lane.calls.length > before ? "lane" : "general",
  };
}

describe("cases that the lane answers", () => {
  const answered = { httpStatus: 200, code: "0", isTrailersOnly: false, way: "lane" };
  const refused = { httpStatus: 200, isTrailersOnly: true, way: "lane" };
  const limit = maxMessageBytes - messageOf({ key: "k".repeat(60_000) }).length + 60_000;

  it.each<[string, Request, Partial<Seen>]>([
    ["Basic/unary/success", {}, answered],
    ["Server Empty Requests/unary/empty-request", { body: enveloped(new Uint8Array(0)) }, answered],
    ["gRPC Proto Sub-Format/with", { headers: { "content-type": "application/grpc+proto" } }, answered],
    ["gRPC Proto Sub-Format/without", { headers: { "content-type": "application/grpc" } }, answered],
    ["Deadline Propagation/unary/success", { headers: { "grpc-timeout": "5S" } }, answered],
    ["Duplicate Metadata/unary/success", { headers: { "x-twice": ["one", "two"] } }, answered],
    ["Server Message Size/equal-to-limit", { body: enveloped(messageOf({ key: "k".repeat(limit) })) }, answered],
    [
      "Server Message Size/exceeds-limit",
      { body: enveloped(messageOf({ key: "k".repeat(limit + 1) })) },
      { ...refused, code: "8" },
    ],
    ["Unexpected/unary/no-request", { body: new Uint8Array(0) }, { ...refused, code: "12" }],
    ["Unexpected/unary/multiple-requests", { body: Buffer.concat([whole, whole]) }, { ...refused, code: "12" }],
    [
      "Unexpected/unexpected-compressed-message",
      { headers: { "grpc-encoding": "identity" }, body: enveloped(messageOf({ key: "k" }), 1) },
      { ...refused, code: "13" },
    ],
    [
      "Timeouts/unary",
      { headers: { "grpc-timeout": "50m" }, decision: () => new Promise(() => {}) },
      { ...refused, code: "4" },
    ],
    [
      "Errors/unary/invalid-argument, and Errors/unary/unicode-error-message",
      { decision: () => Promise.reject(fieldInvalid("key", "öffnet nichts: 100 % 🔑\n")) },
      { ...refused, code: "3", message: "key öffnet nichts: 100 % 🔑\n" },
    ],
    [
      "Errors/unary/unavailable",
      {
        decision: () => {
          throw new Error("disk");
        },
      },
      { ...refused, code: "14" },
    ],
  ])("%s", async (_name, request, expected) => {
    expect(await ask(request)).toMatchObject(expected);
  });

  it("Client Cancellation/unary/cancel-after-close-send", async () => {
    const decision = Promise.withResolvers<Outcome>();
    const asked = Promise.withResolvers<void>();
    decide = () => {
      asked.resolve();
      return decision.promise;
    };
    const stream = session.request(plainHeaders);
    let isAnswered = false;
    stream.on("response", () => {
      isAnswered = true;
    });
    stream.end(whole);
    await asked.promise;
    stream.close(constants.NGHTTP2_CANCEL);
    await once(stream, "close");
    decision.resolve(unknownKey);
    // The connection lives, and what was decided too late went nowhere.
    expect(await ask()).toMatchObject(answered);
    expect(isAnswered).toBe(false);
  });
});

describe("cases that the lane leaves to the general way", () => {
  it.each<[string, Request, Partial<Seen>]>([
    ["Basic/unimplemented", { headers: { ":path": "/casapay.token.v1.TokenService/Unimplemented" } }, { code: "12" }],
    ["Unexpected/unexpected-uri", { headers: { ":path": "/unknown.Service/UnknownMethod" } }, { code: "12" }],
    ["Unexpected/unexpected-compression", { headers: { "grpc-encoding": "foo" } }, { code: "12" }],
  ])("%s", async (_name, request, expected) => {
    expect(await ask(request)).toMatchObject({ httpStatus: 200, isTrailersOnly: true, way: "general", ...expected });
  });

  // A client makes UNKNOWN of a status without grpc-status, which is what these cases allow.
  it.each<[string, Request, number]>([
    ["Unexpected/unexpected-verb", { headers: { ":method": "DELETE" } }, 405],
    ["Unexpected/unexpected-codec", { headers: { "content-type": "application/grpc+foo" } }, 415],
    ["Unexpected Requests/unexpected-content-type", { headers: { "content-type": "image/jpeg" } }, 415],
  ])("%s", async (_name, request, httpStatus) => {
    expect(await ask(request)).toMatchObject({ httpStatus, code: null, way: "general" });
  });
});
