import { ErrorCode } from "./error-code.ts";
import type { RunnerParts } from "./lane-runner.ts";
import type { RequestHead } from "./request-head.ts";
import type { Stream } from "./stream.ts";
import type { Listener, Speaker, StreamLane } from "./stream-lane.ts";

/**
 * Takes the streams of lanes from their header block to their end. Nothing of them outlives its stream, so that none
 * counts as work that goes on when its client has given it up.
 */
export class StreamLaneRunner<Context> {
  readonly #parts: RunnerParts<Context>;

  constructor(parts: RunnerParts<Context>) {
    this.#parts = parts;
  }

  /** The lane that takes this request, or null. */
  find(head: RequestHead): StreamLane<Context> | null {
    const { server, context } = this.#parts;
    const lane = server.lanes.streams?.get(head.path);
    if (lane === undefined || head.method !== "POST") {
      return null;
    }
    try {
      return lane.accepts(head.laneHeaders, head.authority, context) ? lane : null;
    } catch (error) {
      server.onError(error);
      return null;
    }
  }

  begin(stream: Stream<Context>, lane: StreamLane<Context>, head: RequestHead, endStream: boolean): void {
    stream.hasRemoteEnded = endStream;
    try {
      const listener = lane.open(head.laneHeaders, this.#parts.context, new StreamSpeaker(stream, this.#parts));
      if (listener === null || stream.isClosed) {
        return;
      }
      stream.listener = listener;
      stream.onAbort = () => listener.onClosed();
      if (endStream) {
        listener.hearEnd();
      }
    } catch (error) {
      this.#fail(stream, error);
    }
  }

  /** A part of the body is handed on at once: none is kept here. Returns the work that its lane had. */
  data(
    stream: Stream<Context>,
    listener: Listener,
    bytes: Buffer,
    start: number,
    end: number,
    endStream: boolean,
  ): number {
    let work = 0;
    try {
      if (end > start) {
        work = listener.hear(bytes, start, end);
      }
      if (endStream && stream.listener !== null) {
        listener.hearEnd();
      }
    } catch (error) {
      this.#fail(stream, error);
    }
    return work;
  }

  #fail(stream: Stream<Context>, error: unknown): void {
    const { server, table, outgoing } = this.#parts;
    server.onError(error);
    if (!stream.isClosed) {
      outgoing.resetStream(stream.id, ErrorCode.InternalError);
      table.ids.noteReset(stream.id);
      table.abort(stream, ErrorCode.InternalError, "lane failed");
    }
  }
}

class StreamSpeaker<Context> implements Speaker {
  readonly #stream: Stream<Context>;
  readonly #parts: RunnerParts<Context>;
  /** What is sent once nothing waits any more; null before `end`. */
  #last: Uint8Array | null = null;

  constructor(stream: Stream<Context>, parts: RunnerParts<Context>) {
    this.#stream = stream;
    this.#parts = parts;
  }

  get hasRoom(): boolean {
    return this.#stream.outgoing === null;
  }

  begin(head: Uint8Array): void {
    if (!this.#stream.isClosed) {
      this.#stream.hasAnswerBegun = true;
      this.#parts.outgoing.preparedHeaders(this.#stream, head, false);
    }
  }

  send(bytes: Uint8Array): void {
    const { outgoing } = this.#parts;
    if (!this.#stream.isClosed && !outgoing.part(this.#stream, bytes)) {
      outgoing.body(this.#stream, bytes, false, (sent) => this.#onSent(sent));
    }
  }

  end(block: Uint8Array): void {
    const stream = this.#stream;
    if (stream.isClosed || this.#last !== null) {
      return;
    }
    this.#last = block;
    stream.listener = null;
    stream.onAbort = null;
    if (this.hasRoom) {
      this.#finish(block);
    }
  }

  #onSent(sent: boolean): void {
    if (!sent) {
      return;
    }
    if (this.#last !== null) {
      this.#finish(this.#last);
      return;
    }
    try {
      this.#stream.listener?.onRoom();
    } catch (error) {
      this.#parts.server.onError(error);
    }
  }

  #finish(block: Uint8Array): void {
    const { outgoing, guard, table } = this.#parts;
    const stream = this.#stream;
    stream.hasAnswerBegun = true;
    outgoing.preparedHeaders(stream, block, true);
    guard.noteAnswered();
    if (!stream.hasRemoteEnded) {
      // RFC 9113 section 8.1: the response is whole; the rest of the request is not wanted.
      outgoing.resetStream(stream.id, ErrorCode.NoError);
      table.ids.noteReset(stream.id);
    }
    table.close(stream);
  }
}
