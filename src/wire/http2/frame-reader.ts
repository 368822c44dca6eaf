import { ConnectionError, ErrorCode } from "./error-code.ts";
import { FrameType, frameHeaderBytes } from "./frame.ts";

const nothing = Buffer.alloc(0);
/**
 * A frame cut in two by the network keeps its buffer for the next one only if it is small: idle connections hold
 * little.
 */
const keptBytes = 1_024;

/**
 * Cuts what a socket reads into frames (RFC 9113 section 4.1). A frame that lies whole in what was read is handed out
 * in place; one that does not is put together in a buffer that grows with what arrived, never with what was promised.
 */
export class FrameReader {
  /** The current frame. Its payload is `bytes` from `start` up to `end`, valid until `next` is called. */
  type = 0;
  flags = 0;
  streamId = 0;
  /** The length its header told; more than `end - start` only if it is `oversized`, when the payload is left out. */
  length = 0;
  oversized = false;
  bytes: Buffer = nothing;
  start = 0;
  end = 0;

  readonly #maxFrameBytes: number;
  #chunk: Buffer = nothing;
  #at = 0;
  readonly #queue: Buffer[] = [];
  #partial: Buffer = nothing;
  #partialLength = 0;
  #skip = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  push(chunk: Buffer): void {
    if (this.#at === this.#chunk.length) {
      this.#chunk = chunk;
      this.#at = 0;
    } else {
      this.#queue.push(chunk);
    }
  }

  /** Whether a frame has begun and not ended. */
  get isMidFrame(): boolean {
    return this.#partialLength > 0 || this.#skip > 0;
  }

  /** What came and was not yet handed on as a frame. */
  get unreadBytes(): number {
    return this.#chunk.length - this.#at + this.#partialLength;
  }

  /** Takes up to `max` bytes that are no frame: the client preface. */
  takeRaw(max: number): Buffer {
    const start = this.#at;
    const end = Math.min(this.#chunk.length, start + max);
    const chunk = this.#chunk;
    this.#at = end;
    this.#nextChunk();
    return chunk.subarray(start, end);
  }

  /** Moves to the next whole frame; false if there is none yet. */
  next(): boolean {
    while (this.#at < this.#chunk.length) {
      if (this.#skip > 0) {
        this.#skipBytes();
        continue;
      }
      if (this.#partialLength > 0) {
        if (this.#finishPartial()) {
          return true;
        }
        continue;
      }
      const chunk = this.#chunk;
      const at = this.#at;
      const left = chunk.length - at;
      if (left < frameHeaderBytes) {
        this.#keepRest();
        continue;
      }
      const length = ((chunk[at] ?? 0) << 16) | ((chunk[at + 1] ?? 0) << 8) | (chunk[at + 2] ?? 0);
      if (length > this.#maxFrameBytes) {
        this.#at = at + frameHeaderBytes;
        this.#startOversized(chunk, at, length);
        return true;
      }
      if (left < frameHeaderBytes + length) {
        this.#keepRest();
        continue;
      }
      this.#at = at + frameHeaderBytes + length;
      this.#start(chunk, at, length);
      if (this.#at === chunk.length) {
        this.#nextChunk();
      }
      return true;
    }
    if (this.#partialLength === 0 && this.#partial.length > keptBytes) {
      this.#partial = nothing;
    }
    return false;
  }

  #start(bytes: Buffer, at: number, length: number): void {
    this.type = bytes[at + 3] ?? 0;
    this.flags = bytes[at + 4] ?? 0;
    // The first bit is reserved and ignored (section 4.1).
    this.streamId =
      (((bytes[at + 5] ?? 0) & 0x7f) << 24) |
      ((bytes[at + 6] ?? 0) << 16) |
      ((bytes[at + 7] ?? 0) << 8) |
      (bytes[at + 8] ?? 0);
    this.length = length;
    this.oversized = false;
    this.bytes = bytes;
    this.start = at + frameHeaderBytes;
    this.end = this.start + length;
  }

  /**
   * Section 4.2: too long a frame is FRAME_SIZE_ERROR, and ends the connection if it could change the connection's
   * state. DATA on a stream cannot: it is handed out without its payload, which is thrown away as it comes.
   */
  #startOversized(bytes: Buffer, at: number, length: number): void {
    this.#start(bytes, at, 0);
    if (this.type !== FrameType.Data || this.streamId === 0) {
      throw new ConnectionError(ErrorCode.FrameSizeError, "frame is longer than SETTINGS_MAX_FRAME_SIZE");
    }
    this.length = length;
    this.oversized = true;
    this.#skip = length;
    if (this.#at === this.#chunk.length) {
      this.#nextChunk();
    }
  }

  #skipBytes(): void {
    const bytes = Math.min(this.#skip, this.#chunk.length - this.#at);
    this.#skip -= bytes;
    this.#at += bytes;
    if (this.#at === this.#chunk.length) {
      this.#nextChunk();
    }
  }

  #keepRest(): void {
    this.#append(this.#chunk.length - this.#at);
  }

  /** Adds what the frame in parts lacks; true once it is whole. */
  #finishPartial(): boolean {
    if (this.#partialLength < frameHeaderBytes) {
      this.#append(Math.min(frameHeaderBytes - this.#partialLength, this.#chunk.length - this.#at));
      if (this.#partialLength < frameHeaderBytes) {
        return false;
      }
    }
    const partial = this.#partial;
    const length = ((partial[0] ?? 0) << 16) | ((partial[1] ?? 0) << 8) | (partial[2] ?? 0);
    if (length > this.#maxFrameBytes) {
      this.#partialLength = 0;
      this.#startOversized(partial, 0, length);
      return true;
    }
    const missing = frameHeaderBytes + length - this.#partialLength;
    this.#append(Math.min(missing, this.#chunk.length - this.#at));
    if (this.#partialLength < frameHeaderBytes + length) {
      return false;
    }
    this.#partialLength = 0;
    this.#start(this.#partial, 0, length);
    return true;
  }

  #append(bytes: number): void {
    const needed = this.#partialLength + bytes;
    if (this.#partial.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#partial.length, 64));
      this.#partial.copy(grown, 0, 0, this.#partialLength);
      this.#partial = grown;
    }
    this.#chunk.copy(this.#partial, this.#partialLength, this.#at, this.#at + bytes);
    this.#partialLength = needed;
    this.#at += bytes;
    if (this.#at === this.#chunk.length) {
      this.#nextChunk();
    }
  }

  #nextChunk(): void {
    if (this.#at === this.#chunk.length) {
      this.#chunk = this.#queue.shift() ?? nothing;
      this.#at = 0;
    }
  }
}
