import type { IncomingMessage, ServerResponse } from "node:http";
import { describeError } from "../../machine/describe-error.ts";
import type { Log } from "../../machine/log.ts";
import { closeIterator } from "../close-iterator.ts";
import type { HttpHandler, HttpRequest, HttpResponse, RefuseLargeHeader } from "../exchange.ts";
import type { HttpLimits } from "../port/limits.ts";
import type { Peer } from "../port/peer.ts";
import { requestUrl, splitTarget, unixAuthority, unnamedAuthority } from "../request-target.ts";
import { textResponse } from "../text-response.ts";
import { Http1Reply, PeerGoneError } from "./http1-reply.ts";
import { Http1RequestBody } from "./http1-request-body.ts";
import { requestHeader, valuesOf } from "./request-header.ts";

/** What all HTTP/1.1 connections of a listener share. */
export type Http1Context = {
  readonly scheme: "http" | "https";
  readonly handler: HttpHandler;
  readonly refuseLargeHeader: RefuseLargeHeader;
  readonly limits: HttpLimits;
  readonly log: Log;
};

/**
 * Answers one request, with whose body `onBody` is called. Never rejects; settles when its response is sent or its peer
 * is gone.
 */
export async function answerHttp1Request(
  message: IncomingMessage,
  response: ServerResponse,
  peer: Peer,
  context: Http1Context,
  onBody: (body: Http1RequestBody) => void,
): Promise<void> {
  if (message.socket.destroyed) {
    return;
  }
  const abort = new AbortController();
  const givenUp = Promise.withResolvers<HttpResponse>();
  const body = new Http1RequestBody(message, context.limits.bodyStallMs, () => {
    response.shouldKeepAlive = false;
    givenUp.resolve(textResponse(408, "the request body stopped"));
  });
  onBody(body);
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
    url: url ?? `${context.scheme}://${unnamedAuthority}/`,
    header: header ?? new Headers(),
    body,
    signal: abort.signal,
    peer,
  };
  const refusal = refusalOf(message, url, header, peer, context);
  const handler: HttpHandler = refusal === null ? context.handler : async () => refusal;
  const reply = new Http1Reply(message, response, body, context.limits);
  await answer(handler, request, reply, givenUp.promise, context.log);
}

// HTTP/1.1 needs exactly one Host (RFC 9112, 3.2); HTTP/1.0 may go without.
function urlOf(message: IncomingMessage, peer: Peer, context: Http1Context): string | null {
  const hosts = valuesOf(message.rawHeaders, "host");
  const host = hosts[0] ?? (message.httpVersion === "1.0" ? unnamedAuthority : "");
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
  peer: Peer,
  context: Http1Context,
): HttpResponse | null {
  if (message.rawHeaders.length / 2 > context.limits.maxHeaderCount) {
    return context.refuseLargeHeader(peer, "");
  }
  const codings = message.headers["transfer-encoding"];
  if (codings !== undefined && codings.trim().toLowerCase() !== "chunked") {
    // RFC 9112, 6.1: Node takes the chunks apart and leaves the other codings as they are.
    return textResponse(501, "transfer codings other than chunked are not supported");
  }
  if (url === null) {
    return textResponse(400, "the request target or host is not valid");
  }
  return header === null ? textResponse(400, "a header field is not valid") : null;
}

// Whatever fails ends this exchange only.
async function answer(
  handler: HttpHandler,
  request: HttpRequest,
  reply: Http1Reply,
  givenUp: Promise<HttpResponse>,
  log: Log,
): Promise<void> {
  try {
    await reply.send(request, await respond(handler, request, givenUp));
  } catch (error) {
    if (request.signal.aborted || error instanceof PeerGoneError) {
      reply.reset();
      return;
    }
    log.error(describeError(error), "a response failed");
    await fail(request, reply);
  }
}

/** What the handler answers, or, where the request is given up before, that. */
async function respond(
  handler: HttpHandler,
  request: HttpRequest,
  givenUp: Promise<HttpResponse>,
): Promise<HttpResponse> {
  const handled = invoke(handler, request);
  const response = await Promise.race([handled, givenUp.then(markGivenUp)]);
  if ("givenUp" in response) {
    handled.then(closeBody, ignore);
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

function closeBody({ body }: HttpResponse): void {
  if (body !== undefined && !(body instanceof Uint8Array)) {
    closeIterator(body[Symbol.asyncIterator]());
  }
}

async function fail(request: HttpRequest, reply: Http1Reply): Promise<void> {
  if (reply.isStarted) {
    reply.reset();
    return;
  }
  try {
    await reply.send(request, textResponse(500, "internal error"));
  } catch {
    reply.reset();
  }
}

function ignore(): void {}
