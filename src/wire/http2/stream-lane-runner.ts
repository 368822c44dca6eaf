import { endEarly, failStream, laneOf, type RunnerParts } from "./lane-runner.ts";
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
    const { streams } = this.#parts.server.lanes;
    return streams === undefined ? null : laneOf(streams, head, this.#parts);
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
      failStream(stream, error, this.#parts);
    }
  }

  /** A part of the body is handed on at once, and what the lane keeps is counted. Returns the work that it was. */
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
        if (stream.listener !== null) {
          this.#parts.table.noteKept(stream, listener.keptBytes);
        }
      }
      if (endStream && stream.listener !== null) {
        listener.hearEnd();
      }
    } catch (error) {
      failStream(stream, error, this.#parts);
    }
    return work;
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
    this.#parts.table.noteKept(stream, 0);
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
    if (stream.hasRemoteEnded) {
      table.close(stream);
    } else {
      endEarly(stream, this.#parts);
    }
  }
}
