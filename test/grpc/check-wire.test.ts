import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HeaderValueOption_HeaderAppendAction as Append } from "#gen/envoy/config/core/v3/base_pb.ts";
import { CheckRequestSchema, CheckResponseSchema } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import {
  type DecodedCheckRequest,
  decodeCheckRequest,
  type KnownWords,
} from "../../src/doors/gateway/decode-check-request.ts";
import { encodeAccepted, encodeDenied } from "../../src/doors/gateway/encode-check-response.ts";
import { prefixBytes } from "../../src/wire/protobuf/length-prefixed.ts";

/** What protobuf-es reads in the same bytes. */
function decodeGenerally(bytes: Uint8Array): DecodedCheckRequest {
  const { attributes } = fromBinary(CheckRequestSchema, bytes);
  const http = attributes?.request?.http;
  const raw = (http?.headerMap?.headers ?? []).map(({ key, value, rawValue }) => ({
    key,
    value: value === "" ? Buffer.from(rawValue).toString() : value,
  }));
  const all = [...Object.entries(http?.headers ?? {}).map(([key, value]) => ({ key, value })), ...raw];
  const headerOf = (name: string) => {
    const values = all.filter(({ key }) => key === name).map(({ value }) => value);
    return values.length === 0 ? null : values.join(",");
  };
  return {
    words: new Map(Object.entries(attributes?.contextExtensions ?? {})),
    authorization: headerOf("authorization"),
    apiKey: headerOf("x-api-key"),
    requestId: headerOf("x-request-id"),
  };
}

/** The words of all messages that were decoded here. */
const known: KnownWords = [];

/**
 * Decodes from the middle of a buffer whose other bytes would make sense as well, and again, when its words are known.
 */
function decode(bytes: Uint8Array): DecodedCheckRequest | null {
  const buffer = Buffer.alloc(bytes.length + 40, 0x0a);
  buffer.set(bytes, 7);
  const found = decodeCheckRequest(buffer, 7, 7 + bytes.length, []);
  for (let again = 0; again < 2; again += 1) {
    expect(decodeCheckRequest(buffer, 7, 7 + bytes.length, known)).toEqual(found);
  }
  return found;
}

const text = fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: "binary", maxLength: 8 }));
const name = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom("authorization", "x-api-key", "x-request-id") },
  { weight: 1, arbitrary: fc.constantFrom("Authorization", "authorizatiom", "x-api-kex", ":path", "", "x-request-ix") },
  { weight: 1, arbitrary: text.filter((one) => one !== "__proto__") },
);
const pairs = fc.dictionary(name, text, { maxKeys: 6 });
const anyRequest: fc.Arbitrary<MessageInitShape<typeof CheckRequestSchema>> = fc.record(
  {
    attributes: fc.record(
      {
        contextExtensions: pairs,
        source: fc.record({ service: text, labels: pairs, certificate: text }, { requiredKeys: [] }),
        destination: fc.record({ principal: text }, { requiredKeys: [] }),
        tlsSession: fc.record({ sni: text }),
        request: fc.record(
          {
            time: fc.constant({ seconds: 1_700_000_000n, nanos: 5 }),
            http: fc.record(
              {
                id: text,
                method: text,
                headers: pairs,
                headerMap: fc.record({
                  headers: fc.array(
                    fc.oneof(
                      fc.record({ key: name, value: text }),
                      fc.record({ key: name, rawValue: text.map((one) => Buffer.from(one)) }),
                    ),
                    { maxLength: 4 },
                  ),
                }),
                path: text,
                size: fc.constantFrom(0n, -1n, 100n),
                rawBody: fc.uint8Array({ maxLength: 300 }),
              },
              { requiredKeys: [] },
            ),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);
const bytesOf = (init: MessageInitShape<typeof CheckRequestSchema>) =>
  toBinary(CheckRequestSchema, create(CheckRequestSchema, init));

describe("CheckRequest in the lane", () => {
  it("is what protobuf-es reads of any message", () => {
    fc.assert(
      fc.property(anyRequest, (init) => {
        const bytes = bytesOf(init);
        expect(decode(bytes)).toEqual(decodeGenerally(bytes));
      }),
      { numRuns: 1500 },
    );
  });

  it("has fields that this version does not know, anywhere", () => {
    const unknown = Buffer.from("fa3f03616263d03e01", "hex");
    const nested = (tag: number, ...parts: Uint8Array[]) => {
      const content = Buffer.concat([...parts, unknown]);
      return Buffer.concat([Buffer.of(tag, content.length), content]);
    };
    const pair = nested(0x52, Buffer.from("\n\npermission\x12\x04none"));
    const header = nested(0x1a, Buffer.from("\n\x09x-api-key\x12\x01k"));
    const bytes = Buffer.concat([unknown, nested(0x0a, pair, nested(0x22, nested(0x12, header)))]);
    expect(decode(bytes)).toEqual({
      words: new Map([["permission", "none"]]),
      authorization: null,
      apiKey: "k",
      requestId: null,
    });
    expect(decode(bytes)).toEqual(decodeGenerally(bytes));
  });

  it("has headers whose parts come in any order, and again", () => {
    const name = "\n\x09x-api-key";
    const nested = (tag: number, content: Uint8Array) => Buffer.concat([Buffer.of(tag, content.length), content]);
    for (const header of [
      `${name}\x12\x01k`,
      `\x12\x01k${name}`,
      `\n\x01a\x12\x01k${name}`,
      `${name}\x12\x01k\n\x01a`,
      `\n\x01a${name}\x12\x01k`,
      `\n\x01a\x12\x01b\x12\x01k${name}`,
      name,
      "\n\x01a",
      "",
    ]) {
      const bytes = nested(0x0a, nested(0x22, nested(0x12, nested(0x1a, Buffer.from(header)))));
      expect(decode(bytes), JSON.stringify(header)).toEqual(decodeGenerally(bytes));
    }
  });

  it("has words in several places, of which the last of a name counts, whatever is known of them", () => {
    const nested = (tag: number, content: Uint8Array) => Buffer.concat([Buffer.of(tag, content.length), content]);
    const wordOf = (name: string, value: string) =>
      nested(0x52, Buffer.concat([nested(0x0a, Buffer.from(name)), nested(0x12, Buffer.from(value))]));
    const [none, other, live] = [wordOf("permission", "none"), wordOf("permission", "a:b"), wordOf("livemode", "true")];
    // The tag of the last, in more bytes than it needs.
    const long = Buffer.concat([Buffer.from([0xd2, 0x00]), none.subarray(1)]);
    const request = nested(0x22, Buffer.alloc(0));
    for (const words of [
      [none],
      [none, live],
      [live, request, none],
      [none, request, other],
      [other, request, none, request, live],
      [long],
      [live, long],
      [request, live, request, long, other],
      [none, request, none.subarray(0, -1)],
    ]) {
      const bytes = nested(0x0a, Buffer.concat(words));
      let expected: DecodedCheckRequest | null;
      try {
        expected = decodeGenerally(bytes);
      } catch {
        expected = null;
      }
      expect(decode(bytes)).toEqual(expected);
      const twice = Buffer.concat([bytes, nested(0x0a, wordOf("types", "secret"))]);
      expect(decode(twice)?.words).toEqual(expected === null ? undefined : decodeGenerally(twice).words);
    }
  });

  it("has words whose unknown fields are passed over, as a header's raw value is none of theirs", () => {
    const nested = (tag: number, content: Uint8Array) => Buffer.concat([Buffer.of(tag, content.length), content]);
    const word = Buffer.from("\n\x0apermission\x12\x03a:b\x1a\x04none");
    const bytes = nested(0x0a, nested(0x52, word));
    expect(decode(bytes)?.words).toEqual(new Map([["permission", "a:b"]]));
    expect(decode(bytes)).toEqual(decodeGenerally(bytes));
  });

  it("may come in parts, which are merged", () => {
    fc.assert(
      fc.property(anyRequest, anyRequest, (one, other) => {
        // Of a header that two maps have, the later value replaces the first in a map, and joins it in the lane: two
        // keys stay two.
        const bytes = Buffer.concat([bytesOf(one), bytesOf(other)]);
        expect(decode(bytes)?.words).toEqual(decodeGenerally(bytes).words);
      }),
      { numRuns: 300 },
    );
  });

  it("that is cut, or not a message, is refused: nothing is read past an end", () => {
    const bytes = bytesOf({
      attributes: {
        contextExtensions: { permission: "none" },
        request: { http: { headers: { authorization: "Bearer k", "x-api-key": "k" } } },
      },
    });
    for (let end = 1; end < bytes.length; end += 1) {
      expect(decode(bytes.subarray(0, end)), String(end)).toBeNull();
    }
    const lengthened = Buffer.from(bytes);
    for (let at = 0; at < bytes.length; at += 1) {
      lengthened.set(bytes);
      lengthened[at] = 0x7f;
      const found = decode(lengthened);
      expect(found === null || found.words.size <= 1).toBe(true);
    }
    expect(decode(Buffer.from([0xff]))).toBeNull();
    expect(decode(Buffer.from([0x0a, 3, 0x52, 1, 0xff]))).toBeNull();
    // A value that is no UTF-8, in a header that is read.
    const header = Buffer.concat([Buffer.from("\n\x09x-api-key\x12\x01"), Buffer.of(0xff)]);
    const nested = (tag: number, content: Uint8Array) => Buffer.concat([Buffer.of(tag, content.length), content]);
    expect(decode(nested(0x0a, nested(0x22, nested(0x12, nested(0x1a, header)))))).toBeNull();
  });
});

describe("CheckResponse in the lane", () => {
  it("of an accepted key sets headers over those of the client, and takes the credentials away", () => {
    const response = fromBinary(
      CheckResponseSchema,
      encodeAccepted([
        ["x-account", "a"],
        ["x-livemode", "true"],
      ]).subarray(prefixBytes),
    );
    expect(response).toEqual(
      create(CheckResponseSchema, {
        status: {},
        httpResponse: {
          case: "okResponse",
          value: {
            headers: [
              { header: { key: "x-account", value: "a" }, appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD },
              { header: { key: "x-livemode", value: "true" }, appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD },
            ],
            headersToRemove: ["authorization", "x-api-key"],
          },
        },
      }),
    );
  });

  it.each([
    [401, 16],
    [403, 7],
  ] as const)("of a refused key is answered with %s", (status, code) => {
    const body = `{"sentence": "${"é".repeat(200)}"}`;
    const response = fromBinary(
      CheckResponseSchema,
      encodeDenied(status, [["content-type", "x/y"]], body).subarray(prefixBytes),
    );
    expect(response).toEqual(
      create(CheckResponseSchema, {
        status: { code },
        httpResponse: {
          case: "deniedResponse",
          value: {
            status: { code: status },
            headers: [
              { header: { key: "content-type", value: "x/y" }, appendAction: Append.OVERWRITE_IF_EXISTS_OR_ADD },
            ],
            body,
          },
        },
      }),
    );
  });

  it("of a status that nobody thought of is no OK, which would let it pass", () => {
    const bytes = encodeDenied(418 as 401, [], "").subarray(prefixBytes);
    expect(fromBinary(CheckResponseSchema, bytes).status?.code).toBe(7);
  });
});
