import { ConnectionError, ErrorCode } from "./error-code.ts";
import type { Field, FieldFactory, FieldName } from "./field.ts";
import { HpackDynamicTable } from "./hpack-dynamic-table.ts";
import { decodeHuffman, maxDecodedBytes } from "./hpack-huffman.ts";
import type { Limits } from "./limits.ts";

const scratchBytes = 1_024;
const initialTableBytes = 4_096;
const maxKnownBytes = 256;
/**
 * How many octets of values lie together that may never become text. They stay as long as one of their fields is in the
 * table.
 */
const shelfBytes = 4_096;

type HpackDecoderLimits = Pick<Limits, "maxHeaderListBytes" | "maxHeaderFields">;

/**
 * Decodes the header blocks of one connection, in order (RFC 7541 section 2.2). A wrong block is COMPRESSION_ERROR on
 * the connection (RFC 9113 section 4.3): the tables of both sides differ from then on.
 */
export class HpackDecoder {
  /** The block decoded last: `count` fields, the array is used again. */
  readonly fields: Field[] = [];
  count = 0;
  /** The list passed a limit. The fields past it were decoded, for the table's sake, and dropped. */
  isTooLarge = false;
  /** How many fields were dropped. */
  dropped = 0;
  /** What its list takes, 32 bytes a field included (RFC 9113 section 6.5.2). */
  listBytes = 0;

  readonly #factory: FieldFactory;
  readonly #limits: HpackDecoderLimits;
  readonly #table: HpackDynamicTable;
  readonly #scratch: Buffer = Buffer.allocUnsafe(scratchBytes);
  /**
   * By index of the static table: the value that last came as a literal of this name and was not to be indexed, as it
   * was coded.
   */
  readonly #known: ({ readonly coded: Buffer; readonly field: Field } | undefined)[] = [];
  #shelf: Buffer | null = null;
  #shelfAt = 0;
  #maxTableBytes: number;
  #bytes: Buffer = this.#scratch;
  #at = 0;
  #end = 0;

  constructor(factory: FieldFactory, limits: HpackDecoderLimits) {
    this.#factory = factory;
    this.#limits = limits;
    // Section 4.2: the setting's initial value holds until the peer has acknowledged ours.
    this.#maxTableBytes = initialTableBytes;
    this.#table = new HpackDynamicTable(initialTableBytes);
  }

  /** Changes SETTINGS_HEADER_TABLE_SIZE, once the peer has acknowledged it. */
  allowTableBytes(maxBytes: number): void {
    this.#maxTableBytes = maxBytes;
    if (this.#table.maxBytes > maxBytes) {
      this.#table.resize(maxBytes);
    }
  }

  /** Hot path. Decodes a whole block into `fields`. */
  decode(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.listBytes = 0;
    this.count = 0;
    this.isTooLarge = false;
    this.dropped = 0;
    let mayResize = true;
    while (this.#at < end) {
      const octet = bytes[this.#at] ?? 0;
      if ((octet & 0xe0) === 0x20) {
        // Section 4.2: a size update stands before the first field, and nowhere else.
        if (!mayResize) {
          throw compressionError("table size update after a field");
        }
        this.#resizeTable();
        continue;
      }
      mayResize = false;
      if (octet >= 0x80) {
        this.#keep(this.#fieldAt(this.#integer(0x7f)));
      } else if (octet >= 0x40) {
        const field = this.#literal(0x3f);
        this.#table.add(field);
        this.#keep(field);
      } else {
        // Without indexing and never indexed (sections 6.2.2, 6.2.3) differ for those who pass fields on only.
        this.#keep(this.#unindexedLiteral());
      }
    }
  }

  #keep(field: Field): void {
    this.listBytes += field.bytes;
    if (this.listBytes > this.#limits.maxHeaderListBytes || this.count >= this.#limits.maxHeaderFields) {
      this.isTooLarge = true;
      this.dropped++;
      return;
    }
    this.fields[this.count++] = field;
  }

  /** Section 2.3.3: one address space, the static table first. */
  #fieldAt(index: number): Field {
    const field =
      index <= this.#factory.staticCount
        ? this.#factory.staticField(index)
        : this.#table.at(index - this.#factory.staticCount - 1);
    if (field === undefined) {
      throw compressionError("index beyond both tables");
    }
    return field;
  }

  /**
   * Sections 6.2.2, 6.2.3. nghttp2, and with it Envoy and curl, never indexes :path and content-length, which seldom
   * differ from before.
   */
  #unindexedLiteral(): Field {
    const index = this.#integer(0x0f);
    const start = this.#at;
    const known = this.#known[index];
    if (known !== undefined && this.#isNext(known.coded)) {
      this.#at += known.coded.length;
      return known.field;
    }
    const named = this.#name(index);
    const field = this.#factory.make(named, this.#string());
    const length = this.#at - start;
    if (index > 0 && index <= this.#factory.staticCount && length <= maxKnownBytes && !isCredential(named.name)) {
      // Not of Node's pool: a few bytes would keep 8 KiB of it for as long as the connection lives.
      const coded = Buffer.allocUnsafeSlow(length);
      this.#bytes.copy(coded, 0, start, this.#at);
      this.#known[index] = { coded, field };
    }
    return field;
  }

  #isNext(coded: Buffer): boolean {
    const bytes = this.#bytes;
    const start = this.#at;
    if (start + coded.length > this.#end) {
      return false;
    }
    // The last octet first: values tend to differ at their end.
    for (let at = coded.length - 1; at >= 0; at--) {
      if (coded[at] !== bytes[start + at]) {
        return false;
      }
    }
    return true;
  }

  /** Section 6.2. */
  #literal(prefixMask: number): Field {
    const named = this.#name(this.#integer(prefixMask));
    return this.#factory.isPlain(named) ? this.#plainLiteral(named) : this.#factory.make(named, this.#string());
  }

  /** Sections 6.2.1 to 6.2.3: by index, or as a literal where that is 0. */
  #name(index: number): FieldName {
    return index === 0 ? this.#factory.name(this.#string()) : this.#fieldAt(index);
  }

  /**
   * Most values that differ from call to call, such as traceparent, have no reader here: they are checked, and no text
   * is made of them.
   */
  #plainLiteral(named: FieldName): Field {
    const isHuffman = this.#isHuffman();
    const length = this.#integer(0x7f);
    const most = isHuffman ? maxDecodedBytes(length) : length;
    if (most > scratchBytes) {
      return this.#factory.make(named, this.#text(isHuffman, length));
    }
    const start = this.#passOver(length);
    const end = start + length;
    let shelf = this.#shelf;
    if (shelf === null || this.#shelfAt + most > shelf.length) {
      shelf = Buffer.allocUnsafeSlow(shelfBytes);
      this.#shelf = shelf;
      this.#shelfAt = 0;
    }
    const at = this.#shelfAt;
    let decoded = length;
    if (isHuffman) {
      decoded = decodeHuffman(this.#bytes, start, end, shelf, at);
      if (decoded < 0) {
        throw compressionError("wrong Huffman code");
      }
    } else {
      this.#bytes.copy(shelf, at, start, end);
    }
    this.#shelfAt = at + decoded;
    return this.#factory.makePlain(named, shelf, at, decoded);
  }

  /** Section 6.3. */
  #resizeTable(): void {
    const maxBytes = this.#integer(0x1f);
    if (maxBytes > this.#maxTableBytes) {
      throw compressionError("table size update above SETTINGS_HEADER_TABLE_SIZE");
    }
    this.#table.resize(maxBytes);
  }

  /**
   * Section 5.1. No integer here needs more than 28 bits past its prefix: a longer one is an error, as that section
   * asks for.
   */
  #integer(prefixMask: number): number {
    const prefix = this.#octet() & prefixMask;
    if (prefix < prefixMask) {
      return prefix;
    }
    let value = prefix;
    for (let shift = 0; shift < 28; shift += 7) {
      const octet = this.#octet();
      value += (octet & 0x7f) << shift;
      if (octet < 0x80) {
        return value;
      }
    }
    throw compressionError("integer too large");
  }

  #octet(): number {
    if (this.#at >= this.#end) {
      throw compressionError("block ends within a field");
    }
    return this.#bytes[this.#at++] ?? 0;
  }

  /** Section 5.2. Octets become characters one to one. */
  #string(): string {
    const isHuffman = this.#isHuffman();
    return this.#text(isHuffman, this.#integer(0x7f));
  }

  #isHuffman(): boolean {
    return this.#at < this.#end && (this.#bytes[this.#at] ?? 0) >= 0x80;
  }

  #text(isHuffman: boolean, length: number): string {
    const start = this.#passOver(length);
    const end = start + length;
    if (!isHuffman) {
      return this.#bytes.toString("latin1", start, end);
    }
    const most = maxDecodedBytes(length);
    const out = most <= scratchBytes ? this.#scratch : Buffer.allocUnsafe(most);
    const decoded = decodeHuffman(this.#bytes, start, end, out);
    if (decoded < 0) {
      throw compressionError("wrong Huffman code");
    }
    return out.toString("latin1", 0, decoded);
  }

  /** Returns where the string begins that it passes over. */
  #passOver(length: number): number {
    const start = this.#at;
    if (start + length > this.#end) {
      throw compressionError("string is longer than its block");
    }
    this.#at = start + length;
    return start;
  }
}

/** Is not kept beyond its request (section 7.1.3). */
function isCredential(name: string): boolean {
  return name === "authorization" || name === "cookie" || name === "proxy-authorization";
}

function compressionError(message: string): ConnectionError {
  return new ConnectionError(ErrorCode.CompressionError, message);
}
