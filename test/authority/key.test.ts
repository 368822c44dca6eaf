import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  digestKey,
  digestText,
  digestWord,
  holdsKey,
  isKey,
  isTokenId,
  keyHint,
  keyPrefix,
  mintKey,
  mintTokenId,
} from "../../src/authority/key.ts";
import { tokenTypes } from "../../src/authority/token.ts";

// Made with another implementation (Python's zlib.crc32 and hashlib): the format can never change.
const goldenVectors = [
  [
    "sk_live_000000000000000000000000000000002UYg5A",
    "e3a087a23b95871c720ae81cdd5f58f9aa08e6666e922947a4d4ea8381c4767b",
  ],
  [
    "sk_test_0123456789ABCDEFGHIJKLMNOPQRSTUV3bN14w",
    "d3db7150108f800188f68c9a0819e3c048721eac9002271391501e801e288496",
  ],
  [
    "pk_live_abcdefghijklmnopqrstuvwxyzABCDEF1ofHP0",
    "5c06bf1bab1a3e57cbf51a3391ebfe039cd5148c3d94f4be98a7a34bd59325f5",
  ],
  [
    "pk_test_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz1Fpsit",
    "84989eb30bd4b295b643acdf900a08eeeee75e3adaffe693379e1c102ae9d6e8",
  ],
  [
    "rk_live_4eC39HqLyjWDarjtT1zdp7dcQm8wXs2K3Bdmky",
    "e03b38ec8b94fb70903351861eb42ad05b7ddc5fc07755edc0b7e829de9759e8",
  ],
  [
    "rk_test_ZyXwVuTsRqPoNmLkJiHgFeDcBa987654013Krg",
    "055c4f84916f202bb4d774afdd152896a85c6701e836fee5a546faedb10675c0",
  ],
] as const;

const key = fc.constantFrom(...goldenVectors.map(([text]) => text));
const printable = fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code));

describe("the key format", () => {
  it.each(goldenVectors)("accepts the golden vector %#, and digests it as SHA-256", (text, digest) => {
    expect(isKey(text)).toBe(true);
    expect(Buffer.from(digestKey(text)).toString("hex")).toBe(digest);
  });

  it("reads a digest four bytes at a time as Buffer does, from any place", () => {
    for (const [text, digest] of goldenVectors) {
      for (let at = 0; at <= 28; at += 1) {
        expect(digestWord(digestText(text), at)).toBe(Buffer.from(digest, "hex").readInt32LE(at));
      }
    }
  });

  it("refuses a key with any one character changed", () => {
    fc.assert(
      fc.property(key, fc.nat(45), printable, (text, place, character) => {
        fc.pre(text[place] !== character);
        expect(isKey(text.slice(0, place) + character + text.slice(place + 1))).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it("refuses a test key that was made a live key, for each type", () => {
    for (const type of tokenTypes) {
      expect(isKey(mintKey(type, false).replace("_test_", "_live_"))).toBe(false);
    }
  });

  it("refuses a key that was cut short, made longer, or has space around it", () => {
    const text = mintKey("secret", true);
    expect([text.slice(0, -1), `${text}0`, ` ${text}`, `${text}\n`, text.slice(1), ""].map(isKey)).toEqual(
      Array.from({ length: 6 }, () => false),
    );
  });

  it("refuses text outside ASCII of the right length", () => {
    expect(isKey(`sk_live_${"é".repeat(38)}`)).toBe(false);
    expect(isKey(`sk_live_${"０".repeat(38)}`)).toBe(false);
  });
});

describe("minting", () => {
  it("makes keys of 46 characters that the format accepts, all different, with the prefix of their type and mode", () => {
    const seen = new Set<string>();
    for (const type of tokenTypes) {
      for (const livemode of [true, false]) {
        for (let round = 0; round < 200; round += 1) {
          const text = mintKey(type, livemode);
          expect(text).toHaveLength(46);
          expect(text.startsWith(keyPrefix(type, livemode))).toBe(true);
          expect(isKey(text)).toBe(true);
          expect(keyHint(text)).toBe(text.slice(42));
          seen.add(text);
        }
      }
    }
    expect(seen.size).toBe(1200);
  });

  it("uses all 62 digits about equally often", () => {
    const counts = new Map<string, number>();
    for (let round = 0; round < 2000; round += 1) {
      for (const digit of mintKey("secret", true).slice(8, 40)) {
        counts.set(digit, (counts.get(digit) ?? 0) + 1);
      }
    }
    // 64 000 draws: 1032 of each expected, standard deviation 32. Favouring 8 digits by a quarter would show as 1250.
    expect(counts.size).toBe(62);
    expect(Math.max(...counts.values())).toBeLessThan(1230);
    expect(Math.min(...counts.values())).toBeGreaterThan(830);
  });

  it("makes token ids that are unlike any key", () => {
    expect(isTokenId(mintTokenId())).toBe(true);
    expect(holdsKey(mintTokenId())).toBe(false);
  });
});

describe("finding a key in a text", () => {
  it("finds one wherever it stands, and also when its checksum is wrong", () => {
    const text = mintKey("restricted", false);
    expect(holdsKey(`my key is ${text}!`)).toBe(true);
    expect(holdsKey(`${text.slice(0, -1)}${text.endsWith("0") ? "1" : "0"}`)).toBe(true);
    expect(holdsKey(text.slice(0, 20))).toBe(false);
    expect(holdsKey("sk_live_ is a prefix")).toBe(false);
  });

  it("finds one that was cut off where it was copied, as long as the rest could be computed or guessed", () => {
    const text = mintKey("secret", true);
    for (const length of [45, 40, 36, 32]) {
      expect(holdsKey(`my key is ${text.slice(0, length)}!`)).toBe(true);
    }
  });
});

describe("a token id", () => {
  it("is the whole text: nothing before it, nothing behind it", () => {
    const id = mintTokenId();
    for (const text of [` ${id}`, `${id} `, `${id}\n`, `a${id}`, `${id}-`, id.toUpperCase(), "tok_", id.slice(0, 23)]) {
      expect(isTokenId(text), JSON.stringify(text)).toBe(false);
    }
    expect(isTokenId(id)).toBe(true);
  });
});

it("has the same digest as bytes and as the text that a map is asked for", () => {
  for (const [text, digest] of goldenVectors) {
    expect(Buffer.from(digestText(text), "latin1").toString("hex")).toBe(digest);
  }
});

it("is no key with a right checksum alone: prefix, characters and length count as well", () => {
  const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  const withChecksum = (unchecked: string) => {
    const sum = crc32(unchecked);
    const places = [5, 4, 3, 2, 1, 0].map((place) => digits.charAt(Math.floor(sum / 62 ** place) % 62));
    return unchecked + places.join("");
  };
  const [golden] = goldenVectors[0];
  const unchecked = golden.slice(0, -6);
  expect(withChecksum(unchecked)).toBe(golden);
  for (const other of [
    "",
    "abc",
    unchecked.slice(0, -1),
    `${unchecked}0`,
    ` ${unchecked}`,
    ` ${unchecked.slice(0, -1)}`,
    `${unchecked.slice(0, -1)}-`,
    unchecked.replace("sk_", "xk_"),
    unchecked.replace("_live_", "_prod_"),
    unchecked.toUpperCase(),
  ]) {
    expect(isKey(withChecksum(other)), JSON.stringify(other)).toBe(false);
  }
});
