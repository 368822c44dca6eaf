import type { Random } from "../support/random.ts";

const interestingBytes = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0a, 0x0d, 0x20, 0x25, 0x3a, 0x2f] as const;
const maxEdits = 6;
const maxRangeBytes = 24;
const maxBytes = 256 * 1024;

/**
 * Changes the bytes in 1 to 6 places. What comes before `keep` mostly stays: else nothing behind it would ever be read.
 */
export function mutate(random: Random, original: Buffer, keep: number, others: readonly Buffer[]): Buffer {
  let bytes = original;
  const edits = 1 + random.below(maxEdits);
  for (let edit = 0; edit < edits; edit += 1) {
    const from = random.chance(0.97) ? Math.min(keep, bytes.byteLength) : 0;
    bytes = editOnce(random, bytes, from + random.below(Math.max(1, bytes.byteLength - from)), others);
  }
  return bytes.subarray(0, maxBytes);
}

function editOnce(random: Random, bytes: Buffer, at: number, others: readonly Buffer[]): Buffer {
  const range = 1 + random.below(maxRangeBytes);
  switch (random.below(9)) {
    case 0:
      return replace(bytes, at, 1, Buffer.of((bytes[at] ?? 0) ^ (1 << random.below(8))));
    case 1:
      return replace(bytes, at, 1, Buffer.of(random.below(256)));
    case 2:
      return replace(bytes, at, 1, Buffer.of(random.pick(interestingBytes)));
    case 3:
      return replace(bytes, at, range, Buffer.alloc(0));
    case 4:
      return replace(bytes, at, 0, Buffer.from(Array.from({ length: range }, () => random.below(256))));
    case 5:
      return replace(bytes, at, 0, bytes.subarray(at, at + range));
    case 6:
      return bytes.subarray(0, at);
    case 7:
      return replace(bytes, at, range % 5, Buffer.alloc(range % 5, random.pick(interestingBytes)));
    default: {
      const other = random.pick(others);
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.byteLength))]);
    }
  }
}

function replace(bytes: Buffer, at: number, length: number, by: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + length)]);
}
