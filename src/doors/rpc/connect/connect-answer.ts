import { createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import { fail } from "../../../calls/call.ts";
import { withoutTimeouts } from "../../../calls/deadline.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import { rpcName } from "../../../calls/rpcs.ts";
import { callCanceled, internalError, type Status } from "../../../calls/status.ts";
import type { HttpResponse } from "../../../wire/exchange.ts";
import { isUnencoded, isUtf8, parseMediaType } from "../../../wire/media-type.ts";
import { abortableIterable } from "./abortable-iterable.ts";
import { toConnectError } from "./connect-error.ts";
import { keeping, unreadableField } from "./json-body.ts";
import { type Passage, setPassage } from "./passage.ts";
import { rewordProtocolError } from "./reword-protocol-error.ts";

/** What Connect's handler answered, and of a stream what calls a listener at its end. */
export type ConnectAnswer = {
  readonly response: HttpResponse;
  readonly rest: ((listener: () => void) => void) | null;
};

/**
 * Answers a request of one message. Null where the answer would repeat what was sent, and the call has noted what to
 * answer instead.
 */
export async function answerUnary(
  handler: UniversalHandler,
  passage: Passage,
  reportFault: ReportFault,
): Promise<ConnectAnswer | null> {
  const response = await collected(await handler(toUniversalRequest(passage)));
  const status = statusOfLibrary(passage, reportFault);
  return status === null ? { response, rest: null } : fail(passage.call, status);
}

/** Answers a request whose messages come and go until one side ends it. */
export async function answerStream(handler: UniversalHandler, passage: Passage): Promise<ConnectAnswer> {
  const response = await handler(toUniversalRequest(passage));
  if (response.body === undefined) {
    return { response, rest: null };
  }
  const { body, rest } = observed(response.body, passage);
  return { response: { ...response, body }, rest };
}

/** Answers the refusal of the passage, as its RPC answers every error. Nobody reads the body of the request. */
export async function answerRefusal(handler: UniversalHandler, passage: Passage): Promise<HttpResponse> {
  const response = await handler(toUniversalRequest(passage));
  return passage.method.methodKind === "unary" ? await collected(response) : response;
}

function toUniversalRequest(passage: Passage): UniversalServerRequest {
  const { httpVersion, method, url, header, body } = passage.request.http;
  const { signal } = passage.request.giving;
  const abortable = abortableIterable(body, signal);
  return {
    httpVersion,
    method,
    url,
    header: plainlyTyped(withoutTimeouts(header)),
    body: passage.jsonBody === null ? abortable : keeping(abortable, passage.jsonBody),
    signal,
    contextValues: setPassage(createContextValues(), passage),
  };
}

/**
 * The same headers, with type and encoding in the one form that Connect reads: it knows no quoted charset, and no
 * identity.
 */
export function plainlyTyped(header: Headers): Headers {
  const contentType = header.get("content-type");
  const type = contentType === null ? null : parseMediaType(contentType);
  const name = type !== null && isUtf8(type) ? type.name : contentType;
  const encoding = header.get("content-encoding");
  if (name === contentType && (encoding === null || !isUnencoded(encoding))) {
    return header;
  }
  const plain = new Headers(header);
  if (name !== null) {
    plain.set("content-type", name);
  }
  if (isUnencoded(encoding)) {
    plain.delete("content-encoding");
  }
  return plain;
}

/** The same body, and its end. It is given up when the client is gone or the reader wants no more. */
function observed(
  source: AsyncIterable<Uint8Array>,
  { call, request: { giving } }: Passage,
): { readonly body: AsyncIterable<Uint8Array>; readonly rest: (listener: () => void) => void } {
  const iterator = source[Symbol.asyncIterator]();
  let isEnded = false;
  let onEnd = () => {};

  function end(): void {
    isEnded = true;
    onEnd();
  }

  async function giveUp(): Promise<void> {
    try {
      await iterator.return?.();
    } catch {
      // Nobody is left to be told.
    }
  }

  function abort(): void {
    // After a deadline the reader is still there, and is told so by what comes next.
    if (call.status === callCanceled) {
      void giveUp();
    }
  }

  if (giving.signal.aborted) {
    // Something else was answered meanwhile.
    void giveUp();
  }
  // A reader whose client is gone may never come back for the rest, and what makes the stream would wait for it.
  giving.signal.addEventListener("abort", abort, { once: true });

  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        try {
          const result = await iterator.next();
          if (result.done === true) {
            end();
          }
          return result;
        } catch (error) {
          end();
          throw error;
        }
      },
      async return() {
        call.status ??= callCanceled;
        end();
        // A generator that waits hears of this only through the signal.
        giving.abort(toConnectError(callCanceled));
        await giveUp();
        return { done: true, value: undefined };
      },
    }),
  };
  return {
    body,
    rest(listener) {
      onEnd = listener;
      if (isEnded) {
        listener();
      }
    },
  };
}

/** Why a call failed, where Connect answered it in words that are not ours; null where it did not. */
function statusOfLibrary(passage: Passage, reportFault: ReportFault): Status | null {
  const { call, context, method, isReached } = passage;
  if (context === null || call.status !== null) {
    return null;
  }
  // Connect aborts its signal with the error that it answers, and with an AbortError when it answers none.
  const reason: unknown = context.signal.reason;
  if (!isReached) {
    return rewordProtocolError(reason, method.input, () => unreadableFieldOf(passage));
  }
  if (reason instanceof Error && reason.name !== "AbortError") {
    reportFault(reason, rpcName(method));
    return internalError;
  }
  return null;
}

function unreadableFieldOf({ jsonBody, context, method }: Passage): string | null {
  return jsonBody === null || context === null
    ? null
    : unreadableField(method.input, context.requestHeader.get("content-type"), jsonBody);
}

async function collected(response: UniversalServerResponse): Promise<HttpResponse> {
  if (response.body === undefined) {
    return response;
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of response.body) {
    chunks.push(chunk);
  }
  if (chunks.length === 0 && response.trailer !== undefined) {
    return trailersOnly(response.status, response.header, response.trailer);
  }
  return { ...response, body: chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks) };
}

/**
 * One header block for a response without a message (gRPC over HTTP/2: Trailers-Only): nginx drops trailers that follow
 * no body.
 */
function trailersOnly(status: number, header: Headers | undefined, trailer: Headers): HttpResponse {
  const all = new Headers(header);
  for (const [name, value] of trailer) {
    all.append(name, value);
  }
  return { status, header: all };
}
