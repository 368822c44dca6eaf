import { encodeHuffman, huffmanBytes } from "./hpack-huffman.ts";
import { hpackStaticTable } from "./hpack-static-table.ts";

export type HeaderPair = readonly [name: string, value: string];

const staticPairs: ReadonlyMap<string, number> = new Map(
  hpackStaticTable.map(([name, value], at) => [keyOf(name, value), at + 1]),
);
/** The first index of each name. */
const staticNames: ReadonlyMap<string, number> = new Map(
  hpackStaticTable.map(([name], at): [string, number] => [name, at + 1]).reverse(),
);

/** RFC 7541 section 7.1.3: values that a table must not remember, here or at any hop. */
const neverIndexed: ReadonlySet<string> = new Set(["authorization", "proxy-authorization", "cookie", "set-cookie"]);
/** Values that seldom come twice. */
const notIndexed: ReadonlySet<string> = new Set([
  "content-length",
  "date",
  "etag",
  "last-modified",
  "location",
  "grpc-message",
  "grpc-status-details-bin",
]);

function keyOf(name: string, value: string): string {
  return `${name}\n${value}`;
}

/** A header block that touches no dynamic table: it may be made once and sent on every connection. */
export function encodePreparedBlock(pairs: Iterable<HeaderPair>): Buffer {
  const block = new BlockWriter();
  for (const [name, value] of pairs) {
    const index = staticPairs.get(keyOf(name, value));
    if (index !== undefined) {
      block.integer(0x80, 0x7f, index);
    } else {
      block.literal(0x00, 0x0f, staticNames.get(name) ?? 0, name, value);
    }
  }
  return block.bytes();
}

/**
 * Encodes the header blocks of one connection, in the order they are sent. Names and values are octets, a character
 * each. After a change, the first block must go together with `tableUpdate`, or not at all.
 */
export class HpackEncoder {
  readonly #tableLimitBytes: number;
  /** What stands in the table: its number, counted from the first field ever added, by name and by name and value. */
  readonly #names = new Map<string, number>();
  readonly #pairs = new Map<string, number>();
  /** Oldest first, from `#oldest`. */
  #entries: { readonly name: string; readonly key: string; readonly bytes: number }[] = [];
  #oldest = 0;
  #added = 0;
  #bytes = 0;
  /** RFC 7541 section 4.2: 4,096 until the peer says otherwise. */
  #maxBytes = 4_096;
  #smallestMaxBytes: number | null = null;

  /** `tableLimitBytes` is the most we use of what the peer allows. */
  constructor(tableLimitBytes: number) {
    this.#tableLimitBytes = tableLimitBytes;
    if (tableLimitBytes < this.#maxBytes) {
      this.allowTableBytes(tableLimitBytes);
    }
  }

  /** Takes the peer's SETTINGS_HEADER_TABLE_SIZE. */
  allowTableBytes(bytes: number): void {
    const maxBytes = Math.min(bytes, this.#tableLimitBytes);
    if (maxBytes === this.#maxBytes) {
      return;
    }
    this.#maxBytes = maxBytes;
    this.#smallestMaxBytes = Math.min(this.#smallestMaxBytes ?? maxBytes, maxBytes);
    this.#evictTo(maxBytes);
  }

  /** Whether the next block must begin with `takeTableUpdate`. */
  get needsTableUpdate(): boolean {
    return this.#smallestMaxBytes !== null;
  }

  /** RFC 7541 section 4.2: the smallest size since the last block, then the size that holds now. */
  takeTableUpdate(): Buffer {
    const block = new BlockWriter();
    this.#writeTableUpdate(block);
    return block.bytes();
  }

  encode(pairs: Iterable<HeaderPair>): Buffer {
    const block = new BlockWriter();
    this.#writeTableUpdate(block);
    for (const [name, value] of pairs) {
      this.#writeField(block, name, value);
    }
    return block.bytes();
  }

  #writeTableUpdate(block: BlockWriter): void {
    const smallest = this.#smallestMaxBytes;
    if (smallest === null) {
      return;
    }
    this.#smallestMaxBytes = null;
    if (smallest < this.#maxBytes) {
      block.integer(0x20, 0x1f, smallest);
    }
    block.integer(0x20, 0x1f, this.#maxBytes);
  }

  #writeField(block: BlockWriter, name: string, value: string): void {
    const key = keyOf(name, value);
    const isSecret = neverIndexed.has(name);
    const index = isSecret ? undefined : (staticPairs.get(key) ?? this.#indexOf(this.#pairs.get(key)));
    if (index !== undefined) {
      block.integer(0x80, 0x7f, index);
      return;
    }
    const nameIndex = staticNames.get(name) ?? this.#indexOf(this.#names.get(name)) ?? 0;
    const bytes = name.length + value.length + 32;
    if (isSecret) {
      block.literal(0x10, 0x0f, nameIndex, name, value);
    } else if (notIndexed.has(name) || bytes > this.#maxBytes >> 1) {
      block.literal(0x00, 0x0f, nameIndex, name, value);
    } else {
      block.literal(0x40, 0x3f, nameIndex, name, value);
      this.#add(name, key, bytes);
    }
  }

  /** Section 2.3.3: the newest entry comes right after the static table. */
  #indexOf(number: number | undefined): number | undefined {
    return number === undefined ? undefined : hpackStaticTable.length + this.#added - number;
  }

  #add(name: string, key: string, bytes: number): void {
    this.#evictTo(this.#maxBytes - bytes);
    this.#names.set(name, this.#added);
    this.#pairs.set(key, this.#added);
    this.#entries.push({ name, key, bytes });
    this.#added++;
    this.#bytes += bytes;
  }

  #evictTo(bytes: number): void {
    while (this.#bytes > bytes) {
      const entry = this.#entries[this.#oldest];
      if (entry === undefined) {
        break;
      }
      const number = this.#added - (this.#entries.length - this.#oldest);
      if (this.#names.get(entry.name) === number) {
        this.#names.delete(entry.name);
      }
      if (this.#pairs.get(entry.key) === number) {
        this.#pairs.delete(entry.key);
      }
      this.#bytes -= entry.bytes;
      this.#oldest++;
    }
    if (this.#oldest > 64 && this.#oldest * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}

/** Puts representations one after another (RFC 7541 section 6). */
class BlockWriter {
  #out: Buffer = Buffer.allocUnsafe(256);
  #end = 0;

  bytes(): Buffer {
    return Buffer.from(this.#out.subarray(0, this.#end));
  }

  /** Section 5.1: the value after the `pattern` of the bits in front, in as many of the `mask`'s bits as there are. */
  integer(pattern: number, mask: number, value: number): void {
    this.#reserve(6);
    if (value < mask) {
      this.#out[this.#end++] = pattern | value;
      return;
    }
    this.#out[this.#end++] = pattern | mask;
    let left = value - mask;
    while (left >= 0x80) {
      this.#out[this.#end++] = (left & 0x7f) | 0x80;
      left >>>= 7;
    }
    this.#out[this.#end++] = left;
  }

  /** Section 6.2: the name is written out where no index names it. */
  literal(pattern: number, mask: number, nameIndex: number, name: string, value: string): void {
    this.integer(pattern, mask, nameIndex);
    if (nameIndex === 0) {
      this.#string(name);
    }
    this.#string(value);
  }

  /** Section 5.2: Huffman where it is shorter. */
  #string(text: string): void {
    const coded = huffmanBytes(text);
    if (coded < text.length) {
      this.integer(0x80, 0x7f, coded);
      this.#reserve(coded);
      this.#end = encodeHuffman(text, this.#out, this.#end);
      return;
    }
    this.integer(0x00, 0x7f, text.length);
    this.#reserve(text.length);
    this.#end += this.#out.write(text, this.#end, "latin1");
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes > this.#out.length) {
      const grown = Buffer.allocUnsafe(2 * (this.#end + bytes));
      this.#out.copy(grown, 0, 0, this.#end);
      this.#out = grown;
    }
  }
}
