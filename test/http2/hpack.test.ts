import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FieldFactory, FieldKind } from "../../src/wire/http2/field.ts";
import { HpackDecoder } from "../../src/wire/http2/hpack-decoder.ts";
import { encodePreparedBlock, type HeaderPair, HpackEncoder } from "../../src/wire/http2/hpack-encoder.ts";
import { decodeHuffman, encodeHuffman, huffmanBytes, maxDecodedBytes } from "../../src/wire/http2/hpack-huffman.ts";

type Story = {
  readonly cases: readonly {
    readonly wire: string;
    readonly header_table_size?: number | null;
    readonly headers: readonly Record<string, string>[];
  }[];
};

function newDecoder(maxTableBytes = 4_096): HpackDecoder {
  const decoder = new HpackDecoder(new FieldFactory([]), { maxHeaderListBytes: 1e6, maxHeaderFields: 1e4 });
  decoder.allowTableBytes(maxTableBytes);
  return decoder;
}

function decode(decoder: HpackDecoder, block: Buffer): HeaderPair[] {
  decoder.decode(block, 0, block.length);
  return decoder.fields.slice(0, decoder.count).map(({ name, value }): HeaderPair => [name, value]);
}

const vectors = [
  process.env.HPACK_VECTORS,
  fileURLToPath(new URL("../../../shared/hpack-test-case", import.meta.url)),
].find((folder) => folder !== undefined && existsSync(folder));
const stories =
  vectors === undefined
    ? []
    : readdirSync(vectors, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap(({ name }) =>
          readdirSync(join(vectors, name)).map((file): [string, string] => [
            `${name}/${file}`,
            join(vectors, name, file),
          ]),
        );

it("judges a value that goes into the table by its octets, in either coding (RFC 9113 section 8.2.1)", () => {
  const huffman = (text: string) => {
    const coded = Buffer.alloc(huffmanBytes(text));
    encodeHuffman(text, coded, 0);
    return Buffer.concat([Buffer.of(0x80 | coded.length), coded]);
  };
  const raw = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text, "latin1")]);
  const kindsOf = (value: string) =>
    [huffman, raw].flatMap((code) => {
      const decoder = newDecoder();
      const literal = Buffer.concat([Buffer.of(0x40), raw("traceparent"), code(value)]);
      // The first in the table behind the static one is named by 62.
      const again = Buffer.concat([Buffer.of(0x40 | 62), code(value), Buffer.of(0x80 | 62)]);
      const block = Buffer.concat([literal, again]);
      decoder.decode(block, 0, block.length);
      expect(decoder.fields.slice(0, decoder.count).map((field) => field.value)).toEqual([value, value, value]);
      return decoder.fields.slice(0, decoder.count).map(({ kind }) => kind);
    });
  for (const octet of ["\0", "\n", "\r"]) {
    for (const value of [octet, `${octet}abc`, `ab${octet}c`, `abc${octet}`]) {
      expect(new Set(kindsOf(value)), JSON.stringify(value)).toEqual(new Set([FieldKind.Malformed]));
    }
  }
  for (const value of ["", "\x01", "\t a\x0b\x0c\x0e", "\x7f\x80\xff", "00-af-01"]) {
    expect(new Set(kindsOf(value)), JSON.stringify(value)).toEqual(new Set([FieldKind.Regular]));
  }
});

it("keeps fields that come again, and no credential, beyond their request (RFC 7541 section 7.1.3)", () => {
  const decoder = newDecoder();
  const decodeTwice = (block: Buffer) =>
    [0, 1].map(() => {
      decoder.decode(block, 0, block.length);
      return decoder.fields[0];
    });
  const pairs: HeaderPair[] = [
    ["authorization", "Bearer sk_test_1"],
    ["cookie", "session=1"],
    ["proxy-authorization", "Basic c2s6"],
    [":path", "/some/path"],
  ];
  const isKept = pairs.map((pair) => {
    const [first, second] = decodeTwice(Buffer.from(encodePreparedBlock([pair])));
    expect(second).toEqual(first);
    return second === first;
  });
  expect(isKept).toEqual([false, false, false, true]);
});

describe.skipIf(stories.length === 0)(
  `the vectors of other implementations (skipped without ../shared/hpack-test-case)`,
  () => {
    it.each(stories)("%s", (_name, file) => {
      const { cases } = JSON.parse(readFileSync(file, "utf8")) as Story;
      const decoder = newDecoder();
      const encoder = new HpackEncoder(65_536);
      const second = newDecoder(65_536);
      for (const { wire, header_table_size: tableBytes, headers } of cases) {
        if (typeof tableBytes === "number") {
          decoder.allowTableBytes(tableBytes);
          encoder.allowTableBytes(tableBytes);
        }
        const expected = headers.map((header) => Object.entries(header)[0]);
        expect(decode(decoder, Buffer.from(wire, "hex"))).toEqual(expected);
        expect(decode(second, encoder.encode(expected.filter((pair) => pair !== undefined)))).toEqual(expected);
      }
    });
  },
);

describe("the examples of RFC 7541 appendix C", () => {
  const requests: readonly HeaderPair[][] = [
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      [":authority", "www.example.com"],
    ],
    [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      [":authority", "www.example.com"],
      ["cache-control", "no-cache"],
    ],
    [
      [":method", "GET"],
      [":scheme", "https"],
      [":path", "/index.html"],
      [":authority", "www.example.com"],
      ["custom-key", "custom-value"],
    ],
  ];

  it("C.3: requests without Huffman coding", () => {
    const decoder = newDecoder();
    const wires = [
      "828684410f7777772e6578616d706c652e636f6d",
      "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ];
    expect(wires.map((wire) => decode(decoder, Buffer.from(wire, "hex")))).toEqual(requests);
  });

  it("C.4: requests with Huffman coding, which our encoder makes to the byte", () => {
    const decoder = newDecoder();
    const encoder = new HpackEncoder(4_096);
    const wires = [
      "828684418cf1e3c2e5f23a6ba0ab90f4ff",
      "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ];
    expect(wires.map((wire) => decode(decoder, Buffer.from(wire, "hex")))).toEqual(requests);
    expect(requests.map((request) => encoder.encode(request).toString("hex"))).toEqual(wires);
  });
});

const octets = fc
  .array(fc.integer({ min: 0, max: 255 }), { maxLength: 40 })
  .map((codes) => String.fromCharCode(...codes));
const names = fc.oneof(
  fc.constantFrom(":method", ":path", "content-type", "x-a", "x-b", "authorization", "cookie"),
  octets,
);
const values = fc.oneof(
  fc.constantFrom("GET", "/", "a", "application/grpc", ""),
  octets,
  fc.string({ unit: fc.constantFrom("a", "0", "-"), maxLength: 300 }),
);
const blocks = fc.array(
  fc.record({
    pairs: fc.array(fc.tuple(names, values), { maxLength: 12 }),
    tableBytes: fc.option(fc.integer({ min: 0, max: 5_000 })),
  }),
  { maxLength: 20 },
);

describe("encoder and decoder", () => {
  it("agree on any header lists, with any changes of the table's size", () => {
    fc.assert(
      fc.property(blocks, (all) => {
        const encoder = new HpackEncoder(5_000);
        const decoder = newDecoder(5_000);
        const unindexed = newDecoder();
        for (const { pairs, tableBytes } of all) {
          if (tableBytes !== null) {
            encoder.allowTableBytes(tableBytes);
          }
          expect(decode(decoder, encoder.encode(pairs))).toEqual(pairs);
          expect(decode(unindexed, encodePreparedBlock(pairs))).toEqual(pairs);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("agree on Huffman coding of any octets", () => {
    fc.assert(
      fc.property(octets, (text) => {
        const coded = Buffer.alloc(huffmanBytes(text));
        expect(encodeHuffman(text, coded, 0)).toBe(coded.length);
        const out = Buffer.alloc(maxDecodedBytes(coded.length));
        expect(out.toString("latin1", 0, decodeHuffman(coded, 0, coded.length, out))).toBe(text);
      }),
      { numRuns: 1_000 },
    );
  });

  it("never index a credential (RFC 7541 section 7.1.3)", () => {
    const encoder = new HpackEncoder(4_096);
    const pairs: HeaderPair[] = [["authorization", "Bearer x"]];
    const first = encoder.encode(pairs);
    expect((first[0] ?? 0) & 0xf0).toBe(0x10);
    expect(encoder.encode(pairs)).toEqual(first);
  });

  it("throw nothing but a compression error on any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decode(newDecoder(), Buffer.from(bytes));
        } catch (error) {
          expect((error as Error).name).toBe("ConnectionError");
        }
      }),
      { numRuns: 5_000 },
    );
  });
});
