import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { TimestampSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { CreateRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { ConnectRig, enveloped, errorOf, type Protocol, protocols, type RawRequest, tlsPeer } from "./connect-rig.ts";
import { type Encoding, rawCall, rawError } from "./raw-call.ts";

const createPath = "/casapay.token.v1.TokenService/Create";
const authenticatePath = "/casapay.token.v1.TokenService/Authenticate";
const key = mintKey("secret", true);

let rig: ConnectRig;
beforeAll(async () => {
  rig = await ConnectRig.start();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each(protocols)("over %s", (protocol) => {
  it("words every JSON error itself", async () => {
    const cases: readonly (readonly [string, string])[] = [
      [`{"key": "${key}"`, "InvalidArgument REQUEST_MALFORMED null"],
      [key, "InvalidArgument REQUEST_MALFORMED null"],
      [`"${key}"`, "InvalidArgument REQUEST_MALFORMED null"],
      [`["${key}"]`, "InvalidArgument REQUEST_MALFORMED null"],
      [`{"livemode": "${key}"}`, "InvalidArgument REQUEST_MALFORMED livemode"],
      [`{"name": ["${key}"]}`, "InvalidArgument REQUEST_MALFORMED name"],
      [`{"name": "a", "name": "${key}"}`, "InvalidArgument REQUEST_MALFORMED null"],
      [`{"requestId": "a", "request_id": "${key}"}`, "InvalidArgument REQUEST_MALFORMED request_id"],
      [`{"permissions": "${key}"}`, "InvalidArgument REQUEST_MALFORMED permissions"],
      [`{"permissions": [["${key}"]]}`, "InvalidArgument REQUEST_MALFORMED permissions"],
      [`{"type": "${key}"}`, "InvalidArgument REQUEST_MALFORMED type"],
      [`{"type": {"${key}": 1}}`, "InvalidArgument REQUEST_MALFORMED type"],
      [`{"account": "a", "type": "SECRET"}`, "InvalidArgument REQUEST_MALFORMED type"],
      [`{"expireTime": "${key}"}`, "InvalidArgument REQUEST_MALFORMED expire_time"],
      [`{"expireTime": {"${key}": 1}}`, "InvalidArgument REQUEST_MALFORMED expire_time"],
      [`{"livemode": true, "expire_time": "tomorrow"}`, "InvalidArgument REQUEST_MALFORMED expire_time"],
      [`{"expireTme": "2030-01-01T00:00:00Z"}`, "InvalidArgument UNKNOWN_FIELD expireTme"],
      [`{"${key}": 1}`, "InvalidArgument UNKNOWN_FIELD null"],
      [`{"a b": 1}`, "InvalidArgument UNKNOWN_FIELD null"],
      [`{"x: key \\"${key}\\" is unknown": 1}`, "InvalidArgument UNKNOWN_FIELD null"],
      ['{"requestId": 5}', "InvalidArgument REQUEST_MALFORMED request_id"],
      ["", "InvalidArgument REQUEST_MALFORMED null"],
      ["\xff\xfe", "InvalidArgument REQUEST_MALFORMED null"],
      ["[".repeat(30_000), "InvalidArgument REQUEST_MALFORMED null"],
    ];
    for (const [message, expected] of cases) {
      expect(await outcome(protocol, rawCall(protocol, "json", createPath, message)), message.slice(0, 60)).toBe(
        expected,
      );
    }
  });

  it("names the field of a word or a time in JSON that cannot be read, in every RPC that has some", async () => {
    const service = "/casapay.token.v1.TokenService";
    const cases = [
      ["List", '{"types": ["TOKEN_TYPE_SECRET", "X"]}', "types"],
      ["List", '{"states": ["X"]}', "states"],
      ["List", '{"createdFrom": "2027-13-01T00:00:00Z"}', "created_from"],
      ["RevokeTokens", '{"filter": {"keyHint": 5}}', "filter.key_hint"],
      ["RevokeTokens", '{"filter": 5}', "filter"],
      ["ListChanges", '{"action": "X"}', "action"],
      ["ListChanges", '{"changedBefore": 5}', "changed_before"],
      ["Authenticate", '{"key": "x", "allowedTypes": ["X"]}', "allowed_types"],
    ] as const;
    for (const [rpc, message, field] of cases) {
      const call = rawCall(protocol, "json", `${service}/${rpc}`, message);
      expect(await outcome(protocol, call), message).toBe(`InvalidArgument REQUEST_MALFORMED ${field}`);
    }
  });

  it("words every binary error itself", async () => {
    const cases: readonly (readonly [Uint8Array, string])[] = [
      [Buffer.from([0x0a, 0x7f]), "InvalidArgument REQUEST_MALFORMED null"],
      [Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f]), "InvalidArgument REQUEST_MALFORMED null"],
      [Buffer.from(key), "InvalidArgument REQUEST_MALFORMED null"],
      [Buffer.from([0x00]), "InvalidArgument REQUEST_MALFORMED null"],
      [
        Buffer.concat([Buffer.from([0x0a, key.length]), Buffer.from(key), Buffer.from([0x0f])]),
        "InvalidArgument REQUEST_MALFORMED null",
      ],
    ];
    for (const [message, expected] of cases) {
      expect(await outcome(protocol, rawCall(protocol, "binary", createPath, message))).toBe(expected);
    }
  });

  it.each<Encoding>(["binary", "json"])("refuses a message above 64 KiB, %s", async (encoding) => {
    const message = encoding === "json" ? `{"name":"${"a".repeat(65_536)}"}` : Buffer.alloc(65_537, 0x0a);
    expect(await outcome(protocol, rawCall(protocol, encoding, createPath, message))).toBe(
      "ResourceExhausted REQUEST_TOO_LARGE null",
    );
    const limit = Buffer.concat([Buffer.from([0x12, 0xfc, 0xff, 0x03]), Buffer.alloc(65_532, 0x61)]);
    expect(limit.length).toBe(65_536);
    if (encoding === "binary") {
      expect(await outcome(protocol, rawCall(protocol, encoding, createPath, limit))).toBe(
        "InvalidArgument FIELD_INVALID type",
      );
    }
  });

  it("refuses a compressed message that is above 64 KiB when decompressed", async () => {
    const message = gzipSync(Buffer.alloc(1_000_000, 0x20));
    expect(await outcome(protocol, compressed(protocol, message, "gzip"))).toBe(
      "ResourceExhausted REQUEST_TOO_LARGE null",
    );
  });

  it("reads gzip, and refuses a compression that it does not know", async () => {
    const message = gzipSync(toBinary(CreateRequestSchema, create(CreateRequestSchema, { account: "not an account" })));
    expect(await outcome(protocol, compressed(protocol, message, "gzip"))).toBe("InvalidArgument FIELD_INVALID type");
    expect(await outcome(protocol, compressed(protocol, Buffer.from(key), "gzip"))).toBe(
      "InvalidArgument REQUEST_MALFORMED null",
    );
    const response = await rig.send(compressed(protocol, message, key.toLowerCase()));
    expect(errorOf(rawError(protocol, response))).toMatchObject({
      code: "Unimplemented",
      reason: "REQUEST_NOT_SUPPORTED",
    });
  });

  it("refuses a timeout that makes no sense, and one of another protocol is not its own", async () => {
    const name = protocol === "connect" ? "connect-timeout-ms" : "grpc-timeout";
    for (const value of [key, "-1S", "1.5S", "S", "123456789S", "99999999999", "1e3", ""]) {
      const request = rawCall(protocol, "json", createPath, "{}", { [name]: value });
      expect(await outcome(protocol, request), value).toBe("InvalidArgument REQUEST_MALFORMED null");
    }
    const other = protocol === "connect" ? "grpc-timeout" : "connect-timeout-ms";
    expect(await outcome(protocol, rawCall(protocol, "json", createPath, "{}", { [other]: key }))).toBe(
      "InvalidArgument FIELD_INVALID type",
    );
  });

  it("tells a caller that may not call nothing about its request", async () => {
    const malformed = rawCall(protocol, "json", createPath, key, { "grpc-timeout": key, "connect-timeout-ms": key });
    const peer = tlsPeer(null);
    expect(await outcome(protocol, { ...malformed, peer })).toBe("Unauthenticated CALLER_UNIDENTIFIED null");
  });

  it("refuses fields that it does not know, in messages and within them", async () => {
    const varint = Buffer.from([0x98, 0x06, 0x01]); // field 99
    const time = Buffer.concat([toBinary(TimestampSchema, timestampFromMs(0)), varint]);
    const cases: readonly (readonly [string, Uint8Array, string])[] = [
      [createPath, varint, "99"],
      [createPath, Buffer.concat([Buffer.from([0x32, time.length]), time]), "expire_time.99"],
      [authenticatePath, varint, "99"],
      ["/casapay.token.v1.TokenService/Get", varint, "99"],
      ["/casapay.token.v1.TokenService/Revoke", varint, "99"],
      [
        "/casapay.token.v1.TokenService/List",
        Buffer.concat([Buffer.from([0x5a, time.length]), time]),
        "unused_since.99",
      ],
    ];
    for (const [path, message, field] of cases) {
      expect(await outcome(protocol, rawCall(protocol, "binary", path, message)), path).toBe(
        `InvalidArgument UNKNOWN_FIELD ${field}`,
      );
    }
    for (const path of [createPath, authenticatePath, "/casapay.token.v1.TokenService/List"]) {
      expect(await outcome(protocol, rawCall(protocol, "json", path, '{"futureField": true}')), path).toBe(
        "InvalidArgument UNKNOWN_FIELD futureField",
      );
    }
    const nested = rawCall(
      protocol,
      "json",
      "/casapay.token.v1.TokenService/RevokeTokens",
      '{"filter": {"futureField": 1}}',
    );
    expect(await outcome(protocol, nested)).toBe("InvalidArgument UNKNOWN_FIELD filter.futureField");
  });
});

describe.each(["grpc", "grpc-web"] as const)("over %s", (protocol) => {
  const header = { "content-type": `application/${protocol}+json` };
  it("refuses what is not exactly one message", async () => {
    const one = enveloped(Buffer.from('{"account":"a"}'));
    const cases: readonly (readonly [Uint8Array, string])[] = [
      [Buffer.alloc(0), "Unimplemented REQUEST_NOT_SUPPORTED null"],
      [Buffer.concat([one, one]), "Unimplemented REQUEST_NOT_SUPPORTED null"],
      [one.subarray(0, 7), "InvalidArgument REQUEST_MALFORMED null"],
      [one.subarray(0, 3), "InvalidArgument REQUEST_MALFORMED null"],
      [Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), "ResourceExhausted REQUEST_TOO_LARGE null"],
      [enveloped(Buffer.from(key), 1), "Internal COMPRESSION_UNNAMED null"],
    ];
    for (const [body, expected] of cases) {
      expect(await outcome(protocol, { path: createPath, header, body }), Buffer.from(body).toString("hex")).toBe(
        expected,
      );
    }
  });
});

it("never answers, logs or counts a word of what was sent", () => {
  const seen = [...rig.answered, JSON.stringify(rig.calls), JSON.stringify(rig.logged)].join("\n");
  expect(seen.length).toBeGreaterThan(10_000);
  for (const part of [
    key,
    key.toLowerCase(),
    Buffer.from(key).toString("base64").slice(0, 40),
    encodeURIComponent(key),
  ]) {
    expect(seen.includes(part)).toBe(false);
  }
  expect(rig.logged).toEqual([]);
});

it("tells the hook of a malformed call what was answered", async () => {
  await rig.send(rawCall("grpc", "json", createPath, "{"));
  expect(rig.calls.at(-1)).toMatchObject({
    rpc: "casapay.token.v1.TokenService/Create",
    protocol: "grpc",
    caller: "spiffe://casapay/operator",
    role: "operator",
    code: "INVALID_ARGUMENT",
    reason: "REQUEST_MALFORMED",
  });
});

async function outcome(protocol: Protocol, request: RawRequest): Promise<string> {
  const count = rig.calls.length;
  const error = rawError(protocol, await rig.send(request));
  expect(rig.calls.length, "each call is told of once").toBe(count + 1);
  const { code, reason, field } = errorOf(error);
  return `${code} ${reason} ${field}`;
}

function compressed(protocol: Protocol, message: Uint8Array, encoding: string): RawRequest {
  return {
    path: createPath,
    header:
      protocol === "connect"
        ? { "content-type": "application/proto", "content-encoding": encoding }
        : { "content-type": `application/${protocol}+proto`, "grpc-encoding": encoding },
    body: protocol === "connect" ? message : enveloped(message, 1),
  };
}

it("tells an error of a gRPC call in one header block, as proxies drop trailers that follow no body", async () => {
  const response = await rig.send(rawCall("grpc", "json", createPath, "{"));
  expect(response.header.get("grpc-status")).toBe(String(Code.InvalidArgument));
  expect(response.header.has("content-length")).toBe(false);
  expect([...response.trailer]).toEqual([]);
  expect(response.body).toHaveLength(0);
});
