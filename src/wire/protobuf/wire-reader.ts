import { isUtf8 } from "node:buffer";

/** The wire types of protobuf's encoding that have a meaning. */
export const WireType = {
  Varint: 0,
  Bit64: 1,
  LengthDelimited: 2,
  StartGroup: 3,
  EndGroup: 4,
  Bit32: 5,
} as const;

/** What a reader answers where the bytes are not protobuf: no number that it reads is negative. */
export const malformed = -1;

const maxVarintBytes = 10;

/**
 * Reads the elements of a protobuf message, which lies in `bytes` from `start` up to `end`, one after another. It takes
 * and refuses what the reader of protobuf-es does, where that is more lenient than the specification too. After
 * `malformed` or null it is of no use.
 */
export class WireReader {
  readonly #bytes: Buffer;
  readonly #end: number;
  #at: number;

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  /** Where the next element begins. */
  get at(): number {
    return this.#at;
  }

  /** Where the message ends. */
  get end(): number {
    return this.#end;
  }

  /** A field's number, times 8, plus its wire type; or `malformed`. */
  tag(): number {
    const start = this.#at;
    const tag = this.uint32();
    const length = this.#at - start;
    // The one varint that must not be too long for its 32 bits. Field numbers begin at 1.
    const isTooLong = length > 5 || (length === 5 && (this.#bytes[this.#at - 1] ?? 0) > 0x0f);
    return tag < 8 || (tag & 7) > WireType.Bit32 || isTooLong ? malformed : tag;
  }

  /** The low 32 bits of a varint; or `malformed`. */
  uint32(): number {
    const byte = this.#at < this.#end ? (this.#bytes[this.#at] ?? 0) : 0x80;
    if (byte < 0x80) {
      this.#at += 1;
      return byte;
    }
    return this.#longUint32();
  }

  #longUint32(): number {
    let value = 0;
    for (let index = 0; index < maxVarintBytes && this.#at < this.#end; index++) {
      const byte = this.#bytes[this.#at++] ?? 0;
      if (index < 5) {
        value |= (byte & 0x7f) << (7 * index);
      }
      if (byte < 0x80) {
        return value >>> 0;
      }
    }
    return malformed;
  }

  /** A varint as a signed number of 64 bits, rounded where it is not safe; or NaN where it is malformed. */
  int64(): number {
    let value = 0n;
    for (let index = 0; index < maxVarintBytes && this.#at < this.#end; index++) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value |= BigInt(byte & 0x7f) << BigInt(7 * index);
      if (byte < 0x80) {
        return Number(BigInt.asIntN(64, value));
      }
    }
    return Number.NaN;
  }

  /** Whether any of a varint's 64 bits is set: 1 or 0; or `malformed`. */
  bool(): number {
    let bits = 0;
    for (let index = 0; index < maxVarintBytes && this.#at < this.#end; index++) {
      const byte = this.#bytes[this.#at++] ?? 0;
      // The tenth byte has room for one bit: those above it are none of the 64.
      bits |= byte & (index === maxVarintBytes - 1 ? 0x01 : 0x7f);
      if (byte < 0x80) {
        return bits === 0 ? 0 : 1;
      }
    }
    return malformed;
  }

  /** Reads a length, and returns where the content ends that begins here; or `malformed`. */
  contentEnd(): number {
    const length = this.uint32();
    const end = this.#at + length;
    return length === malformed || end > this.#end ? malformed : end;
  }

  /** Passes over content up to `end`, which lies within the message. */
  seek(end: number): void {
    this.#at = end;
  }

  /** A length and as many bytes of UTF-8; or null. */
  string(): string | null {
    const end = this.contentEnd();
    const start = this.#at;
    if (end === malformed) {
      return null;
    }
    this.#at = end;
    return this.text(start, end);
  }

  /** The text of these bytes; or null where they are no UTF-8. */
  text(start: number, end: number): string | null {
    const bytes = this.#bytes;
    for (let at = start; at < end; at++) {
      if ((bytes[at] ?? 0) > 0x7f) {
        return isUtf8(bytes.subarray(start, end)) ? bytes.toString("utf8", start, end) : null;
      }
    }
    return bytes.toString("latin1", start, end);
  }

  /**
   * Passes over the value of a field with this tag, in which groups may nest `maxDepth` deep. False where it is
   * malformed.
   */
  skip(tag: number, maxDepth: number): boolean {
    switch (tag & 7) {
      case WireType.Varint:
        return this.#skipVarint();
      case WireType.Bit64:
        return this.#skipBytes(8);
      case WireType.Bit32:
        return this.#skipBytes(4);
      case WireType.LengthDelimited:
        return this.#skipBytes(this.uint32());
      case WireType.StartGroup:
        return maxDepth > 0 && this.#skipGroup(tag >>> 3, maxDepth - 1);
      default:
        return false;
    }
  }

  /** Its length does not matter: nothing asks for its value. */
  #skipVarint(): boolean {
    while (this.#at < this.#end) {
      if ((this.#bytes[this.#at++] ?? 0) < 0x80) {
        return true;
      }
    }
    return false;
  }

  #skipBytes(count: number): boolean {
    this.#at += count;
    return count !== malformed && this.#at <= this.#end;
  }

  #skipGroup(number: number, maxDepth: number): boolean {
    for (;;) {
      const tag = this.tag();
      if (tag === malformed) {
        return false;
      }
      if ((tag & 7) === WireType.EndGroup) {
        return tag >>> 3 === number;
      }
      if (!this.skip(tag, maxDepth)) {
        return false;
      }
    }
  }
}
