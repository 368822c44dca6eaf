import type { Account } from "./account.ts";
import { StreamAborted } from "./error-code.ts";
import { Stream } from "./stream.ts";
import { StreamIds } from "./stream-ids.ts";

const sparesKept = 64;

/** The streams of a connection that are under way. */
export class StreamTable<Context> {
  readonly ids: StreamIds = new StreamIds();
  readonly #open = new Map<number, Stream<Context>>();
  readonly #spare: Stream<Context>[] = [];
  #closedAtWork = 0;
  #headerBytes = 0;
  #readBytes = 0;
  readonly #account: Account;
  readonly #onIdle: () => void;

  /**
   * Takes what it holds of the streams that it closes from the account: bodies of lanes, what lanes of streams keep,
   * header fields of general requests. `onIdle` hears when nothing is under way any more.
   */
  constructor(account: Account, onIdle: () => void) {
    this.#account = account;
    this.#onIdle = onIdle;
  }

  /** What counts against SETTINGS_MAX_CONCURRENT_STREAMS, by the client's count. */
  get openCount(): number {
    return this.#open.size;
  }

  /** The same, and those that were reset and whose work is not done. */
  get underWay(): number {
    return this.#open.size + this.#closedAtWork;
  }

  /** What the header fields of its general requests take. */
  get headerBytes(): number {
    return this.#headerBytes;
  }

  /** What handlers have read of bodies and may keep, since they have not answered. */
  get readBytes(): number {
    return this.#readBytes;
  }

  get(id: number): Stream<Context> | undefined {
    return this.#open.get(id);
  }

  all(): Iterable<Stream<Context>> {
    return this.#open.values();
  }

  open(id: number, contentLength: number, nowMs: number): Stream<Context> {
    const stream = this.#spare.pop() ?? new Stream<Context>();
    stream.begin(id, contentLength, nowMs);
    this.#open.set(id, stream);
    return stream;
  }

  /** Of the streams that wait for more of their bodies or to begin, the one that holds most; undefined if none does. */
  heaviestWaiting(): Stream<Context> | undefined {
    let heaviest: Stream<Context> | undefined;
    let most = 0;
    for (const stream of this.#open.values()) {
      const { waitingBytes } = stream;
      if (waitingBytes > most) {
        most = waitingBytes;
        heaviest = stream;
      }
    }
    return heaviest;
  }

  /** Closes a stream that nothing else holds: the object is used again. */
  recycle(stream: Stream<Context>): void {
    this.#remove(stream);
    stream.lane = null;
    if (this.#spare.length < sparesKept) {
      this.#spare.push(stream);
    }
    this.#noteIdle();
  }

  /** Closes a stream as its state allows: both ends have ended. */
  close(stream: Stream<Context>): void {
    if (!stream.isClosed) {
      this.#remove(stream);
      this.#closedAtWork += stream.isWorking ? 1 : 0;
      this.#noteIdle();
    }
  }

  /** Closes a stream early: its work hears of it, and no more is sent or received. */
  abort(stream: Stream<Context>, code: number, message: string): void {
    if (stream.isClosed) {
      return;
    }
    this.close(stream);
    const { onSent, onAbort } = stream;
    stream.onAbort = null;
    stream.listener = null;
    onAbort?.();
    stream.outgoing = null;
    stream.onSent = null;
    const reason = new StreamAborted(code, message);
    stream.body?.fail(reason);
    stream.controller?.abort(reason);
    onSent?.(false);
  }

  /** Counts the header fields of a general request, until its stream closes. */
  keepHeaders(stream: Stream<Context>, bytes: number): void {
    stream.headerBytes = bytes;
    this.#headerBytes += bytes;
    this.#account.take(bytes);
  }

  /** Counts what a handler has read by now, until it answers or the stream closes. In no account: no window shuts. */
  noteRead(stream: Stream<Context>, bytes: number): void {
    this.#readBytes += bytes - stream.readBytes;
    stream.readBytes = bytes;
  }

  /** Counts what a lane of streams keeps of a stream by now, until the stream closes. */
  noteKept(stream: Stream<Context>, bytes: number): void {
    const more = bytes - stream.keptBytes;
    stream.keptBytes = bytes;
    if (more > 0) {
      this.#account.take(more);
    } else if (more < 0) {
      this.#account.give(-more);
    }
  }

  startWork(stream: Stream<Context>): void {
    stream.isWorking = true;
  }

  finishWork(stream: Stream<Context>): void {
    stream.isWorking = false;
    if (stream.isClosed) {
      this.#closedAtWork--;
      this.#noteIdle();
    }
  }

  #remove(stream: Stream<Context>): void {
    stream.isClosed = true;
    this.#open.delete(stream.id);
    if (stream.laneBody !== null) {
      this.#account.give(stream.laneBody.length);
      stream.laneBody = null;
    }
    this.noteKept(stream, 0);
    this.noteRead(stream, 0);
    if (stream.headerBytes > 0) {
      this.#headerBytes -= stream.headerBytes;
      this.#account.give(stream.headerBytes);
      stream.headerBytes = 0;
    }
  }

  #noteIdle(): void {
    if (this.#open.size === 0 && this.#closedAtWork === 0) {
      this.#onIdle();
    }
  }
}
