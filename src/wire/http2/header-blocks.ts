import type { Account } from "./account.ts";
import { ConnectionError, ErrorCode } from "./error-code.ts";
import { Flag } from "./frame.ts";
import type { FrameReader } from "./frame-reader.ts";
import type { Limits } from "./limits.ts";

/** The header block that was read last: `bytes` from `start` up to `end`. */
export class HeaderBlocks {
  streamId = 0;
  endsStream = false;
  /** Its frame told a priority that makes the stream depend on itself. */
  dependsOnItself = false;
  bytes: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;

  readonly #limits: Limits;
  readonly #account: Account;
  #parts: Buffer[] = [];
  #partBytes = 0;
  #continuations = 0;
  #isOpen = false;

  constructor(limits: Limits, account: Account) {
    this.#limits = limits;
    this.#account = account;
  }

  /**
   * Whether a block has begun and not ended: until then nothing but its CONTINUATION frames may come (RFC 9113 section
   * 6.10).
   */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Takes a HEADERS frame (section 6.2). True if it holds the whole block. */
  begin(frame: FrameReader): boolean {
    const { bytes, flags, streamId } = frame;
    let { start, end } = frame;
    let dependsOnItself = false;
    if ((flags & Flag.Padded) !== 0) {
      ({ start, end } = withoutPadding(frame));
    }
    if ((flags & Flag.Priority) !== 0) {
      if (end - start < 5) {
        throw new ConnectionError(ErrorCode.FrameSizeError, "HEADERS frame is too short for its priority");
      }
      dependsOnItself = (bytes.readUInt32BE(start) & 0x7fffffff) === streamId;
      start += 5;
    }
    this.streamId = streamId;
    this.endsStream = (flags & Flag.EndStream) !== 0;
    this.dependsOnItself = dependsOnItself;
    if ((flags & Flag.EndHeaders) !== 0) {
      this.bytes = bytes;
      this.start = start;
      this.end = end;
      return true;
    }
    this.#isOpen = true;
    this.#continuations = 0;
    this.#keep(bytes.subarray(start, end));
    return false;
  }

  /** Takes a CONTINUATION frame (section 6.10). True if it ends the block. */
  continue(frame: FrameReader): boolean {
    if (!this.#isOpen || frame.streamId !== this.streamId) {
      throw new ConnectionError(ErrorCode.ProtocolError, "CONTINUATION of no header block");
    }
    this.#continuations++;
    if (this.#continuations > this.#limits.maxContinuations) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "header block has too many CONTINUATION frames");
    }
    this.#keep(frame.bytes.subarray(frame.start, frame.end));
    if ((frame.flags & Flag.EndHeaders) === 0) {
      return false;
    }
    this.bytes = Buffer.concat(this.#parts);
    this.start = 0;
    this.end = this.bytes.length;
    this.drop();
    return true;
  }

  /** Forgets the block that has begun, if one has. */
  drop(): void {
    this.#isOpen = false;
    this.#parts = [];
    this.#account.give(this.#partBytes);
    this.#partBytes = 0;
  }

  /** Copies: the reader uses its buffer again. */
  #keep(part: Buffer): void {
    this.#partBytes += part.length;
    this.#account.take(part.length);
    if (this.#partBytes > this.#limits.maxHeaderBlockBytes) {
      throw new ConnectionError(ErrorCode.EnhanceYourCalm, "header block is too long");
    }
    this.#parts.push(Buffer.from(part));
  }
}

/** Sections 6.1 and 6.2: the first octet tells the padding's length, which must leave room for the rest. */
export function withoutPadding({ bytes, start, end }: { bytes: Buffer; start: number; end: number }): {
  start: number;
  end: number;
} {
  if (start === end) {
    throw new ConnectionError(ErrorCode.FrameSizeError, "padded frame is empty");
  }
  const padding = bytes[start] ?? 0;
  if (start + 1 + padding > end) {
    throw new ConnectionError(ErrorCode.ProtocolError, "padding is longer than its frame");
  }
  return { start: start + 1, end: end - padding };
}
