import { describeError } from "../../machine/describe-error.ts";
import type { Log } from "../../machine/log.ts";
import { closeIterator } from "../close-iterator.ts";
import type { HttpHandler, HttpResponse } from "../exchange.ts";
import type { GeneralRequest, GeneralResponse, Handler } from "../http2/general.ts";
import { requestUrl, unixAuthority, unnamedAuthority } from "../request-target.ts";
import { textResponse } from "../text-response.ts";
import type { Peer } from "./peer.ts";

/**
 * Answers HTTP/2 requests with a handler. What fails before the response has begun is logged, and answered with 500.
 */
export function createHttp2Handler(
  handler: HttpHandler,
  { scheme, log }: { readonly scheme: "http" | "https"; readonly log: Log },
): Handler<Peer> {
  return async (request, peer) => {
    try {
      return await toGeneralResponse(await respond(handler, scheme, request, peer), request);
    } catch (error) {
      // The peer may be gone: then a failure says nothing, and the answer has no reader.
      if (!request.signal.aborted) {
        log.error(describeError(error), "a response failed");
      }
      return toGeneralResponse(textResponse(500, "internal error"), request);
    }
  };
}

async function respond(
  handler: HttpHandler,
  scheme: string,
  { method, authority, path, headers, body, signal }: GeneralRequest,
  peer: Peer,
): Promise<HttpResponse> {
  const named = authority === "" ? unnamedAuthority : authority;
  const url = requestUrl(scheme, peer.transport === "unix" ? unixAuthority(named) : named, path);
  if (url === null) {
    return textResponse(400, "the request target or authority is not valid");
  }
  return await handler({ httpVersion: "2.0", method, url, header: headers, body, signal, peer });
}

/** Throws what HTTP/2 cannot carry: what a Headers object takes, it can. */
async function toGeneralResponse(
  { status, header, body, trailer }: HttpResponse,
  { method, signal }: GeneralRequest,
): Promise<GeneralResponse> {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new RangeError("a response's status is a number from 200 to 599");
  }
  const head = {
    status,
    header: new Headers(header),
    // The handler's own object, which may be filled while the body runs.
    ...(trailer === undefined ? {} : { trailer: trailer instanceof Headers ? trailer : new Headers(trailer) }),
  };
  const hasBody = method !== "HEAD" && status !== 204 && status !== 304;
  if (body === undefined || body instanceof Uint8Array) {
    if (!hasBody || body === undefined) {
      return head;
    }
    if (!head.header.has("content-length")) {
      head.header.set("content-length", String(body.byteLength));
    }
    return { ...head, body };
  }
  const chunks = body[Symbol.asyncIterator]();
  if (!hasBody) {
    closeIterator(chunks);
    return head;
  }
  return { ...head, body: await begun(chunks, signal) };
}

/**
 * A body whose first chunk is there: what fails before it can be answered, and both leave in one write. It is told
 * at once when its stream ends early, but waited for: a stream that was reset counts until its work is done
 * (CVE-2025-8671).
 */
async function begun(chunks: AsyncIterator<Uint8Array>, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
  if (signal.aborted) {
    closeIterator(chunks);
    throw signal.reason;
  }
  signal.addEventListener("abort", () => closeIterator(chunks), { once: true });
  return resume(await chunks.next(), chunks);
}

async function* resume(
  first: IteratorResult<Uint8Array>,
  chunks: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for (let next = first; next.done !== true; next = await chunks.next()) {
    yield next.value;
  }
}
