import type { Known, Packed } from "./known.ts";
import { bytesOfText, maxTextBytes, PackedHalf, packedBytes } from "./packed-half.ts";
import type { Standing } from "./standings.ts";
import { TwoGenerations } from "./two-generations.ts";

// Measured: an object with its texts, its place in a map, and what the garbage collector lets lie beside it.
const hotBytes = 400;
const maxHot = 32_768;

export type KeptKeysOptions = {
  readonly maxBytes: number;
  /** What a finder keeps beside a key that was found lately. */
  readonly besideBytes: number;
  /** What a standing takes of its own. */
  readonly bytesOf: (standing: Standing) => number;
  /** Told before keys go that nobody deleted. */
  readonly onLetGo: () => void;
};

/**
 * What is known of keys, bounded in bytes. All are packed, and those that were found lately are objects too: as many as
 * a gateway sees again and again. A packed key takes a third of the memory, and the garbage collector passes over it.
 * What was not asked for lately is forgotten: what is found in the old half moves to the young one; when the young half
 * is full it becomes the old one, and what was left in the old half is gone.
 */
export class KeptKeys {
  readonly #options: KeptKeysOptions;
  readonly #maxHalfBytes: number;
  /** By four bytes of the digest: of two keys that share them, one is not hot. */
  readonly #hot: TwoGenerations<Known>;
  #young = new PackedHalf();
  #old = new PackedHalf();
  #youngBytes = 0;

  constructor(options: KeptKeysOptions) {
    const { maxBytes, besideBytes } = options;
    this.#options = options;
    this.#hot = new TwoGenerations(Math.min(maxHot, maxBytes / 4 / (hotBytes + besideBytes)));
    this.#maxHalfBytes = ((maxBytes / 4) * 3) / 2;
  }

  /** Hot path. */
  get(digest: string): Known | null {
    const hot = this.#hot.get(placeOf(digest));
    return hot?.digest === digest ? hot : this.#unpack(digest);
  }

  #unpack(digest: string): Known | null {
    const packed = this.#young.get(digest) ?? this.#getOld(digest);
    if (packed === null) {
      return null;
    }
    const known = { ...packed, acceptedCount: 0, usedAtMs: 0, beside: null };
    this.#hot.set(placeOf(digest), known);
    return known;
  }

  #getOld(digest: string): Packed | null {
    const packed = this.#old.get(digest);
    if (packed !== null) {
      this.#pack(packed);
    }
    return packed;
  }

  set(known: Known): void {
    this.#pack(known);
    this.#hot.set(placeOf(known.digest), known);
  }

  #pack(known: Packed): void {
    const { digest, tokenId, account, standing } = known;
    this.#young.delete(digest, Number.POSITIVE_INFINITY);
    this.#old.delete(digest, Number.POSITIVE_INFINITY);
    const { bytesOf, onLetGo } = this.#options;
    const textBytes = bytesOfText(tokenId) + bytesOfText(account);
    const bytes = packedBytes + textBytes + bytesOf(standing);
    if (bytes > this.#maxHalfBytes || textBytes > maxTextBytes) {
      onLetGo();
      return;
    }
    if (this.#youngBytes + bytes > this.#maxHalfBytes) {
      onLetGo();
      this.#old = this.#young;
      this.#young = new PackedHalf();
      this.#youngBytes = 0;
    }
    this.#young.add(known);
    this.#youngBytes += bytes;
  }

  /** What is of this revision or of a later one stays. */
  delete(digest: string, beforeRevision: number): void {
    const hot = this.#hot.get(placeOf(digest));
    if (hot?.digest === digest && hot.revision < beforeRevision) {
      this.#hot.delete(placeOf(digest));
    }
    this.#young.delete(digest, beforeRevision);
    this.#old.delete(digest, beforeRevision);
  }

  /** Walks through all. */
  deleteAccount(account: string, beforeRevision: number): void {
    this.#hot.deleteWhere((known) => known.account === account && known.revision < beforeRevision);
    this.#young.deleteAccount(account, beforeRevision);
    this.#old.deleteAccount(account, beforeRevision);
  }

  clear(): void {
    this.#hot.clear();
    this.#young = new PackedHalf();
    this.#old = new PackedHalf();
    this.#youngBytes = 0;
  }

  get size(): number {
    return this.#young.size + this.#old.size;
  }
}

/** Four bytes of a digest as an integer of 32 bits, which V8 keeps without an object. */
function placeOf(digest: string): number {
  const low = digest.charCodeAt(0) | (digest.charCodeAt(1) << 8);
  return low | (digest.charCodeAt(2) << 16) | (digest.charCodeAt(3) << 24);
}
