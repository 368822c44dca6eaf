import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { AuthenticateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityError, fieldInvalid, tokenNotFound, undecided } from "../../src/authority/errors.ts";
import type { Outcome } from "../../src/authority/judge.ts";
import { mintKey } from "../../src/authority/key.ts";
import type { TokenAuthority } from "../../src/authority/token-authority.ts";
import { laneHeaders } from "../../src/calls/grpc/plain-request.ts";
import { tokenRpcs } from "../../src/calls/rpcs.ts";
import type { LaneAnswer } from "../../src/wire/http2/lane.ts";
import type { Peer } from "../../src/wire/port/peer.ts";
import { ConnectRig, enveloped, errorOf, peerOf, tlsPeer } from "../connect/connect-rig.ts";
import { rawError } from "../connect/raw-call.ts";
import { createLaneRig, errorIn, fieldsIn, type LaneRig } from "./lane-rig.ts";

const unknownKey: Outcome = { kind: "refusal", reason: "KEY_UNKNOWN", token: null, missingPermissions: [] };
const gateway = peerOf("gateway");
const plain = headers({});

function headers(fields: Partial<Record<(typeof laneHeaders)[number], string>>): (string | null)[] {
  const all = { "content-type": "application/grpc", ...fields };
  return laneHeaders.map((name) => all[name] ?? null);
}

function requestBytes(init: MessageInitShape<typeof AuthenticateRequestSchema>): Uint8Array {
  return toBinary(AuthenticateRequestSchema, create(AuthenticateRequestSchema, init));
}

/** Gives the lane a body in the middle of a buffer that is used for something else right after. */
function ask(
  rig: LaneRig,
  body: Uint8Array,
  fields = plain,
  peer: Peer = gateway,
  stream = { isClosed: false },
): LaneAnswer | Promise<LaneAnswer> {
  const buffer = Buffer.alloc(body.length + 32, 0x08);
  buffer.set(body, 11);
  const answer = rig.lane.answer(buffer, 11, 11 + body.length, fields, peer, stream);
  buffer.fill(0);
  return answer;
}

function partsOf(error: ConnectError | null) {
  return error === null ? null : errorOf(error);
}

describe("which requests take the lane", () => {
  const { lane } = createLaneRig(() => unknownKey);
  const accepts = (fields: Parameters<typeof headers>[0], authority = "any.test", peer = gateway) =>
    lane.accepts(headers(fields), authority, peer);

  it("takes plain gRPC", () => {
    for (const fields of [
      {},
      { "content-type": "application/grpc+proto" },
      { "content-type": "application/grpc;charset=utf-8" },
      { "content-type": "application/grpc+proto ; charset=utf-8" },
      { "grpc-encoding": "identity" },
      { "grpc-timeout": "1S" },
      { "grpc-timeout": "99999999n" },
    ]) {
      expect(accepts(fields), JSON.stringify(fields)).toBe(true);
    }
  });

  it("leaves the unusual to the general way", () => {
    for (const fields of [
      { "content-type": "application/grpc+json" },
      { "content-type": "application/grpc-web" },
      { "content-type": "application/grpc;charset=latin1" },
      { "content-type": "application/proto" },
      { "content-type": "Application/gRPC" },
      { "content-type": "" },
      { "content-type": "application/grpc, application/grpc" },
      { "grpc-encoding": "gzip" },
      { "grpc-encoding": "" },
      { "grpc-timeout": "1s" },
      { "grpc-timeout": "0S" },
      { "grpc-timeout": "00000000n" },
      { "grpc-timeout": "" },
      { "grpc-timeout": "1S, 1S" },
    ]) {
      expect(accepts(fields), JSON.stringify(fields)).toBe(false);
    }
    expect(lane.accepts([null, null, null], "any.test", gateway)).toBe(false);
    expect(lane.accepts([], "any.test", gateway)).toBe(false);
  });

  it("takes plaintext over TCP only where the host is surely this machine", () => {
    const loopback: Peer = { transport: "loopback", identity: "local", fault: null };
    expect(accepts({}, "127.0.0.1:8443", loopback)).toBe(true);
    expect(accepts({}, "localhost", loopback)).toBe(true);
    expect(accepts({}, "evil.test", loopback)).toBe(false);
    expect(accepts({}, "", loopback)).toBe(false);
    expect(accepts({}, "", { transport: "unix", identity: "local", fault: null })).toBe(true);
  });
});

describe("beside the general way", () => {
  let rig: ConnectRig;
  let authority: TokenAuthority;
  let lane: LaneRig;
  const keys: string[] = [];

  beforeAll(async () => {
    rig = await ConnectRig.start({
      replaceAuthority(real) {
        authority = real;
        return real;
      },
    });
    const tokens = rig.client(TokenService, peerOf("operator"));
    const account = "acct_1";
    const create = async (init: Parameters<typeof tokens.create>[0]) => {
      const { key, token } = await tokens.create({ account, name: "n", ...init });
      keys.push(key);
      return token?.id ?? "";
    };
    await create({ type: 1, livemode: true });
    await create({ type: 3, permissions: ["charges:read", "refunds:write"] });
    await create({ type: 2, livemode: true });
    await create({ type: 1, expireTime: { seconds: BigInt(rig.nowMs / 1000 + 60), nanos: 0 } });
    await create({ type: 1, expireTime: { seconds: BigInt(rig.nowMs / 1000 + 3600), nanos: 5_000_000 } });
    await tokens.revoke({ id: await create({ type: 1 }), reason: "leaked" });
    rig.nowMs += 60_000;
    keys.push(mintKey("secret", true), "nothing", "");
  });
  afterAll(() => rig[Symbol.asyncDispose]());
  beforeEach(() => {
    rig.calls.length = 0;
    lane = createLaneRig(
      (request) => authority.authenticate(request),
      { roleOf: (identity) => rig.roles.get(identity) ?? null },
      (request) => authority.authenticateForCache(request),
    );
  });

  /** Sends one body both ways; the answers must say the same, and logs and metrics must hear the same. */
  async function compare(body: Uint8Array, peer: Peer = gateway): Promise<string> {
    const general = await rig.send({
      path: `/${tokenRpcs.authenticate}`,
      header: { "content-type": "application/grpc" },
      body,
      peer,
    });
    const answer = await ask(lane, body, plain, peer);
    const error = errorIn(answer);
    expect(partsOf(error)).toEqual(partsOf(rawError("grpc", general)));
    expect(Buffer.from(answer.body ?? []).toString("hex")).toBe(Buffer.from(general.body).toString("hex"));
    const { durationMs, ...call } = lane.calls.at(-1) ?? { durationMs: -1 };
    expect(durationMs).toBeGreaterThanOrEqual(0);
    expect({ ...call, durationMs: 0 }).toEqual({ ...rig.calls.at(-1), durationMs: 0 });
    expect(lane.calls).toHaveLength(rig.calls.length);
    return lane.calls.at(-1)?.refusal ?? (error === null ? "ok" : (errorOf(error).reason ?? ""));
  }

  it("decides each kind of key alike", async () => {
    const outcomes = new Set<string>();
    const inits: MessageInitShape<typeof AuthenticateRequestSchema>[] = [
      {},
      { livemode: true },
      { allowedTypes: [TokenType.SECRET, TokenType.PUBLISHABLE], requiredPermissions: ["charges:read"] },
      { requiredPermissions: ["balance:read", "charges:read"] },
    ];
    for (const key of keys) {
      for (const init of inits) {
        outcomes.add(await compare(enveloped(requestBytes({ key, ...init }))));
      }
    }
    expect([...outcomes].sort()).toEqual([
      "INSUFFICIENT_PERMISSIONS",
      "KEY_MALFORMED",
      "KEY_UNKNOWN",
      "LIVEMODE_MISMATCH",
      "TOKEN_EXPIRED",
      "TOKEN_REVOKED",
      "TYPE_NOT_ALLOWED",
      "ok",
    ]);
  });

  it("answers who keeps answers alike, with the revision and for how long", async () => {
    const answers: string[] = [];
    for (const key of keys) {
      for (const init of [{ cacheRules: 1 }, { minRevision: 2n }, { cacheRules: 2, minRevision: 1n, livemode: true }]) {
        answers.push(await compare(enveloped(requestBytes({ key, ...init }))));
      }
    }
    expect(new Set(answers)).toContain("ok");
    for (const init of [{ cacheRules: -1 }, { minRevision: -1n }, { minRevision: 2n ** 60n }]) {
      expect(await compare(enveloped(requestBytes({ key: keys[0] ?? "", ...init })))).toBe("FIELD_INVALID");
    }
  });

  it("refuses each kind of bad request alike", async () => {
    const key = keys[0] ?? "";
    const good = requestBytes({ key });
    const tooLong = Buffer.alloc(5 + 65_537);
    tooLong.writeUInt32BE(65_537, 1);
    for (const [name, body, expected] of [
      ["no message", [], "REQUEST_NOT_SUPPORTED"],
      ["half of a prefix", [0, 0, 0], "REQUEST_MALFORMED"],
      ["an empty message", enveloped(Buffer.of()), "KEY_MALFORMED"],
      ["less than was promised", enveloped(good).subarray(0, -1), "REQUEST_MALFORMED"],
      ["less than was promised, but whole fields", Buffer.of(0, 0, 0, 0, 4, 0x18, 1), "REQUEST_MALFORMED"],
      ["one byte more", Buffer.concat([enveloped(good), Buffer.of(0)]), "REQUEST_MALFORMED"],
      ["two messages", Buffer.concat([enveloped(good), enveloped(good)]), "REQUEST_NOT_SUPPORTED"],
      ["a compressed message", enveloped(good, 1), "COMPRESSION_UNNAMED"],
      ["a promise of too much", tooLong.subarray(0, 9), "REQUEST_TOO_LARGE"],
      ["too much", tooLong, "REQUEST_TOO_LARGE"],
      ["no protobuf", enveloped(Buffer.from([0xff])), "REQUEST_MALFORMED"],
      ["no UTF-8", enveloped(Buffer.from([0x0a, 1, 0xff])), "REQUEST_MALFORMED"],
      ["an unknown field", enveloped(Buffer.from([0x48, 1])), "UNKNOWN_FIELD"],
      ["a type that is none", enveloped(Buffer.from([0x20, 7])), "FIELD_INVALID"],
      [
        "the unspecified type",
        enveloped(requestBytes({ key, allowedTypes: [TokenType.UNSPECIFIED] })),
        "FIELD_INVALID",
      ],
      ["a permission that is none", enveloped(requestBytes({ key, requiredPermissions: ["x"] })), "FIELD_INVALID"],
      [
        "too many permissions",
        enveloped(requestBytes({ key, requiredPermissions: Array(17).fill("a:read") })),
        "FIELD_INVALID",
      ],
    ] as const) {
      expect(await compare(Buffer.from(body)), name).toBe(expected);
    }
  });

  it("is stricter where Connect does not look: a prefix without message, and other flags than compressed", async () => {
    for (const body of [
      Buffer.of(0, 0, 0, 0, 3),
      Buffer.concat([enveloped(requestBytes({})), Buffer.of(0, 0, 0, 0, 3)]),
      enveloped(requestBytes({}), 2),
    ]) {
      expect(partsOf(errorIn(await ask(lane, body)))).toMatchObject({ reason: "REQUEST_MALFORMED" });
    }
  });

  it("answers any bytes in one message alike", async () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 16 }),
      fc
        .array(fc.constantFrom(0x0a, 0x12, 0x18, 0x22, 0x20, 0, 1, 2, 3, 0x41, 0x80, 0xff), { maxLength: 12 })
        .map((bytes) => Uint8Array.from(bytes)),
      fc
        .record({
          key: fc.constantFrom(...keys),
          requiredPermissions: fc.array(fc.constantFrom("charges:read", "a:write", "x", "é")),
          allowedTypes: fc.array(fc.constantFrom(...Object.values(TokenType))),
        })
        .map(requestBytes),
    );
    await fc.assert(
      fc.asyncProperty(message, async (bytes) => {
        await compare(enveloped(bytes));
      }),
      { numRuns: 300 },
    );
  });

  it("lets the same callers in, and tells the others the same, before their body is looked at", async () => {
    const body = Buffer.from([0xff]);
    for (const [peer, expected] of [
      [peerOf("gateway"), "REQUEST_MALFORMED"],
      [peerOf("operator"), "REQUEST_MALFORMED"],
      [peerOf("service"), "ROLE_NOT_ALLOWED"],
      [peerOf("dashboard"), "ROLE_NOT_ALLOWED"],
      [tlsPeer("spiffe://casapay/nobody"), "CALLER_UNKNOWN"],
      [tlsPeer(null), "CALLER_UNIDENTIFIED"],
    ] as const) {
      expect(await compare(body, peer)).toBe(expected);
    }
    rig.roles.delete("spiffe://casapay/gateway");
    expect(await compare(body, peerOf("gateway"))).toBe("CALLER_UNKNOWN");
    rig.roles.set("spiffe://casapay/gateway", "gateway");
    expect(await compare(body, peerOf("gateway"))).toBe("REQUEST_MALFORMED");
  });
});

describe("an answer of the lane", () => {
  it("is headers, the message and trailers, all of it prepared", async () => {
    const rig = createLaneRig(() => unknownKey);
    const answer = await ask(rig, enveloped(requestBytes({ key: "k" })));
    const again = await ask(rig, enveloped(requestBytes({ key: "other" })));
    expect(fieldsIn(answer.head)).toEqual({ ":status": "200", "content-type": "application/grpc" });
    expect(answer.trailer && fieldsIn(answer.trailer)).toEqual({ "grpc-status": "0" });
    expect([again.head === answer.head, again.body === answer.body, again.trailer === answer.trailer]).toEqual([
      true,
      true,
      true,
    ]);
  });

  it("is there at once where the decision is", () => {
    const timers = vi.spyOn(globalThis, "setTimeout");
    expect(
      ask(
        createLaneRig(() => unknownKey),
        enveloped(requestBytes({})),
      ),
    ).not.toBeInstanceOf(Promise);
    expect(timers).not.toHaveBeenCalled();
  });

  it("for too long a body tells the limit", () => {
    const { lane, calls } = createLaneRig(() => unknownKey);
    expect(lane.maxBodyBytes).toBe(5 + 65_536);
    expect(partsOf(errorIn(lane.tooLarge(gateway)))).toMatchObject({
      code: "ResourceExhausted",
      reason: "REQUEST_TOO_LARGE",
    });
    expect(calls.at(-1)).toMatchObject({ code: "RESOURCE_EXHAUSTED", reason: "REQUEST_TOO_LARGE" });
  });

  it("for too long a body tells who may not call nothing but that", () => {
    const { lane, calls } = createLaneRig(() => unknownKey, { roleOf: () => "service" });
    expect(partsOf(errorIn(lane.tooLarge(gateway)))).toMatchObject({ reason: "ROLE_NOT_ALLOWED" });
    expect(partsOf(errorIn(lane.tooLarge(tlsPeer(null))))).toMatchObject({ reason: "CALLER_UNIDENTIFIED" });
    expect(calls).toHaveLength(2);
  });
});

describe("when nothing can be decided", () => {
  const body = enveloped(requestBytes({ key: "k" }));
  const failures = [
    ["an error of the disk", new Error("disk I/O error"), "Unavailable UNDECIDED"],
    ["something that is no error", "no", "Unavailable UNDECIDED"],
    ["an outage in the domain's words", undecided(new Error("disk")), "Unavailable UNDECIDED"],
    ["a refusal that is not Authenticate's", tokenNotFound(), "Unavailable UNDECIDED"],
    ["a bad request", fieldInvalid("required_permissions", "must be at most 16"), "InvalidArgument FIELD_INVALID"],
  ] as const;

  it.each(failures)("tells %s, thrown or late", async (_, failure, expected) => {
    const rigs = [
      createLaneRig(() => {
        throw failure;
      }),
      createLaneRig(() => Promise.reject(failure)),
    ];
    for (const rig of rigs) {
      const { code, reason } = errorOf(errorIn(await ask(rig, body)));
      expect(`${code} ${reason}`).toBe(expected);
      expect(rig.calls).toMatchObject([{ reason, refusal: null, tokenId: null }]);
      const isOutage = reason === "UNDECIDED";
      expect(rig.reported.map((error) => error instanceof AuthorityError && error.reason)).toEqual(
        isOutage ? ["UNDECIDED"] : [],
      );
    }
  });
});

describe("an answer that comes later", () => {
  const body = enveloped(requestBytes({ key: "k" }));
  afterEach(() => {
    vi.useRealTimers();
  });

  it("is what was decided, and leaves no timer", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const rig = createLaneRig(() => Promise.resolve(unknownKey));
    const answer = ask(rig, body);
    expect(vi.getTimerCount()).toBe(1);
    expect(errorIn(await answer)).toBeNull();
    expect(vi.getTimerCount()).toBe(0);
    expect(rig.calls).toMatchObject([{ code: "OK", refusal: "KEY_UNKNOWN" }]);
  });

  it.each([
    ["the default", undefined, 1000],
    ["the caller's, when shorter", "10m", 10],
    ["the caller's, when longer", "30S", 30_000],
    ["the greatest", "1H", 60_000],
  ] as const)("is given up at a deadline: %s", async (_, timeout, ms) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const rig = createLaneRig(() => new Promise<never>(() => {}));
    const answer = ask(rig, body, timeout === undefined ? plain : headers({ "grpc-timeout": timeout }));
    await vi.advanceTimersByTimeAsync(ms - 1);
    expect(rig.calls).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(rig.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED", reason: "DEADLINE_EXCEEDED" }]);
    expect(partsOf(errorIn(await answer))).toMatchObject({ code: "DeadlineExceeded", reason: "DEADLINE_EXCEEDED" });
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each([
    ["a decision", () => Promise.resolve(unknownKey)],
    ["a failure", () => Promise.reject(new Error("disk I/O error"))],
  ])("counts as canceled when the client has gone before %s", async (_, decide) => {
    const rig = createLaneRig(decide);
    const stream = { isClosed: false };
    const answer = ask(rig, body, plain, gateway, stream);
    stream.isClosed = true;
    await answer;
    expect(rig.calls).toMatchObject([{ code: "CANCELLED", reason: "CALL_CANCELED", refusal: null }]);
  });

  it("is told once, and a failure after the deadline goes to the log alone", async () => {
    const { promise, reject } = Promise.withResolvers<never>();
    const rig = createLaneRig(() => promise, { deadlines: { authenticateMs: 5, unaryMs: 5, greatestUnaryMs: 5 } });
    await ask(rig, body);
    reject(new Error("disk I/O error"));
    await new Promise(setImmediate);
    expect(rig.calls).toHaveLength(1);
    expect(rig.reported).toMatchObject([{ reason: "UNDECIDED" }]);
  });
});
