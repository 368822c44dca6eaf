import { randomInt } from "node:crypto";
import type { Packed } from "./known.ts";
import type { Standing } from "./standings.ts";

// In blocks, so that nothing is copied when there are more.
const recordsPerBlock = 1_024;
const textBlockBytes = 65_536;
const digestBytes = 32;
const leastPlaces = 8;
const emptyPlace = -1;
/** What is behind it may still be found. */
const gonePlace = -2;
/** The length of null. */
const noText = 0xffff;

/** A record with its place, on average, but for its texts. */
export const packedBytes = digestBytes + 3 * 8 + 2 * 4 + 2 * 2 + 10;
/** Longer texts cannot be packed. */
export const maxTextBytes = 4_096;

type Block = {
  readonly digests: Buffer;
  /** The revision, until when it may be kept, and when the key expires: NaN for never. */
  readonly numbers: Float64Array;
  /** Where the texts begin, and which standing it is. */
  readonly places: Uint32Array;
  readonly lengths: Uint16Array;
};

/** What is known of keys, found by their digests, in bytes and not in objects. */
export class PackedHalf {
  readonly #blocks: Block[] = [];
  #count = 0;
  readonly #texts: Buffer[] = [];
  #textEnd = textBlockBytes;
  readonly #standings: Standing[] = [];
  readonly #standingAt = new Map<Standing, number>();
  /** Numbers of records: a table with open addressing, at most five eighths full. */
  #table = new Int32Array(leastPlaces).fill(emptyPlace);
  #usedPlaces = 0;
  #size = 0;
  // Drawn at random, so that nobody can make keys that all have the same place.
  readonly #factors = [randomInt(2 ** 31) * 2 + 1, randomInt(2 ** 31) * 2 + 1] as const;

  get size(): number {
    return this.#size;
  }

  get(digest: string): Packed | null {
    const number = this.#table[this.#placeOf(digest)] ?? emptyPlace;
    return number === emptyPlace ? null : this.#read(number, digest);
  }

  /** The digest must not be here. */
  add({ digest, revision, untilMs, standing, tokenId, account, expiresAtMs }: Packed): void {
    const number = this.#count;
    const at = number % recordsPerBlock;
    if (at === 0) {
      this.#blocks.push(newBlock());
    }
    const { digests, numbers, places, lengths } = this.#block(number);
    this.#count += 1;
    this.#size += 1;
    digests.write(digest, at * digestBytes, digestBytes, "latin1");
    numbers[3 * at] = revision;
    numbers[3 * at + 1] = untilMs;
    numbers[3 * at + 2] = expiresAtMs ?? Number.NaN;
    places[2 * at] = this.#roomForText(bytesOfText(tokenId) + bytesOfText(account));
    places[2 * at + 1] = this.#placeOfStanding(standing);
    lengths[2 * at] = this.#addText(tokenId);
    lengths[2 * at + 1] = this.#addText(account);
    this.#place(number, digest);
  }

  /** What is of this revision or of a later one stays. */
  delete(digest: string, beforeRevision: number): void {
    const place = this.#placeOf(digest);
    const number = this.#table[place] ?? emptyPlace;
    if (number !== emptyPlace && this.#revision(number) < beforeRevision) {
      this.#empty(place);
    }
  }

  /** Walks through all. */
  deleteAccount(account: string, beforeRevision: number): void {
    for (const [place, number] of this.#table.entries()) {
      if (number >= 0 && this.#revision(number) < beforeRevision && this.#readTexts(number).account === account) {
        this.#empty(place);
      }
    }
  }

  #block(number: number): Block {
    const block = this.#blocks[Math.floor(number / recordsPerBlock)];
    if (block === undefined) {
      throw new Error("there is no such record");
    }
    return block;
  }

  #revision(number: number): number {
    return this.#block(number).numbers[3 * (number % recordsPerBlock)] ?? 0;
  }

  #read(number: number, digest: string): Packed {
    const at = number % recordsPerBlock;
    const { numbers, places } = this.#block(number);
    const standing = this.#standings[places[2 * at + 1] ?? 0];
    const expiresAtMs = numbers[3 * at + 2] ?? Number.NaN;
    if (standing === undefined) {
      throw new Error("there is no such standing");
    }
    return {
      digest,
      revision: numbers[3 * at] ?? 0,
      untilMs: numbers[3 * at + 1] ?? 0,
      standing,
      ...this.#readTexts(number),
      expiresAtMs: Number.isNaN(expiresAtMs) ? null : expiresAtMs,
    };
  }

  #readTexts(number: number): { readonly tokenId: string | null; readonly account: string | null } {
    const at = number % recordsPerBlock;
    const { places, lengths } = this.#block(number);
    const place = places[2 * at] ?? 0;
    const [idLength = noText, accountLength = noText] = lengths.subarray(2 * at, 2 * at + 2);
    const idEnd = place + (idLength === noText ? 0 : idLength);
    return { tokenId: this.#readText(place, idLength), account: this.#readText(idEnd, accountLength) };
  }

  #readText(place: number, length: number): string | null {
    const start = place % textBlockBytes;
    return length === noText
      ? null
      : (this.#texts[Math.floor(place / textBlockBytes)]?.toString("utf8", start, start + length) ?? "");
  }

  /** Returns where the next texts begin, which are so long. */
  #roomForText(bytes: number): number {
    if (this.#textEnd + bytes >= textBlockBytes) {
      this.#texts.push(Buffer.allocUnsafeSlow(textBlockBytes));
      this.#textEnd = 0;
    }
    return (this.#texts.length - 1) * textBlockBytes + this.#textEnd;
  }

  /** Returns its length. */
  #addText(text: string | null): number {
    if (text === null) {
      return noText;
    }
    const length = this.#texts.at(-1)?.write(text, this.#textEnd) ?? 0;
    this.#textEnd += length;
    return length;
  }

  #placeOfStanding(standing: Standing): number {
    const known = this.#standingAt.get(standing);
    if (known === undefined) {
      this.#standingAt.set(standing, this.#standings.length);
      this.#standings.push(standing);
    }
    return known ?? this.#standings.length - 1;
  }

  /** Where the digest has its place, or where it would be put. */
  #placeOf(digest: string): number {
    const last = this.#table.length - 1;
    const [one, two] = this.#factors;
    let place = ((Math.imul(wordOf(digest, 0), one) + Math.imul(wordOf(digest, 4), two)) >>> 7) & last;
    for (;;) {
      const number = this.#table[place] ?? emptyPlace;
      if (number === emptyPlace || (number !== gonePlace && this.#isOf(number, digest))) {
        return place;
      }
      place = (place + 1) & last;
    }
  }

  #isOf(number: number, digest: string): boolean {
    const { digests } = this.#block(number);
    const start = (number % recordsPerBlock) * digestBytes;
    for (let index = 0; index < digestBytes; index += 1) {
      if (digests[start + index] !== digest.charCodeAt(index)) {
        return false;
      }
    }
    return true;
  }

  #place(number: number, digest: string): void {
    if (8 * (this.#usedPlaces + 1) > 5 * this.#table.length) {
      this.#makeRoom();
    }
    this.#table[this.#placeOf(digest)] = number;
    this.#usedPlaces += 1;
  }

  #makeRoom(): void {
    const numbers = this.#table.filter((number) => number >= 0);
    this.#table = new Int32Array(Math.max(leastPlaces, 2 ** Math.ceil(Math.log2(2 * this.#size)))).fill(emptyPlace);
    this.#usedPlaces = numbers.length;
    for (const number of numbers) {
      const start = (number % recordsPerBlock) * digestBytes;
      const digest = this.#block(number).digests.toString("latin1", start, start + digestBytes);
      this.#table[this.#placeOf(digest)] = number;
    }
  }

  #empty(place: number): void {
    this.#table[place] = gonePlace;
    this.#size -= 1;
  }
}

function newBlock(): Block {
  return {
    digests: Buffer.allocUnsafeSlow(digestBytes * recordsPerBlock),
    numbers: new Float64Array(3 * recordsPerBlock),
    places: new Uint32Array(2 * recordsPerBlock),
    lengths: new Uint16Array(2 * recordsPerBlock),
  };
}

/** What a text takes. */
export function bytesOfText(text: string | null): number {
  return text === null ? 0 : Buffer.byteLength(text);
}

function wordOf(digest: string, at: number): number {
  const low = digest.charCodeAt(at) | (digest.charCodeAt(at + 1) << 8);
  return low | (digest.charCodeAt(at + 2) << 16) | (digest.charCodeAt(at + 3) << 24);
}
