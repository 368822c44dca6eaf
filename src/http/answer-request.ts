import type { Log } from "../authority/log.ts";
import { describeError } from "./describe-error.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./exchange.ts";
import { textResponse } from "./text-response.ts";
import { untilAborted } from "./until-aborted.ts";

/** Where one response goes. Each protocol has its own. */
export type ResponseSink = {
  /** Whether anything of a response was sent. */
  isStarted(): boolean;
  /** Sends status and header. Throws when the protocol cannot carry them. */
  start(status: number, header: Headers, parts: { readonly hasBody: boolean; readonly hasTrailer: boolean }): void;
  /** Resolves when there is room for more; rejects when the peer is gone or does not read. */
  write(chunk: Uint8Array): Promise<void>;
  /** Resolves when all was handed to the peer's connection; rejects like write. */
  end(trailer: Headers): Promise<void>;
  /** Breaks the response off, so that the peer cannot take it for a whole one. */
  reset(): void;
};

/** Thrown by a sink whose peer is gone or does not read: no fault of the handler's, and not worth a log line. */
export class PeerGoneError extends Error {
  override readonly name = "PeerGoneError";
}

/** Asks the handler and sends what it answers. Never rejects: whatever fails ends this exchange only. */
export async function answerRequest(exchange: {
  readonly handler: HttpHandler;
  readonly request: HttpRequest;
  readonly sink: ResponseSink;
  /** Answers instead of the handler when the request cannot be completed. */
  readonly givenUp: Promise<HttpResponse>;
  readonly log: Log;
}): Promise<void> {
  const { request, sink, log } = exchange;
  try {
    await sendResponse(await decide(exchange), request, sink);
  } catch (error) {
    if (request.signal.aborted || error instanceof PeerGoneError) {
      sink.reset();
      return;
    }
    log.error(describeError(error), "a response failed");
    await fail(request, sink);
  }
}

async function decide(exchange: {
  readonly handler: HttpHandler;
  readonly request: HttpRequest;
  readonly givenUp: Promise<HttpResponse>;
}): Promise<HttpResponse> {
  const handled = invoke(exchange.handler, exchange.request);
  const response = await Promise.race([handled, exchange.givenUp.then(markGivenUp)]);
  if ("givenUp" in response) {
    handled.then((late) => closeBody(late), ignore);
    return response.givenUp;
  }
  return response;
}

function markGivenUp(response: HttpResponse): { readonly givenUp: HttpResponse } {
  return { givenUp: response };
}

// A handler that throws before its first await fails like one that rejects.
async function invoke(handler: HttpHandler, request: HttpRequest): Promise<HttpResponse> {
  return await handler(request);
}

async function fail(request: HttpRequest, sink: ResponseSink): Promise<void> {
  if (sink.isStarted()) {
    sink.reset();
    return;
  }
  try {
    await sendResponse(textResponse(500, "internal error"), request, sink);
  } catch {
    sink.reset();
  }
}

async function sendResponse(response: HttpResponse, request: HttpRequest, sink: ResponseSink): Promise<void> {
  const header = new Headers(response.header);
  const hasTrailer = response.trailer !== undefined;
  if (request.method === "HEAD" || response.status === 204 || response.status === 304) {
    sink.start(response.status, header, { hasBody: false, hasTrailer: false });
    closeBody(response);
    await sink.end(new Headers());
    return;
  }
  if (response.body === undefined || response.body instanceof Uint8Array) {
    const chunk = response.body ?? new Uint8Array(0);
    if (!hasTrailer && !header.has("content-length")) {
      header.set("content-length", String(chunk.byteLength));
    }
    sink.start(response.status, header, { hasBody: chunk.byteLength > 0, hasTrailer });
    if (chunk.byteLength > 0) {
      await sink.write(chunk);
    }
  } else {
    await sendBody(response.body, request.signal, sink, () =>
      sink.start(response.status, header, { hasBody: true, hasTrailer }),
    );
  }
  await sink.end(new Headers(response.trailer));
}

async function sendBody(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  sink: ResponseSink,
  start: () => void,
): Promise<void> {
  const iterator = body[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const next = await untilAborted(iterator.next(), signal);
      // The header waits for the first chunk: both leave in one write.
      if (!sink.isStarted()) {
        start();
      }
      if (next.done === true) {
        finished = true;
        return;
      }
      await sink.write(next.value);
    }
  } finally {
    if (!finished) {
      closeIterator(iterator);
    }
  }
}

function closeBody(response: HttpResponse): void {
  if (response.body !== undefined && !(response.body instanceof Uint8Array)) {
    closeIterator(response.body[Symbol.asyncIterator]());
  }
}

// Not awaited: a generator that waits for something takes the return only when that has come.
function closeIterator(iterator: AsyncIterator<Uint8Array>): void {
  iterator.return?.().catch(ignore);
}

function ignore(): void {}
