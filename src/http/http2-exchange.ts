import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { Peer } from "../authority/caller.ts";
import { answerRequest, PeerGoneError, type ResponseSink } from "./answer-request.ts";
import type { ConnectionContext } from "./connection.ts";
import { describeError } from "./describe-error.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./exchange.ts";
import { RequestBody } from "./request-body.ts";
import { requestHeader, valuesOf } from "./request-header.ts";
import { requestUrl, unixAuthority } from "./request-target.ts";
import { textResponse } from "./text-response.ts";
import { waitForEvent } from "./wait-for-event.ts";

// These fields speak of an HTTP/1.1 connection and make an HTTP/2 message malformed (RFC 9113, 8.2.2).
const connectionFields = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];

/** Answers one stream. Never throws: it is called from an event. */
export function answerHttp2Stream(
  stream: ServerHttp2Stream,
  rawHeaders: readonly string[],
  peer: Peer,
  context: ConnectionContext,
): void {
  // Node emits what ends a stream as an error too; its close event tells as much.
  stream.on("error", ignore);
  if (stream.destroyed) {
    return;
  }
  const abort = new AbortController();
  const givenUp = Promise.withResolvers<HttpResponse>();
  const body = new RequestBody(stream, {
    stallMs: context.limits.bodyStallMs,
    onStall: () => givenUp.resolve(textResponse(408, "the request body stopped")),
    isWhole: () => !stream.aborted && stream.rstCode === constants.NGHTTP2_NO_ERROR && !abort.signal.aborted,
  });
  const sink = new Http2Sink(stream, body, context);
  const onGone = () => {
    if (!sink.isComplete()) {
      abort.abort(new Error("the peer reset the stream or went away"));
    }
  };
  stream.once("aborted", onGone);
  stream.once("close", onGone);
  const parsed = parseRequest(rawHeaders, peer, context);
  const request: HttpRequest = {
    httpVersion: "2.0",
    method: parsed.method,
    url: parsed.url ?? `${context.scheme}://${context.defaultAuthority}/`,
    header: parsed.header ?? new Headers(),
    body,
    signal: abort.signal,
    peer,
  };
  const refusal = refusalOf(parsed);
  const handler: HttpHandler = refusal === null ? context.handler : async () => refusal;
  answerRequest({ handler, request, sink, givenUp: givenUp.promise, log: context.log }).catch((error) => {
    context.log.error(describeError(error), "an exchange failed");
  });
}

type ParsedRequest = { readonly method: string; readonly url: string | null; readonly header: Headers | null };

function parseRequest(rawHeaders: readonly string[], peer: Peer, context: ConnectionContext): ParsedRequest {
  const method = valuesOf(rawHeaders, ":method")[0] ?? "";
  const header = requestHeader(rawHeaders);
  const authority = authorityOf(rawHeaders, context.defaultAuthority);
  const path = valuesOf(rawHeaders, ":path")[0] ?? "";
  if (authority === null) {
    return { method, url: null, header };
  }
  const named = peer.transport === "unix" ? unixAuthority(authority) : authority;
  return { method, url: requestUrl(context.scheme, named, path), header };
}

// A Host that names another host than :authority makes the request malformed (RFC 9113, 8.3.1).
function authorityOf(rawHeaders: readonly string[], fallback: string): string | null {
  const hosts = valuesOf(rawHeaders, "host");
  const authority = valuesOf(rawHeaders, ":authority")[0] ?? hosts[0] ?? fallback;
  return hosts.every((host) => host.toLowerCase() === authority.toLowerCase()) ? authority : null;
}

function refusalOf(parsed: ParsedRequest): HttpResponse | null {
  if (parsed.method === "CONNECT") {
    return textResponse(501, "CONNECT is not served");
  }
  if (parsed.url === null) {
    return textResponse(400, "the request target or authority is not valid");
  }
  return parsed.header === null ? textResponse(400, "a header field is not valid") : null;
}

class Http2Sink implements ResponseSink {
  readonly #stream: ServerHttp2Stream;
  readonly #body: RequestBody;
  readonly #context: ConnectionContext;
  #trailer: Headers | null = null;
  #waitsForTrailer = false;
  #complete = false;

  constructor(stream: ServerHttp2Stream, body: RequestBody, context: ConnectionContext) {
    this.#stream = stream;
    this.#body = body;
    this.#context = context;
  }

  isComplete(): boolean {
    return this.#complete;
  }

  isStarted(): boolean {
    return this.#stream.headersSent;
  }

  start(status: number, header: Headers, parts: { readonly hasBody: boolean; readonly hasTrailer: boolean }): void {
    const fields = outgoing(header);
    fields[":status"] = status;
    const endStream = !parts.hasBody && !parts.hasTrailer;
    this.#waitsForTrailer = parts.hasTrailer;
    if (parts.hasTrailer) {
      this.#stream.once("wantTrailers", () => this.#sendTrailer());
    }
    this.#body.tolerateSilence();
    this.#stream.respond(fields, { endStream, waitForTrailers: parts.hasTrailer });
  }

  async write(chunk: Uint8Array): Promise<void> {
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) {
      throw new PeerGoneError("the stream is closed");
    }
    if (!stream.write(chunk)) {
      await this.#progress(["drain", "close"]);
    }
  }

  async end(trailer: Headers): Promise<void> {
    const stream = this.#stream;
    this.#trailer = trailer;
    if (stream.destroyed) {
      return;
    }
    const done = this.#waitsForTrailer ? "wantTrailers" : "finish";
    const isDone = !this.#waitsForTrailer && stream.writableFinished;
    const waiting = isDone ? Promise.resolve() : this.#progress([done, "close"]);
    stream.end();
    await waiting;
    this.#complete = true;
    const { maxDiscardedBytes, bodyStallMs } = this.#context.limits;
    // The peer may stop sending: the response is complete (RFC 9113, 8.1).
    this.#body.discard(maxDiscardedBytes, bodyStallMs, () => stream.close(constants.NGHTTP2_NO_ERROR));
  }

  reset(): void {
    if (!this.#stream.destroyed) {
      this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  async #progress(events: readonly string[]): Promise<void> {
    const { slowReaderMs } = this.#context.limits;
    if (!(await waitForEvent(this.#stream, events, slowReaderMs))) {
      this.#stream.close(constants.NGHTTP2_CANCEL);
      throw new PeerGoneError("the peer does not read the response");
    }
  }

  // Called from an event of the stream: an invalid trailer must not throw here.
  #sendTrailer(): void {
    try {
      this.#stream.sendTrailers(outgoing(this.#trailer ?? new Headers()));
    } catch (error) {
      this.#context.log.error(describeError(error), "a trailer could not be sent");
      this.reset();
    }
  }
}

function outgoing(header: Headers): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = {};
  for (const [name, value] of header) {
    if (!connectionFields.includes(name)) {
      fields[name] = value;
    }
  }
  return fields;
}

function ignore(): void {}
