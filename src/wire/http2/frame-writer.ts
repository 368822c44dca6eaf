import type { Duplex } from "node:stream";
import type { ErrorCode } from "./error-code.ts";
import { Flag, FrameType, frameHeaderBytes, initialFrameBytes } from "./frame.ts";

const slabBytes = 65_536;
/** Below this a loop copies faster than a call into the runtime. */
const loopBytes = 48;

/**
 * Buffers that frames are written into, one for all connections that have nothing in the making: an idle connection
 * holds none.
 */
export class SlabPool {
  readonly #free: Buffer[] = [];

  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(slabBytes);
  }

  give(slab: Buffer): void {
    if (slab.length === slabBytes && this.#free.length < 4) {
      this.#free.push(slab);
    }
  }
}

/** Puts frames (RFC 9113 section 6) one after another, to leave in one write. */
export class FrameWriter {
  readonly #pool: SlabPool;
  #slab: Buffer | null = null;
  #end = 0;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Bytes that `flush` will write. */
  get length(): number {
    return this.#end;
  }

  /** Writes what was put since the last time. Returns how many bytes. */
  flush(socket: Duplex): number {
    const slab = this.#slab;
    const end = this.#end;
    if (slab === null || end === 0) {
      return 0;
    }
    this.#slab = null;
    this.#end = 0;
    const bytes = slab.subarray(0, end);
    if (socket.writableLength > 0 || "encrypted" in socket) {
      // This write has to wait, or passes through TLS: a copy of the few bytes waits, and the slab is free again.
      socket.write(Buffer.from(bytes));
      this.#pool.give(slab);
      return end;
    }
    socket.write(bytes);
    if (socket.writableLength === 0) {
      // The kernel took all of it at once.
      this.#pool.give(slab);
    }
    return end;
  }

  /** Throws away what was put since the last flush: its reader has gone. */
  discard(): void {
    if (this.#slab !== null) {
      this.#pool.give(this.#slab);
      this.#slab = null;
      this.#end = 0;
    }
  }

  /** A whole response: HEADERS, DATA and trailers; each part fits a frame of the peer's. */
  response(streamId: number, head: Uint8Array, body: Uint8Array | null, trailer: Uint8Array | null): void {
    const slab = this.#reserve(3 * frameHeaderBytes + head.length + (body?.length ?? 0) + (trailer?.length ?? 0));
    let at = this.#end;
    const endsWithHead = body === null && trailer === null;
    at = putHeader(
      slab,
      at,
      head.length,
      FrameType.Headers,
      endsWithHead ? Flag.EndHeaders | Flag.EndStream : Flag.EndHeaders,
      streamId,
    );
    at = putBytes(slab, at, head);
    if (body !== null) {
      at = putHeader(slab, at, body.length, FrameType.Data, trailer === null ? Flag.EndStream : 0, streamId);
      at = putBytes(slab, at, body);
    }
    if (trailer !== null) {
      at = putHeader(slab, at, trailer.length, FrameType.Headers, Flag.EndHeaders | Flag.EndStream, streamId);
      at = putBytes(slab, at, trailer);
    }
    this.#end = at;
  }

  /** A header block, cut into CONTINUATION frames where it is long (section 6.10). */
  headers(streamId: number, block: Uint8Array, endStream: boolean): void {
    const flags = endStream ? Flag.EndStream : 0;
    let start = 0;
    do {
      const end = Math.min(block.length, start + initialFrameBytes);
      const lastFlag = end === block.length ? Flag.EndHeaders : 0;
      const slab = this.#reserve(frameHeaderBytes + end - start);
      const type = start === 0 ? FrameType.Headers : FrameType.Continuation;
      this.#end = putHeader(slab, this.#end, end - start, type, (start === 0 ? flags : 0) | lastFlag, streamId);
      this.#end = putBytes(slab, this.#end, block.subarray(start, end));
      start = end;
    } while (start < block.length);
  }

  data(streamId: number, bytes: Uint8Array, endStream: boolean): void {
    const slab = this.#reserve(frameHeaderBytes + bytes.length);
    this.#end = putHeader(slab, this.#end, bytes.length, FrameType.Data, endStream ? Flag.EndStream : 0, streamId);
    this.#end = putBytes(slab, this.#end, bytes);
  }

  resetStream(streamId: number, code: ErrorCode): void {
    this.#word(FrameType.ResetStream, streamId, code);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.#word(FrameType.WindowUpdate, streamId, increment);
  }

  settings(settings: Iterable<readonly [id: number, value: number]>): void {
    const all = [...settings];
    const slab = this.#reserve(frameHeaderBytes + 6 * all.length);
    let at = putHeader(slab, this.#end, 6 * all.length, FrameType.Settings, 0, 0);
    for (const [id, value] of all) {
      at = slab.writeUInt16BE(id, at);
      at = slab.writeUInt32BE(value, at);
    }
    this.#end = at;
  }

  settingsAck(): void {
    this.#end = putHeader(this.#reserve(frameHeaderBytes), this.#end, 0, FrameType.Settings, Flag.Ack, 0);
  }

  ping(payload: Uint8Array, ack: boolean): void {
    const slab = this.#reserve(frameHeaderBytes + payload.length);
    this.#end = putHeader(slab, this.#end, payload.length, FrameType.Ping, ack ? Flag.Ack : 0, 0);
    this.#end = putBytes(slab, this.#end, payload);
  }

  goAway(lastStreamId: number, code: ErrorCode, message: string): void {
    const text = Buffer.from(message, "latin1");
    const slab = this.#reserve(frameHeaderBytes + 8 + text.length);
    let at = putHeader(slab, this.#end, 8 + text.length, FrameType.GoAway, 0, 0);
    at = slab.writeUInt32BE(lastStreamId, at);
    at = slab.writeUInt32BE(code, at);
    this.#end = putBytes(slab, at, text);
  }

  /** A frame whose payload is 32 bits. */
  #word(type: number, streamId: number, word: number): void {
    const slab = this.#reserve(frameHeaderBytes + 4);
    this.#end = slab.writeUInt32BE(word, putHeader(slab, this.#end, 4, type, 0, streamId));
  }

  /** A slab with room for so many bytes more. */
  #reserve(bytes: number): Buffer {
    const slab = this.#slab ?? this.#pool.take();
    if (this.#end + bytes <= slab.length) {
      this.#slab = slab;
      return slab;
    }
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * slab.length, this.#end + bytes));
    slab.copy(grown, 0, 0, this.#end);
    this.#pool.give(slab);
    this.#slab = grown;
    return grown;
  }
}

/** RFC 9113 section 4.1. Returns where the payload begins. */
function putHeader(slab: Buffer, at: number, length: number, type: number, flags: number, streamId: number): number {
  slab[at] = length >>> 16;
  slab[at + 1] = length >>> 8;
  slab[at + 2] = length;
  slab[at + 3] = type;
  slab[at + 4] = flags;
  slab[at + 5] = streamId >>> 24;
  slab[at + 6] = streamId >>> 16;
  slab[at + 7] = streamId >>> 8;
  slab[at + 8] = streamId;
  return at + frameHeaderBytes;
}

function putBytes(slab: Buffer, at: number, bytes: Uint8Array): number {
  const { length } = bytes;
  if (length <= loopBytes) {
    for (let index = 0; index < length; index++) {
      slab[at + index] = bytes[index] ?? 0;
    }
  } else {
    slab.set(bytes, at);
  }
  return at + length;
}
