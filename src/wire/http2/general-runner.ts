import { ErrorCode, StreamAborted } from "./error-code.ts";
import { isSendable } from "./field.ts";
import type { GeneralRequest, GeneralResponse } from "./general.ts";
import { HandlerGate, HandlerPlace } from "./handler-gate.ts";
import type { HeaderPair } from "./hpack-encoder.ts";
import type { RunnerParts } from "./lane-runner.ts";
import { RequestBody } from "./request-body.ts";
import type { RequestHead } from "./request-head.ts";
import type { Stream } from "./stream.ts";

/** Takes general requests from their header block to the end of their response. */
export class GeneralRunner<Context> {
  readonly #parts: RunnerParts<Context>;
  readonly #gate: HandlerGate;

  constructor(parts: RunnerParts<Context>) {
    this.#parts = parts;
    this.#gate = new HandlerGate(parts.server.limits, parts.outgoing);
  }

  begin(stream: Stream<Context>, head: RequestHead, headers: Headers, endStream: boolean): void {
    const controller = new AbortController();
    const { method, scheme, authority, path } = head;
    let mayContinue = head.expectsContinue && !endStream;
    const place = new HandlerPlace(this.#gate, controller.signal);
    const body = new RequestBody({
      onRead: (bytes) => {
        // RFC 9110 section 10.1.1: the client waits for this before it sends a body that someone reads.
        if (mayContinue && !stream.isClosed && !stream.hasLocalEnded) {
          mayContinue = false;
          this.#parts.outgoing.headers(stream, [[":status", "100"]], false);
        }
        this.#release(stream, bytes);
      },
      onWait: () => place.leave(),
      onArrival(goOn) {
        const wait = place.enter();
        if (wait === null) {
          goOn();
        } else {
          void wait.then(goOn);
        }
      },
    });
    stream.body = body;
    stream.controller = controller;
    stream.hasRemoteEnded = endStream;
    if (endStream) {
      body.end();
    }
    const request = { method, scheme, authority, path, headers, body, signal: controller.signal };
    const { server, work } = this.#parts;
    stream.onAbort = () => server.generalTurns.cancel(this, stream);
    server.generalTurns.begin(this, stream, () => {
      stream.onAbort = () => work.cancel(stream);
      work.enter(stream, () => {
        stream.onAbort = null;
        void this.#run(stream, request, body, place);
      });
    });
  }

  data(body: RequestBody, bytes: Buffer, start: number, end: number, endStream: boolean): void {
    if (end > start) {
      this.#parts.account.take(end - start);
      body.push(bytes, start, end);
    }
    if (endStream) {
      body.end();
    }
  }

  /** What was read makes room, on the stream and on the connection (RFC 9113 section 6.9). */
  #release(stream: Stream<Context>, bytes: number): void {
    const { account, outgoing, table, onRoom } = this.#parts;
    account.give(bytes);
    if (!stream.hasAnswerBegun && !stream.isClosed) {
      table.noteRead(stream, stream.readBytes + bytes);
    }
    onRoom();
    if (!stream.hasRemoteEnded && !stream.isClosed) {
      outgoing.windowUpdate(stream.id, stream.receiveWindow.release(bytes));
    }
  }

  /** Never rejects. */
  async #run(stream: Stream<Context>, request: GeneralRequest, body: RequestBody, place: HandlerPlace): Promise<void> {
    const { server, table, work } = this.#parts;
    try {
      const wait = place.enter();
      if (wait !== null) {
        await wait;
      }
      await this.#answer(stream, request, place);
    } catch (error) {
      // A handler may throw because its stream was aborted: that is not told.
      if (!stream.isClosed) {
        const isBodyMalformed = error instanceof StreamAborted && error.code === ErrorCode.ProtocolError;
        if (!isBodyMalformed) {
          server.onError(error);
        }
        this.#reset(stream, isBodyMalformed ? ErrorCode.ProtocolError : ErrorCode.InternalError);
      }
    } finally {
      // The handler reads no more: bytes that wait, or still come, make room.
      body.fail(new StreamAborted(ErrorCode.NoError, "the response is complete"));
      work.finish();
      if (stream.isWorking) {
        table.finishWork(stream);
      }
    }
  }

  /** Leaves the gate once the response's body, if it has one, is counted among those that wait. */
  async #answer(stream: Stream<Context>, request: GeneralRequest, place: HandlerPlace): Promise<void> {
    const { server, table, context } = this.#parts;
    let responding: Promise<void>;
    try {
      if (stream.isClosed) {
        return;
      }
      table.startWork(stream);
      const response = await server.handle(request, context);
      responding = this.#respond(stream, request, response);
    } finally {
      place.finish();
    }
    await responding;
  }

  async #respond(stream: Stream<Context>, request: GeneralRequest, response: GeneralResponse): Promise<void> {
    if (stream.isClosed) {
      await discard(response);
      return;
    }
    const { outgoing } = this.#parts;
    const { status, body } = response;
    if (!Number.isInteger(status) || status < 200 || status > 599) {
      throw new RangeError("response status is not from 200 to 599");
    }
    const hasBody = request.method !== "HEAD" && status !== 204 && status !== 304;
    const head = sendablePairs([[":status", String(status)]], response.header);
    stream.hasAnswerBegun = true;
    this.#parts.table.noteRead(stream, 0);
    if (!hasBody || body === undefined) {
      const trailer = hasBody ? sendablePairs([], response.trailer) : [];
      outgoing.headers(stream, head, trailer.length === 0);
      if (trailer.length > 0) {
        outgoing.headers(stream, trailer, true);
      }
      await discard(response);
    } else {
      outgoing.headers(stream, head, false);
      if (body instanceof Uint8Array) {
        await this.#sendBytes(stream, body, response);
      } else {
        await this.#sendChunks(stream, body, response);
      }
    }
    this.#finish(stream);
  }

  async #sendBytes(stream: Stream<Context>, body: Uint8Array, response: GeneralResponse): Promise<void> {
    const trailer = sendablePairs([], response.trailer);
    await this.#send(stream, body, trailer.length === 0);
    if (trailer.length > 0) {
      this.#parts.outgoing.headers(stream, trailer, true);
    }
  }

  async #sendChunks(
    stream: Stream<Context>,
    body: AsyncIterable<Uint8Array>,
    response: GeneralResponse,
  ): Promise<void> {
    for await (const chunk of body) {
      if (chunk.length > 0) {
        await this.#send(stream, chunk, false);
      } else if (stream.isClosed) {
        throw closedEarly();
      }
    }
    if (stream.isClosed) {
      throw closedEarly();
    }
    const trailer = sendablePairs([], response.trailer);
    if (trailer.length > 0) {
      this.#parts.outgoing.headers(stream, trailer, true);
    } else {
      await this.#send(stream, new Uint8Array(0), true);
    }
  }

  #send(stream: Stream<Context>, bytes: Uint8Array, endStream: boolean): Promise<void> {
    if (stream.isClosed) {
      return Promise.reject(closedEarly());
    }
    return new Promise((resolve, reject) => {
      this.#parts.outgoing.body(stream, bytes, endStream, (sent) => {
        if (sent) {
          resolve();
        } else {
          reject(closedEarly());
        }
      });
    });
  }

  #finish(stream: Stream<Context>): void {
    if (stream.isClosed) {
      return;
    }
    this.#parts.guard.noteAnswered();
    if (stream.hasRemoteEnded) {
      this.#parts.table.close(stream);
      return;
    }
    // RFC 9113 section 8.1: the response is whole; the rest of the request is not wanted.
    this.#parts.outgoing.resetStream(stream.id, ErrorCode.NoError);
    this.#parts.table.ids.noteReset(stream.id);
    this.#parts.table.close(stream);
  }

  #reset(stream: Stream<Context>, code: ErrorCode): void {
    const { outgoing, table } = this.#parts;
    outgoing.resetStream(stream.id, code);
    table.ids.noteReset(stream.id);
    table.abort(stream, code, "handler failed");
  }
}

function closedEarly(): StreamAborted {
  return new StreamAborted(ErrorCode.Cancel, "the stream closed before its response was sent");
}

/**
 * RFC 9113 section 8.2.2: fields that speak of a connection stay here. One that no message may have is a bug of the
 * handler.
 */
function sendablePairs(first: readonly HeaderPair[], rest: Iterable<HeaderPair> = []): HeaderPair[] {
  const pairs = [...first];
  for (const [name, value] of rest) {
    const lowerName = name.toLowerCase();
    if (connectionSpecific.has(lowerName)) {
      continue;
    }
    if (!isSendable(lowerName, value)) {
      throw new TypeError(`response field ${lowerName} cannot be sent`);
    }
    pairs.push([lowerName, value]);
  }
  return pairs;
}

const connectionSpecific: ReadonlySet<string> = new Set([
  "connection",
  "proxy-connection",
  "keep-alive",
  "transfer-encoding",
  "upgrade",
]);

/** Lets a body that is not sent clean up. */
async function discard({ body }: GeneralResponse): Promise<void> {
  if (body !== undefined && !(body instanceof Uint8Array)) {
    await body[Symbol.asyncIterator]().return?.();
  }
}
