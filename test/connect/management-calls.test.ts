import { create, type DescMessage, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import {
  CreateRequestSchema,
  CreateResponseSchema,
  GetRequestSchema,
  RevokeRequestSchema,
  TokenService,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { TokenAuthority } from "../../src/authority/token-authority.ts";
import { defaultDeadlines } from "../../src/calls/deadline.ts";
import { createFaultLog } from "../../src/calls/fault-log.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { laneHeaders } from "../../src/calls/grpc/plain-request.ts";
import { maxMessageBytes } from "../../src/calls/limits.ts";
import { createManagementLanes } from "../../src/doors/rpc/lanes/management-lanes.ts";
import type { Lane, LaneAnswer } from "../../src/wire/http2/lane.ts";
import type { Peer } from "../../src/wire/port/peer.ts";
import { errorIn } from "../grpc/lane-rig.ts";
import { ConnectRig, enveloped, errorOf, peerOf, tlsPeer } from "./connect-rig.ts";
import { rawError } from "./raw-call.ts";

const operator = peerOf("operator");
const rpcs = ["Create", "Get", "Revoke"] as const;
type Rpc = (typeof rpcs)[number];

let rig: ConnectRig;
let lanes: Map<string, Lane<Peer>>;
let authority: TokenAuthority;
const laneCalls: FinishedCall[] = [];

beforeAll(async () => {
  rig = await ConnectRig.start({
    maxTokensPerAccount: 1_000_000,
    replaceAuthority(real) {
      authority = real;
      return real;
    },
  });
  lanes = lanesOf(authority);
});
afterAll(() => rig[Symbol.asyncDispose]());

function lanesOf(over: TokenAuthority, unaryMs = 10_000): Map<string, Lane<Peer>> {
  const log = { info() {}, warn() {}, error() {} };
  const roleOf = (identity: string) => rig.roles.get(identity) ?? null;
  return new Map(
    createManagementLanes(over, () => rig.nowMs, {
      roleOf,
      reportFault: createFaultLog(log),
      onCall: (finished) => laneCalls.push(finished),
      deadlines: { ...defaultDeadlines, unaryMs },
    }),
  );
}

function pathOf(rpc: Rpc): string {
  return `/${TokenService.typeName}/${rpc}`;
}

/** Gives the lane a body in the middle of a buffer that is used for something else right after. */
async function askLane(
  rpc: Rpc,
  body: Uint8Array,
  peer = operator,
  { stream = { isClosed: false }, from = lanes } = {},
): Promise<LaneAnswer> {
  const lane = from.get(pathOf(rpc));
  if (lane === undefined) {
    throw new Error(`no lane for ${rpc}`);
  }
  const buffer = Buffer.alloc(body.length + 32, 0x08);
  buffer.set(body, 11);
  const headers = laneHeaders.map((name) => (name === "content-type" ? "application/grpc" : null));
  const answer = lane.answer(buffer, 11, 11 + body.length, headers, peer, stream);
  buffer.fill(0);
  return await answer;
}

function askGeneralWay(rpc: Rpc, body: Uint8Array, peer = operator) {
  return rig.send({ path: pathOf(rpc), header: { "content-type": "application/grpc" }, body, peer });
}

function bodyOf<Desc extends DescMessage>(schema: Desc, init: MessageInitShape<Desc>): Uint8Array {
  return enveloped(toBinary(schema, create(schema, init)));
}

/** Sends one body both ways, and returns the reason that both give; "ok" when both answer. */
async function compareErrors(rpc: Rpc, body: Uint8Array, peer = operator): Promise<string> {
  const general = await askGeneralWay(rpc, body, peer);
  const answer = await askLane(rpc, body, peer);
  const expected = rawError("grpc", general);
  const error = errorIn(answer);
  expect(error === null ? null : errorOf(error)).toEqual(expected === null ? null : errorOf(expected));
  const ignored = { durationMs: 0, ...(error === null ? { tokenId: "", revision: 0 } : {}) };
  expect({ ...laneCalls.at(-1), ...ignored }).toEqual({ ...rig.calls.at(-1), ...ignored });
  return error === null ? "ok" : (errorOf(error).reason ?? "");
}

async function issue(name = "n"): Promise<string> {
  const { token } = await rig
    .client(TokenService)
    .create({ account: "acct_1", name, type: TokenType.SECRET, livemode: true });
  return token?.id ?? "";
}

describe("management calls in lanes, beside the general way", () => {
  it("Create answers the same message, but for what is new each time", async () => {
    const body = bodyOf(CreateRequestSchema, {
      account: "acct_1",
      name: "Zoë's till",
      type: TokenType.RESTRICTED,
      livemode: true,
      permissions: ["charges:read", "refunds:write"],
      expireTime: { seconds: BigInt(rig.nowMs / 1000 + 3600), nanos: 5_000_000 },
    });
    const [lane, general] = [(await askLane("Create", body)).body, (await askGeneralWay("Create", body)).body].map(
      (bytes) => fromBinary(CreateResponseSchema, (bytes ?? new Uint8Array()).subarray(5)),
    );
    const asKnown = (message: typeof lane) => ({
      ...message,
      key: message?.key.slice(0, 8),
      revision: 0n,
      token: {
        ...message?.token,
        id: "",
        keyHint: "",
        keys: message?.token?.keys.map((one) => ({ ...one, hint: "" })),
      },
    });
    expect(asKnown(lane)).toEqual(asKnown(general));
    expect(lane?.token?.name).toBe("Zoë's till");
    expect(general?.revision).toBe((lane?.revision ?? 0n) + 1n);
  });

  it("a request that is sent again is answered the same key by either", async () => {
    const body = bodyOf(CreateRequestSchema, {
      account: "acct_1",
      name: "n",
      type: TokenType.SECRET,
      requestId: "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52",
    });
    const first = await askLane("Create", body);
    expect(Buffer.from((await askGeneralWay("Create", body)).body)).toEqual(Buffer.from(first.body ?? []));
    expect(Buffer.from((await askLane("Create", body)).body ?? [])).toEqual(Buffer.from(first.body ?? []));
    expect(laneCalls.at(-1)).toMatchObject({ code: "OK", revision: expect.any(Number) });
  });

  it("Get and Revoke answer the same bytes", async () => {
    const id = await issue();
    const get = bodyOf(GetRequestSchema, { id });
    const revoke = bodyOf(RevokeRequestSchema, { id, reason: "leaked" });
    for (const [rpc, body] of [
      ["Get", get],
      ["Revoke", revoke],
      ["Revoke", revoke],
      ["Get", get],
    ] as const) {
      const answer = await askLane(rpc, body);
      expect(Buffer.from(answer.body ?? [])).toEqual(Buffer.from((await askGeneralWay(rpc, body)).body));
      expect(answer.body?.length).toBeGreaterThan(50);
    }
  });

  it("the change that a call made or found is in its log line", async () => {
    const id = await issue();
    await askLane("Revoke", bodyOf(RevokeRequestSchema, { id }));
    const { revision } = rig.changes.at(-1) ?? {};
    expect(laneCalls.at(-1)).toMatchObject({ rpc: pathOf("Revoke").slice(1), tokenId: id, code: "OK", revision });
    await askLane("Revoke", bodyOf(RevokeRequestSchema, { id }));
    expect(laneCalls.at(-1)).toMatchObject({ tokenId: id, code: "OK", revision });
  });

  it("do nothing for a caller who lost its role while it waited for its turn", async () => {
    const account = "acct_turns";
    const body = bodyOf(CreateRequestSchema, { account, name: "n", type: TokenType.SECRET });
    const caller = tlsPeer("spiffe://casapay/leaving");
    rig.roles.set("spiffe://casapay/leaving", "operator");
    // More than begin in one turn.
    const asked = Array.from({ length: 8 }, () => askLane("Create", body, caller));
    rig.roles.delete("spiffe://casapay/leaving");
    const answers = await Promise.all(asked);
    const refused = answers.map(errorIn).filter((error) => error !== null);
    expect(refused.length).toBeGreaterThan(0);
    expect(new Set(refused.map((error) => errorOf(error).reason))).toEqual(new Set(["CALLER_UNKNOWN"]));
    const { tokens } = await rig.client(TokenService).list({ account });
    expect(tokens).toHaveLength(answers.length - refused.length);
  });

  it("refuse the same for the same reasons", async () => {
    const account = "acct_1";
    const name = "n";
    const type = TokenType.SECRET;
    const unknownField = enveloped(Buffer.from([0xf8, 0x01, 0x01]));
    for (const [rpc, body, peer, reason] of [
      ["Create", bodyOf(CreateRequestSchema, { name, type }), operator, "FIELD_INVALID"],
      ["Create", enveloped(Buffer.from([0x0a, 1, 0x61, 0x12, 1, 0x61, 0x18, 9])), operator, "FIELD_INVALID"],
      ["Create", bodyOf(CreateRequestSchema, { account, name, type }), peerOf("service"), "TYPE_NOT_GRANTED"],
      ["Create", bodyOf(CreateRequestSchema, { account, name, type }), peerOf("gateway"), "ROLE_NOT_ALLOWED"],
      ["Get", bodyOf(GetRequestSchema, { id: "tok_0000000000000000000000" }), operator, "TOKEN_NOT_FOUND"],
      ["Get", bodyOf(GetRequestSchema, { id: "no id" }), operator, "FIELD_INVALID"],
      ["Revoke", bodyOf(RevokeRequestSchema, { id: "tok_0000000000000000000000" }), operator, "TOKEN_NOT_FOUND"],
      ["Revoke", unknownField, operator, "UNKNOWN_FIELD"],
      ["Create", unknownField, operator, "UNKNOWN_FIELD"],
      ["Create", Buffer.from([0xff]), tlsPeer(null), "CALLER_UNIDENTIFIED"],
      ["Create", Buffer.from([0xff]), tlsPeer("spiffe://casapay/nobody"), "CALLER_UNKNOWN"],
      ["Get", Buffer.concat([unknownField, unknownField]), operator, "REQUEST_NOT_SUPPORTED"],
      ["Get", Buffer.alloc(0), operator, "REQUEST_NOT_SUPPORTED"],
      ["Get", enveloped(Buffer.alloc(0), 1), operator, "COMPRESSION_UNNAMED"],
      ["Get", enveloped(Buffer.alloc(maxMessageBytes + 1)), operator, "REQUEST_TOO_LARGE"],
    ] as const) {
      expect(await compareErrors(rpc, body, peer), `${rpc} ${reason}`).toBe(reason);
    }
  });

  it("answer any bytes in one message alike", async () => {
    const id = await issue();
    const valid = fc.constantFrom<Uint8Array>(
      toBinary(
        CreateRequestSchema,
        create(CreateRequestSchema, { account: "a", name: "é", type: 1, permissions: ["x"] }),
      ),
      toBinary(
        CreateRequestSchema,
        create(CreateRequestSchema, { account: "a", expireTime: { seconds: 1n, nanos: 2 } }),
      ),
      toBinary(GetRequestSchema, create(GetRequestSchema, { id })),
    );
    const mutated = fc
      .tuple(valid, fc.nat(), fc.integer({ min: 0, max: 255 }))
      .map(([bytes, at, value]) => bytes.with(at % bytes.length, value));
    const message = fc.oneof(fc.uint8Array({ maxLength: 16 }), mutated);
    const reasons = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...rpcs), message, async (rpc, bytes) => {
        reasons.add(await compareErrors(rpc, enveloped(bytes)));
      }),
      { numRuns: 400 },
    );
    expect([...reasons]).toEqual(expect.arrayContaining(["REQUEST_MALFORMED", "UNKNOWN_FIELD", "FIELD_INVALID"]));
  });
});

describe("a management call whose caller does not wait", () => {
  it("tells the log what was done all the same", async () => {
    const id = await issue();
    const stream = { isClosed: false };
    // Its caller goes once it has begun, which is in a later turn where others have begun in this one.
    const leaving = lanesOf({
      ...authority,
      revoke: (...all) => {
        stream.isClosed = true;
        return authority.revoke(...all);
      },
    });
    await askLane("Revoke", bodyOf(RevokeRequestSchema, { id }), operator, { stream, from: leaving });
    expect(laneCalls.at(-1)).toMatchObject({ code: "CANCELLED", tokenId: id, revision: expect.any(Number) });
  });

  it("is not begun when its caller has gone before its turn", async () => {
    const id = await issue();
    let begun = 0;
    const counted = lanesOf({
      ...authority,
      get: (...all) => {
        begun += 1;
        return authority.get(...all);
      },
    });
    const body = bodyOf(GetRequestSchema, { id });
    const streams = Array.from({ length: 20 }, () => ({ isClosed: false }));
    const answering = streams.map((stream) => askLane("Get", body, operator, { stream, from: counted }));
    for (const stream of streams.slice(0, -1)) {
      stream.isClosed = true;
    }
    const last = (await Promise.all(answering)).at(-1);
    expect(last === undefined ? null : errorIn(last)).toBe(null);
    // Those that began at once, and the one that waited.
    expect(begun).toBeLessThan(5);
    expect(laneCalls.slice(-20).filter(({ code }) => code === "CANCELLED")).toHaveLength(19);
  });

  it("ends at its deadline, with words that say that the change may have happened", async () => {
    const never = lanesOf({ ...authority, revoke: () => new Promise(() => {}) }, 5);
    const answer = await askLane("Revoke", bodyOf(RevokeRequestSchema, { id: "any" }), operator, { from: never });
    const error = errorIn(answer);
    expect(error === null ? null : errorOf(error)).toMatchObject({
      code: "DeadlineExceeded",
      message: "the deadline has passed: a change may have happened all the same",
    });
  });
});
