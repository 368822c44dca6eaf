import type { Duplex } from "node:stream";
import type { Account } from "./account.ts";
import type { ErrorCode } from "./error-code.ts";
import { initialFrameBytes, initialWindowBytes } from "./frame.ts";
import { FrameWriter, type SlabPool } from "./frame-writer.ts";
import { type HeaderPair, HpackEncoder } from "./hpack-encoder.ts";
import type { LaneAnswer } from "./lane.ts";
import type { Limits } from "./limits.ts";
import { SendWindow } from "./send-window.ts";
import type { Stream } from "./stream.ts";

/** A PING and two WINDOW_UPDATEs, as grpc-go sends them when it reads DATA. */
const wholePartEarns = 12;

type OutgoingLimits = Pick<Limits, "headerTableBytes" | "maxUnsentBytes">;

/**
 * All that leaves on a connection, in order, as far as the peer's windows (RFC 9113 section 5.2) and its reading let
 * it. Frames gather until the turn's end and leave in one write.
 */
export class Outgoing<Context> {
  readonly writer: FrameWriter;
  /** The connection's window. */
  readonly window: SendWindow = new SendWindow(initialWindowBytes);
  /** The peer's SETTINGS_INITIAL_WINDOW_SIZE. */
  initialWindowBytes: number = initialWindowBytes;
  readonly encoder: HpackEncoder;

  readonly #socket: Duplex;
  readonly #limits: OutgoingLimits;
  /** The server's: bodies that wait are answers, and shut no window of the connection's own requests. */
  readonly #account: Account;
  /** Streams that have something to send and a window of their own for it, in the order of their turns. */
  readonly #ready = new Set<Stream<Context>>();
  #earned = 0;
  #isCorked = false;
  #isFlushPlanned = false;
  #writtenBytes = 0;
  #waitingBodyBytes = 0;
  #sentBodyBytes = 0;
  /** Hears that fewer bytes of bodies wait. */
  onRoom: () => void = () => {};
  #isEnded = false;

  constructor(socket: Duplex, pool: SlabPool, account: Account, limits: OutgoingLimits) {
    this.#socket = socket;
    this.#account = account;
    this.#limits = limits;
    this.writer = new FrameWriter(pool);
    this.encoder = new HpackEncoder(limits.headerTableBytes);
  }

  /** What we made and the kernel has not taken: a peer that does not read, or not fast enough. */
  get unsentBytes(): number {
    return this.writer.length + this.#socket.writableLength;
  }

  get isBackedUp(): boolean {
    // Never below the socket's own mark: past that it tells when it has drained.
    return this.unsentBytes >= Math.max(this.#limits.maxUnsentBytes, this.#socket.writableHighWaterMark);
  }

  /** What of bodies was handed to `body` and is not yet in the writer. */
  get waitingBodyBytes(): number {
    return this.#waitingBodyBytes;
  }

  /** How much the kernel has taken so far: whether a peer reads at all. */
  get takenBytes(): number {
    return this.#writtenBytes - this.#socket.writableLength;
  }

  /** How much of bodies was written so far, of those that `body` and `part` send: whether windows are opened at all. */
  get sentBodyBytes(): number {
    return this.#sentBodyBytes;
  }

  /**
   * What the peer may have spent on windows and PINGs for what was sent since the last call: for each part of a body
   * that was sent whole, and for each KiB. Bytes one at a time earn nothing (CVE-2019-9511).
   */
  takeEarned(): number {
    const earned = this.#earned;
    this.#earned = 0;
    return earned;
  }

  /** Until `uncork`, nothing is written: all answers to one read leave together. */
  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.#isCorked = false;
    this.flush();
  }

  /** Writes what waits once this turn's callbacks have run: answers that are ready at one time leave together. */
  flushSoon(): void {
    if (!this.#isCorked && !this.#isFlushPlanned) {
      this.#isFlushPlanned = true;
      setImmediate(() => {
        this.#isFlushPlanned = false;
        this.flush();
      });
    }
  }

  flush(): void {
    if (this.#isEnded || this.#socket.destroyed || this.#socket.writableEnded) {
      this.writer.discard();
      return;
    }
    this.#pump();
    this.#writtenBytes += this.writer.flush(this.#socket);
    if (this.#ready.size > 0 && this.window.available > 0 && !this.isBackedUp) {
      // The kernel took all that one turn may write, and there is more.
      this.flushSoon();
    }
  }

  /** Flushes and closes our side: nothing leaves after it. */
  end(): void {
    this.flush();
    if (!this.#isEnded) {
      this.#isEnded = true;
      this.#socket.end();
    }
  }

  /**
   * Hot path. Sends a whole response at once; false, and nothing sent, if a window or a frame is too small for that.
   */
  answer(stream: Stream<Context>, answer: LaneAnswer): boolean {
    const { head, body, trailer } = answer;
    const bytes = body === null ? 0 : body.length;
    if (
      bytes > this.window.available ||
      bytes > stream.sendWindow.available ||
      bytes > initialFrameBytes ||
      head.length > initialFrameBytes ||
      (trailer !== null && trailer.length > initialFrameBytes) ||
      this.encoder.needsTableUpdate
    ) {
      return false;
    }
    this.window.available -= bytes;
    this.writer.response(stream.id, head, body, trailer);
    this.flushSoon();
    return true;
  }

  headers(stream: Stream<Context>, pairs: Iterable<HeaderPair>, endStream: boolean): void {
    this.writer.headers(stream.id, this.encoder.encode(pairs), endStream);
    stream.hasLocalEnded = endStream;
    this.flushSoon();
  }

  /** A header block that was made beforehand, behind the table update that may be due (RFC 7541 section 4.2). */
  preparedHeaders(stream: Stream<Context>, block: Uint8Array, endStream: boolean): void {
    const whole = this.encoder.needsTableUpdate ? Buffer.concat([this.encoder.takeTableUpdate(), block]) : block;
    this.writer.headers(stream.id, whole, endStream);
    stream.hasLocalEnded = endStream;
    this.flushSoon();
  }

  /** Sends a part of a body at once; false, and nothing sent, if it must wait: then `body` sends it. */
  part(stream: Stream<Context>, bytes: Uint8Array): boolean {
    const { length } = bytes;
    if (
      length > this.window.available ||
      length > stream.sendWindow.available ||
      length > initialFrameBytes ||
      this.isBackedUp
    ) {
      return false;
    }
    this.writer.data(stream.id, bytes, false);
    this.#noteSent(stream, length, true);
    this.flushSoon();
    return true;
  }

  /**
   * Sends a part of a body as the windows allow, one part of a stream at a time. `onSent` hears when it is in the
   * writer.
   */
  body(stream: Stream<Context>, bytes: Uint8Array, endStream: boolean, onSent: (sent: boolean) => void): void {
    stream.outgoing = bytes;
    stream.outgoingAt = 0;
    stream.outgoingEnds = endStream;
    stream.onSent = (sent) => {
      // Given up, it takes what is left of it along.
      this.#countWaiting(stream.outgoingAt - bytes.length);
      onSent(sent);
    };
    this.#countWaiting(bytes.length);
    this.resume(stream);
  }

  /** A stream's window has grown, or it has something new to send. */
  resume(stream: Stream<Context>): void {
    if (stream.outgoing !== null) {
      this.#ready.add(stream);
      this.flushSoon();
    }
  }

  resetStream(id: number, code: ErrorCode): void {
    this.writer.resetStream(id, code);
    this.flushSoon();
  }

  windowUpdate(id: number, increment: number): void {
    if (increment > 0) {
      this.writer.windowUpdate(id, increment);
      this.flushSoon();
    }
  }

  /** Lets the streams send in turns, a frame each, so that none waits for another's long body. */
  #pump(): void {
    for (const stream of this.#ready) {
      if (this.isBackedUp) {
        return;
      }
      const bytes = stream.outgoing;
      if (bytes === null) {
        this.#ready.delete(stream);
        continue;
      }
      const left = bytes.length - stream.outgoingAt;
      const allowed = Math.min(left, stream.sendWindow.available, initialFrameBytes);
      if (allowed <= 0 && left > 0) {
        // Its own window is shut: WINDOW_UPDATE or SETTINGS will bring it back.
        this.#ready.delete(stream);
        continue;
      }
      const count = Math.min(allowed, this.window.available);
      if (count <= 0 && left > 0) {
        return;
      }
      // To the end of the line: a set is walked in the order of adding, what is added now included.
      this.#ready.delete(stream);
      this.#sendPart(stream, bytes, count);
    }
  }

  #noteSent(stream: Stream<Context>, bytes: number, isWhole: boolean): void {
    this.window.available -= bytes;
    stream.sendWindow.available -= bytes;
    stream.sentBytes += bytes;
    this.#sentBodyBytes += bytes;
    this.#earned += (bytes >> 10) + (isWhole ? wholePartEarns : 0);
  }

  #countWaiting(bytes: number): void {
    this.#waitingBodyBytes += bytes;
    if (bytes > 0) {
      this.#account.take(bytes);
    } else if (bytes < 0) {
      this.#account.give(-bytes);
      this.onRoom();
    }
  }

  #sendPart(stream: Stream<Context>, bytes: Uint8Array, count: number): void {
    const start = stream.outgoingAt;
    const end = start + count;
    const isWhole = end === bytes.length;
    if (count > 0 || stream.outgoingEnds) {
      this.writer.data(
        stream.id,
        start === 0 && isWhole ? bytes : bytes.subarray(start, end),
        isWhole && stream.outgoingEnds,
      );
    }
    this.#noteSent(stream, count, isWhole);
    stream.outgoingAt = end;
    this.#countWaiting(-count);
    if (!isWhole) {
      this.#ready.add(stream);
      return;
    }
    const { onSent } = stream;
    stream.hasLocalEnded = stream.outgoingEnds;
    stream.outgoing = null;
    stream.onSent = null;
    onSent?.(true);
  }
}
