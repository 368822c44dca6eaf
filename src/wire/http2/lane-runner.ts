import type { Account } from "./account.ts";
import { BodyBuffer } from "./body-buffer.ts";
import { ErrorCode } from "./error-code.ts";
import type { Lane, LaneAnswer } from "./lane.ts";
import type { Outgoing } from "./outgoing.ts";
import type { PeerGuard } from "./peer-guard.ts";
import type { RequestHead } from "./request-head.ts";
import type { ServerParts } from "./server-parts.ts";
import type { Stream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";
import type { WorkGate } from "./work-gate.ts";

const nothing = Buffer.alloc(0);

/** What both ways out need of their connection. */
export type RunnerParts<Context> = {
  readonly server: ServerParts<Context>;
  readonly context: Context;
  readonly account: Account;
  readonly table: StreamTable<Context>;
  readonly outgoing: Outgoing<Context>;
  readonly guard: PeerGuard<Context>;
  readonly work: WorkGate;
  /** Hears that there is more room in the account. */
  readonly onRoom: () => void;
};

type Closing<Context> = Pick<RunnerParts<Context>, "server" | "outgoing" | "table">;

/** What every kind of lane is asked before a request takes it. */
type Accepting<Context> = Pick<Lane<Context>, "accepts">;

/** Which of these lanes, by their paths, takes this request; null if none. */
export function laneOf<Context, Kind extends Accepting<Context>>(
  paths: ReadonlyMap<string, Kind>,
  head: RequestHead,
  { server, context }: Pick<RunnerParts<Context>, "server" | "context">,
): Kind | null {
  const lane = paths.get(head.path);
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

/**
 * RFC 9113 section 8.1: a whole response before the whole request asks the client, without an error, to send no more.
 */
export function endEarly<Context>(stream: Stream<Context>, { outgoing, table }: Closing<Context>): void {
  outgoing.resetStream(stream.id, ErrorCode.NoError);
  table.ids.noteReset(stream.id);
  table.close(stream);
}

/** What a lane has thrown is no fault of its client. */
export function failStream<Context>(
  stream: Stream<Context>,
  error: unknown,
  { server, outgoing, table }: Closing<Context>,
): void {
  server.onError(error);
  if (!stream.isClosed) {
    outgoing.resetStream(stream.id, ErrorCode.InternalError);
    table.ids.noteReset(stream.id);
    table.abort(stream, ErrorCode.InternalError, "lane failed");
  }
}

/** Takes lane requests from their header block to their answer. */
export class LaneRunner<Context> {
  readonly #parts: RunnerParts<Context>;

  constructor(parts: RunnerParts<Context>) {
    this.#parts = parts;
  }

  /** Hot path. The lane that takes this request, or null. */
  find(head: RequestHead): Lane<Context> | null {
    return laneOf(this.#parts.server.lanes.paths, head, this.#parts);
  }

  /** Begins a request; one without a body is answered at once. */
  begin(stream: Stream<Context>, lane: Lane<Context>, head: RequestHead, endStream: boolean): void {
    stream.lane = lane;
    // The head's array is filled anew for the next request: the stream takes it and leaves its own.
    const { laneHeaders } = stream;
    stream.laneHeaders = head.laneHeaders;
    head.laneHeaders = laneHeaders;
    stream.hasRemoteEnded = endStream;
    if (head.contentLength > lane.maxBodyBytes) {
      this.#refuse(stream, lane);
    } else if (endStream) {
      this.#answer(stream, lane, nothing, 0, 0);
    }
  }

  /** Hot path. Takes a part of the body; the last one is answered, in place where it is the only one. */
  data(
    stream: Stream<Context>,
    lane: Lane<Context>,
    bytes: Buffer,
    start: number,
    end: number,
    endStream: boolean,
  ): void {
    if (stream.receivedBytes > lane.maxBodyBytes) {
      this.#refuse(stream, lane);
      return;
    }
    if (endStream && stream.laneBody === null) {
      this.#answer(stream, lane, bytes, start, end);
      return;
    }
    if (stream.laneBody === null && this.#refuseStranger(stream, lane)) {
      return;
    }
    const { account } = this.#parts;
    const body = stream.laneBody ?? new BodyBuffer();
    stream.laneBody = body;
    body.push(bytes, start, end);
    account.take(end - start);
    if (endStream) {
      account.give(body.length);
      stream.laneBody = null;
      const whole = body.takeAll();
      this.#answer(stream, lane, whole, 0, whole.length);
    }
  }

  #answer(stream: Stream<Context>, lane: Lane<Context>, bytes: Buffer, start: number, end: number): void {
    if (!this.#parts.work.isOpen) {
      this.#answerInTurn(stream, lane, bytes, start, end);
      return;
    }
    this.#ask(stream, lane, bytes, start, end, false);
  }

  /** `isCounted`: the gate has counted it as work. */
  #ask(
    stream: Stream<Context>,
    lane: Lane<Context>,
    bytes: Buffer,
    start: number,
    end: number,
    isCounted: boolean,
  ): void {
    const { work } = this.#parts;
    let answer: LaneAnswer | Promise<LaneAnswer> | null = null;
    try {
      answer = lane.answer(bytes, start, end, stream.laneHeaders, this.#parts.context, stream);
    } catch (error) {
      failStream(stream, error, this.#parts);
    }
    if (answer instanceof Promise) {
      if (!isCounted) {
        work.start();
      }
      this.#answerLater(stream, answer);
      return;
    }
    if (answer !== null) {
      this.#send(stream, answer);
    }
    if (isCounted) {
      work.finish();
    }
  }

  /** Keeps the body until work on it may begin. */
  #answerInTurn(stream: Stream<Context>, lane: Lane<Context>, bytes: Buffer, start: number, end: number): void {
    const { account, work } = this.#parts;
    const body = new BodyBuffer();
    body.push(bytes, start, end);
    account.take(body.length);
    stream.laneBody = body;
    stream.onAbort = () => work.cancel(stream);
    work.enter(stream, () => {
      stream.onAbort = null;
      stream.laneBody = null;
      account.give(body.length);
      const whole = body.takeAll();
      this.#ask(stream, lane, whole, 0, whole.length, true);
    });
  }

  /** Whether this peer may not ask here, and was told so. */
  #refuseStranger(stream: Stream<Context>, lane: Lane<Context>): boolean {
    let refusal: LaneAnswer | null;
    try {
      refusal = lane.refusal(this.#parts.context);
    } catch (error) {
      failStream(stream, error, this.#parts);
      return true;
    }
    if (refusal === null) {
      return false;
    }
    this.#send(stream, refusal);
    return true;
  }

  #refuse(stream: Stream<Context>, lane: Lane<Context>): void {
    let answer: LaneAnswer;
    try {
      answer = lane.tooLarge(this.#parts.context);
    } catch (error) {
      failStream(stream, error, this.#parts);
      return;
    }
    this.#send(stream, answer);
  }

  #answerLater(stream: Stream<Context>, answer: Promise<LaneAnswer>): void {
    const { table, work } = this.#parts;
    // The lane may still look at the headers: they are its own from now on.
    table.startWork(stream);
    answer.then(
      (value) => {
        table.finishWork(stream);
        work.finish();
        if (!stream.isClosed) {
          this.#send(stream, value);
        }
      },
      (error: unknown) => {
        table.finishWork(stream);
        work.finish();
        failStream(stream, error, this.#parts);
      },
    );
  }

  #send(stream: Stream<Context>, answer: LaneAnswer): void {
    const { table, outgoing, guard } = this.#parts;
    if (outgoing.answer(stream, answer)) {
      guard.noteAnswered();
      if (stream.hasRemoteEnded) {
        table.recycle(stream);
      } else {
        endEarly(stream, this.#parts);
      }
      return;
    }
    this.#sendSlowly(stream, answer);
  }

  /** Where a window is too small for the whole answer. */
  #sendSlowly(stream: Stream<Context>, { head, body, trailer }: LaneAnswer): void {
    const { outgoing } = this.#parts;
    outgoing.preparedHeaders(stream, head, body === null && trailer === null);
    const finish = (sent: boolean): void => {
      if (!sent) {
        return;
      }
      if (trailer !== null) {
        outgoing.preparedHeaders(stream, trailer, true);
      }
      this.#finish(stream);
    };
    if (body === null) {
      finish(true);
    } else {
      outgoing.body(stream, body, trailer === null, finish);
    }
  }

  #finish(stream: Stream<Context>): void {
    this.#parts.guard.noteAnswered();
    if (stream.hasRemoteEnded) {
      this.#parts.table.close(stream);
    } else {
      endEarly(stream, this.#parts);
    }
  }
}
