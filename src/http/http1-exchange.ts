import type { IncomingMessage, ServerResponse } from "node:http";
import type { Peer } from "../authority/caller.ts";
import { answerRequest, PeerGoneError, type ResponseSink } from "./answer-request.ts";
import type { ConnectionContext } from "./connection.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./exchange.ts";
import { RequestBody } from "./request-body.ts";
import { requestHeader, valuesOf } from "./request-header.ts";
import { requestUrl, splitTarget, unixAuthority } from "./request-target.ts";
import { textResponse } from "./text-response.ts";
import { waitForEvent } from "./wait-for-event.ts";

/** Answers one request. Never rejects; settles when its response is sent or its peer is gone. */
export async function answerHttp1Request(
  message: IncomingMessage,
  response: ServerResponse,
  peer: Peer,
  context: ConnectionContext,
): Promise<void> {
  if (message.socket.destroyed) {
    return;
  }
  const abort = new AbortController();
  const givenUp = Promise.withResolvers<HttpResponse>();
  const body = new RequestBody(message, {
    stallMs: context.limits.bodyStallMs,
    onStall: () => {
      response.shouldKeepAlive = false;
      givenUp.resolve(textResponse(408, "the request body stopped"));
    },
    isWhole: () => message.complete,
  });
  response.once("close", () => {
    if (!response.writableFinished) {
      abort.abort(new Error("the peer went away"));
    }
  });
  const header = requestHeader(message.rawHeaders);
  const url = urlOf(message, peer, context);
  const request: HttpRequest = {
    httpVersion: message.httpVersion,
    method: message.method ?? "",
    url: url ?? `${context.scheme}://${context.defaultAuthority}/`,
    header: header ?? new Headers(),
    body,
    signal: abort.signal,
    peer,
  };
  const refusal = refusalOf(message, url, header, context);
  const handler: HttpHandler = refusal === null ? context.handler : async () => refusal;
  const sink = new Http1Sink(message, response, body, context);
  await answerRequest({ handler, request, sink, givenUp: givenUp.promise, log: context.log });
}

// HTTP/1.1 needs exactly one Host (RFC 9112, 3.2); HTTP/1.0 may go without.
function urlOf(message: IncomingMessage, peer: Peer, context: ConnectionContext): string | null {
  const hosts = valuesOf(message.rawHeaders, "host");
  const host = hosts[0] ?? (message.httpVersion === "1.0" ? context.defaultAuthority : "");
  const target = hosts.length > 1 ? null : splitTarget(message.url ?? "", host);
  if (target === null || host === "") {
    return null;
  }
  const authority = peer.transport === "unix" ? unixAuthority(target.authority) : target.authority;
  return requestUrl(context.scheme, authority, target.path);
}

function refusalOf(
  message: IncomingMessage,
  url: string | null,
  header: Headers | null,
  context: ConnectionContext,
): HttpResponse | null {
  if (message.rawHeaders.length / 2 > context.limits.maxHeaderCount) {
    return textResponse(431, "too many header fields");
  }
  if (url === null) {
    return textResponse(400, "the request target or host is not valid");
  }
  return header === null ? textResponse(400, "a header field is not valid") : null;
}

class Http1Sink implements ResponseSink {
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #body: RequestBody;
  readonly #context: ConnectionContext;
  #started = false;

  constructor(message: IncomingMessage, response: ServerResponse, body: RequestBody, context: ConnectionContext) {
    this.#message = message;
    this.#response = response;
    this.#body = body;
    this.#context = context;
  }

  isStarted(): boolean {
    return this.#started;
  }

  start(status: number, header: Headers): void {
    this.#body.tolerateSilence();
    // Node writes the header with the first chunk.
    this.#response.statusCode = status;
    this.#response.setHeaders(header);
    this.#started = true;
  }

  async write(chunk: Uint8Array): Promise<void> {
    if (this.#response.destroyed) {
      throw new PeerGoneError("the connection is closed");
    }
    if (!this.#response.write(chunk)) {
      await this.#progress(["drain", "close"]);
    }
  }

  async end(trailer: Headers): Promise<void> {
    const response = this.#response;
    if (response.destroyed) {
      return;
    }
    const socket = this.#message.socket;
    const { maxDiscardedBytes, bodyStallMs } = this.#context.limits;
    const fields = [...trailer];
    if (fields.length > 0) {
      response.addTrailers(fields);
    }
    const waiting = this.#progress(["finish", "close"]);
    response.end();
    // What is left of the request stands before the next one on this connection.
    this.#body.discard(maxDiscardedBytes, bodyStallMs, () => socket.destroy());
    await waiting;
  }

  reset(): void {
    this.#message.socket.destroy();
  }

  async #progress(events: readonly string[]): Promise<void> {
    if (!(await waitForEvent(this.#response, events, this.#context.limits.slowReaderMs))) {
      this.#message.socket.destroy();
      throw new PeerGoneError("the peer does not read the response");
    }
  }
}
