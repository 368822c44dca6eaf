import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { AuthenticateRequestSchema } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityError } from "../../src/authority/errors.ts";
import type { AuthenticateRequest } from "../../src/authority/judge.ts";
import { unknownFieldPath } from "../../src/doors/rpc/connect/unknown-field-path.ts";
import { fromAuthenticateRequest } from "../../src/doors/rpc/from-message.ts";
import { decodeAuthenticateRequest, type RequestFault } from "../../src/doors/rpc/lanes/decode-authenticate-request.ts";

/** What the general way makes of the same bytes. */
function decodeGenerally(bytes: Uint8Array): AuthenticateRequest | RequestFault {
  let message: ReturnType<typeof decodeMessage>;
  try {
    message = decodeMessage(bytes);
  } catch {
    return { fault: "malformed" };
  }
  const path = unknownFieldPath(AuthenticateRequestSchema, message);
  if (path !== null) {
    return { fault: "unknown_field", number: Number(path) };
  }
  try {
    return fromAuthenticateRequest(message);
  } catch (error) {
    expect(error).toBeInstanceOf(AuthorityError);
    return { fault: "types_invalid" };
  }
}

function decodeMessage(bytes: Uint8Array) {
  return fromBinary(AuthenticateRequestSchema, bytes);
}

/** Decodes from the middle of a buffer whose other bytes would make sense as well. */
function decode(bytes: Uint8Array, around = 0x08): AuthenticateRequest | RequestFault {
  const buffer = Buffer.alloc(bytes.length + 40, around);
  buffer.set(bytes, 7);
  return decodeAuthenticateRequest(buffer, 7, 7 + bytes.length);
}

/** A varint that takes at least `minBytes`. */
function varint(value: number | bigint, minBytes = 1): number[] {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  } while (rest > 0n || bytes.length < minBytes);
  bytes.push((bytes.pop() ?? 0) & 0x7f);
  return bytes;
}

function tag(number: number, wireType: number): number[] {
  return varint(number * 8 + wireType);
}

function group(number: number, content: readonly number[]): number[] {
  return [...tag(number, 3), ...content, ...tag(number, 4)];
}

const anyCharacter = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code));
const bytes = (values: readonly number[]) => Uint8Array.from(values);
const anyNumber = fc.oneof(
  fc.constantFrom(0, 1, 2, 3, 4, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const anyVarint = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(anyNumber, fc.integer({ min: 1, max: 11 })).map(([n, length]) => varint(n, length)),
  },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.integer({ min: 0x80, max: 0xff }), { minLength: 8, maxLength: 12 })
      .chain((head) => fc.nat(0x7f).map((last) => [...head, last])),
  },
);
const anyText = fc.oneof(
  { weight: 3, arbitrary: fc.string({ unit: anyCharacter, maxLength: 20 }).map((text) => [...Buffer.from(text)]) },
  { weight: 3, arbitrary: fc.string({ maxLength: 60 }).map((text) => [...Buffer.from(text)]) },
  {
    weight: 2,
    arbitrary: fc.constantFrom("\ufeffkey", "\ufffd", "é", "\u{1f511}", "").map((text) => [...Buffer.from(text)]),
  },
  { weight: 1, arbitrary: fc.array(fc.nat(255), { maxLength: 8 }) },
);
const anyLengthDelimited = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .oneof(
        anyText,
        fc.array(fc.constantFrom(0, 1, 2, 3, 4), { maxLength: 5 }),
        fc.array(anyVarint, { maxLength: 3 }).map((numbers) => numbers.flat()),
      )
      .map((content) => [...varint(content.length), ...content]),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(anyVarint, fc.array(fc.nat(255), { maxLength: 4 }))
      .map(([length, content]) => [...length, ...content]),
  },
);
const fieldNumber = fc.oneof(
  { weight: 12, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 7, 8, 15, 16, 2047, 2 ** 29 - 1, 2 ** 29) },
);
const unknownField = fc
  .tuple(
    fc.constantFrom(7, 8, 15, 16, 2047, 2 ** 29 - 1),
    fc.oneof(
      anyNumber.map((value) => [0, ...varint(value)]),
      fc.uint8Array({ minLength: 8, maxLength: 8 }).map((value) => [1, ...value]),
      fc.uint8Array({ maxLength: 200 }).map((value) => [2, ...varint(value.length), ...value]),
      fc.uint8Array({ minLength: 4, maxLength: 4 }).map((value) => [5, ...value]),
    ),
  )
  .map(([number, [wireType = 0, ...value]]) => [...tag(number, wireType), ...value]);
const { field } = fc.letrec<{ field: number[] }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 4, depthIdentifier: "field" },
    {
      weight: 6,
      arbitrary: fc
        .tuple(fc.constantFrom(1, 2), anyLengthDelimited)
        .map(([number, value]) => [...tag(number, 2), ...value]),
    },
    {
      weight: 3,
      arbitrary: fc.tuple(fc.constantFrom(3, 5, 6), anyVarint).map(([number, value]) => [...tag(number, 0), ...value]),
    },
    { weight: 2, arbitrary: unknownField },
    { weight: 3, arbitrary: fc.constantFrom(1, 2, 3).map((type) => [...tag(4, 0), type]) },
    { weight: 3, arbitrary: anyLengthDelimited.map((value) => [...tag(4, 2), ...value]) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fieldNumber, fc.nat(7), fc.oneof(anyVarint, anyLengthDelimited, fc.array(fc.nat(255), { maxLength: 9 })))
        .map(([number, wireType, value]) => [...tag(number, wireType), ...value]),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fieldNumber, fc.integer({ min: 2, max: 11 }), fc.nat(5), anyVarint)
        .map(([number, length, wireType, value]) => [...varint(number * 8 + wireType, length), ...value]),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fieldNumber, fc.array(tie("field"), { maxLength: 3 }))
        .map(([number, content]) => group(number, content.flat())),
    },
  ),
}));
const fields = fc.array(field, { maxLength: 5 }).map((list) => bytes(list.flat()));
const mutated = fc
  .tuple(fields, fc.nat(), fc.nat(255), fc.constantFrom("set", "cut", "insert"))
  .map(([message, place, value, how]) => {
    const at = message.length === 0 ? 0 : place % message.length;
    switch (how) {
      case "set":
        return message.map((byte, index) => (index === at ? value : byte));
      case "cut":
        return message.subarray(0, at);
      default:
        return bytes([...message.subarray(0, at), value, ...message.subarray(at)]);
    }
  });

describe("AuthenticateRequest in the lane", () => {
  it("is what protobuf-es and the mapper make of a message", () => {
    const message = fc.record(
      {
        key: fc.string({ unit: anyCharacter, maxLength: 80 }),
        requiredPermissions: fc.array(fc.string({ maxLength: 30 }), { maxLength: 20 }),
        livemode: fc.boolean(),
        allowedTypes: fc.array(
          fc.oneof(
            { weight: 9, arbitrary: fc.constantFrom(TokenType.SECRET, TokenType.PUBLISHABLE, TokenType.RESTRICTED) },
            { weight: 1, arbitrary: fc.constant(TokenType.UNSPECIFIED) },
          ),
          { maxLength: 6 },
        ),
        cacheRules: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
        minRevision: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      },
      { requiredKeys: [] },
    );
    const kinds = new Set<string>();
    fc.assert(
      fc.property(message, (init) => {
        const encoded = toBinary(AuthenticateRequestSchema, create(AuthenticateRequestSchema, init));
        const decoded = decode(encoded);
        expect(decoded).toEqual(decodeGenerally(encoded));
        kinds.add("fault" in decoded ? decoded.fault : "request");
      }),
      { numRuns: 2000 },
    );
    expect(kinds).toEqual(new Set(["request", "types_invalid"]));
  });

  it("is accepted and refused as protobuf-es and the mapper do, whatever the bytes", () => {
    const counts = { request: 0, malformed: 0, unknown_field: 0, types_invalid: 0 };
    fc.assert(
      fc.property(
        fc.oneof(
          { weight: 6, arbitrary: fields },
          { weight: 2, arbitrary: mutated },
          { weight: 1, arbitrary: fc.uint8Array({ maxLength: 24 }) },
        ),
        fc.constantFrom(0x00, 0x08, 0x80, 0xff),
        (message, around) => {
          const decoded = decode(message, around);
          expect(decoded).toEqual(decodeGenerally(message));
          counts["fault" in decoded ? decoded.fault : "request"] += 1;
        },
      ),
      { numRuns: 8000 },
    );
    // Each verdict is tried often enough to mean something.
    expect(Math.min(...Object.values(counts)), JSON.stringify(counts)).toBeGreaterThan(80);
  });

  it("agrees on each trap by name", () => {
    const nested = (depth: number) =>
      Array.from({ length: depth }).reduce<number[]>((content) => group(9, content), []);
    const traps: Record<string, readonly number[]> = {
      nothing: [],
      "a field number of 0": [0x02, 0],
      "wire type 6": [0x0e, 0],
      "wire type 7": [0x0f, 0],
      "a tag of 5 bytes": [...varint(10, 5), 1, 0x61],
      "a tag of 6 bytes": [...varint(10, 6), 1, 0x61],
      "a tag above 32 bits": [0x8a, 0x80, 0x80, 0x80, 0x10, 1, 0x61],
      "a key as a varint": [0x08, 1, 0x61],
      "a key as a group": [0x0b, 1, 0x61],
      "a key as the end of a group": [0x0c, 1, 0x61],
      "a key as 8 bytes": [0x09, 1, 0x61],
      "a key twice": [0x0a, 1, 0x61, 0x0a, 1, 0x62],
      "a key that is no UTF-8, then one that is": [0x0a, 1, 0xff, 0x0a, 1, 0x62],
      "half of a surrogate pair": [0x0a, 3, 0xed, 0xa0, 0x80],
      "an over-long encoding": [0x0a, 2, 0xc0, 0x80],
      "a byte-order mark": [0x0a, 3, 0xef, 0xbb, 0xbf],
      "the replacement character": [0x0a, 3, 0xef, 0xbf, 0xbd],
      "a character cut by the field's end": [0x0a, 2, 0xe2, 0x82, 0x0a, 0],
      "a key longer than the message": [0x0a, 2, 0x61],
      "a length of 10 bytes": [0x0a, ...varint(1, 10), 0x61],
      "a length of 11 bytes": [0x0a, ...varint(1, 11), 0x61],
      "a length above 32 bits": [0x0a, ...varint(2n ** 32n + 1n), 0x61],
      "no length": [0x0a],
      "livemode 2": [0x18, 2],
      "livemode 0 in two bytes": [0x18, 0x80, 0],
      "livemode in the 64th bit": [0x18, ...varint(2n ** 63n)],
      "livemode above the 64th bit": [0x18, ...Array.from({ length: 9 }, () => 0x80), 0x02],
      "livemode in 11 bytes": [0x18, ...varint(1, 11)],
      "livemode cut": [0x18],
      "livemode cut in its second byte": [0x18, 0x80],
      "livemode as a string": [0x1a, 1],
      "livemode twice": [0x18, 1, 0x18, 0],
      "types one by one": [0x20, 3, 0x20, 1, 0x20, 3],
      "types packed": [0x22, 3, 3, 1, 3],
      "types both ways": [0x22, 1, 2, 0x20, 1],
      "no types, packed": [0x22, 0],
      "the unspecified type": [0x20, 0],
      "a type that is none": [0x20, 4],
      "a negative type": [0x20, ...varint(-1)],
      "a type above 32 bits": [0x20, ...varint(2n ** 32n + 1n)],
      "a type as 4 bytes": [0x25, 1],
      "a type as 4 bytes and 4 bytes": [0x25, 1, 0, 0, 0],
      "a type past its pack's end": [0x22, 1, 0x81, 0],
      "a pack without length": [0x22],
      "a pack whose length is cut": [0x22, 0x80],
      "a pack past the message's end": [0x22, 4, 1],
      "a type that is none, and a field that is none": [0x20, 9, 0x28, 0],
      "a field that is none, and no protobuf": [0x28, 0, 0x0a],
      "fields that are none": [0x30, 0, 0x28, 0],
      "a field that is none, of 20 bytes": [0x28, ...varint(1, 20)],
      "a field that is none, cut": [0x28, 0x80],
      "a fixed64": [0x29, 0x0a, 1, 0x61, 0x0a, 1, 0x61, 0, 0],
      "a fixed64 that is cut": [0x29, 1, 2, 3],
      "a fixed32": [0x2d, 1, 2, 3, 4],
      "a string that is none of ours": [0x2a, 1, 0xff],
      "a string that is none of ours, with a length of 11 bytes": [
        0x2a,
        ...Array.from({ length: 10 }, () => 0x80),
        5,
        0,
      ],
      "the end of no group": [0x2c],
      "a group without end": [0x2b, 0x08, 1],
      "a group with another's end": [0x2b, 0x34],
      "groups within groups": nested(3),
      "groups 99 deep": nested(99),
      "groups 100 deep": nested(100),
    };
    for (const [name, message] of Object.entries(traps)) {
      expect(decode(bytes(message)), name).toEqual(decodeGenerally(bytes(message)));
    }
  });

  it("takes the usual request, with what is absent absent", () => {
    const key = "sk_live_000000000000000000000000000000002UYg5A";
    const encoded = toBinary(
      AuthenticateRequestSchema,
      create(AuthenticateRequestSchema, { key, requiredPermissions: ["charges:read"] }),
    );
    expect(decode(encoded)).toEqual({
      key,
      requiredPermissions: ["charges:read"],
      livemode: null,
      allowedTypes: [],
      cacheRules: 0,
      minRevision: 0,
    });
    expect(decode(bytes([]))).toEqual({
      key: "",
      requiredPermissions: [],
      livemode: null,
      allowedTypes: [],
      cacheRules: 0,
      minRevision: 0,
    });
  });

  it("takes a request of the greatest size in linear time", () => {
    const before = process.cpuUsage();
    for (const message of [
      Array.from({ length: 32_768 }, () => [0x12, 0]).flat(),
      [0x22, ...varint(65_000), ...Array.from({ length: 65_000 }, () => 1)],
      Array.from({ length: 65_536 }, () => 0x2b),
      [0x0a, ...varint(65_000), ...Buffer.alloc(65_000, 0xff)],
    ]) {
      expect(decode(bytes(message))).toEqual(decodeGenerally(bytes(message)));
    }
    // Of this process' own time, of which others on the machine take nothing.
    expect(process.cpuUsage(before).user).toBeLessThan(5_000_000);
  });
});
