import { Code, ConnectError } from "@connectrpc/connect";
import type { UniversalServerResponse } from "@connectrpc/connect/protocol";
import type { ReportFault } from "../../../calls/fault-log.ts";
import type { HttpResponse } from "../../../wire/exchange.ts";
import { internalError, reasonOf } from "../errors.ts";
import { type Call, rpcName } from "./call.ts";
import { unreadableField } from "./json-body.ts";
import { rewordProtocolError } from "./reword-protocol-error.ts";

type Respond = () => Promise<UniversalServerResponse>;
type Finish = (error: ConnectError | null) => void;

/** Answers a call as a whole: when this resolves, nothing of the call is left but the response. */
export async function answerUnary(
  call: Call,
  respond: Respond,
  reportFault: ReportFault,
  finish: Finish,
): Promise<HttpResponse> {
  try {
    const response = await collected(await respond());
    const error = errorOfLibrary(call, reportFault);
    if (error === null) {
      return response;
    }
    // The library's own answer repeats what was sent. Refused at the gate, the same request is answered in the same protocol.
    call.refusal = error;
    return await collected(await respond());
  } finally {
    finish(call.error);
  }
}

/** Answers a call whose messages come and go until one side ends it. */
export async function answerStream(call: Call, respond: Respond, finish: Finish): Promise<HttpResponse> {
  let isFinished = false;
  const end = () => {
    if (!isFinished) {
      isFinished = true;
      finish(call.error ?? (call.signal.aborted ? call.signal.reason : null));
    }
  };
  try {
    const response = await respond();
    if (response.body === undefined) {
      end();
      return response;
    }
    return { ...response, body: observed(response.body, call, end) };
  } catch (error) {
    end();
    throw error;
  }
}

/** The same body, whose end is noticed. It is given up when the client is gone or the reader wants no more. */
function observed(body: AsyncIterable<Uint8Array>, call: Call, end: () => void): AsyncIterable<Uint8Array> {
  const iterator = body[Symbol.asyncIterator]();

  async function giveUp(): Promise<void> {
    try {
      await iterator.return?.();
    } catch {
      // Nobody is left to be told.
    }
  }

  function abort(): void {
    end();
    // After a deadline the reader is still there, and is told so by what comes next.
    if (call.signal.reason.code === Code.Canceled) {
      void giveUp();
    }
  }

  // A reader whose client is gone may never come back for the rest, and what makes the stream would wait for it.
  if (call.signal.aborted) {
    abort();
  } else {
    call.signal.addEventListener("abort", abort, { once: true });
  }

  return {
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
        // A generator that waits hears of this only through the signal.
        call.cancel();
        await giveUp();
        return { done: true, value: undefined };
      },
    }),
  };
}

/** The error to answer in place of one that is not in our words; null when there is none such. */
function errorOfLibrary(call: Call, reportFault: ReportFault): ConnectError | null {
  if (!call.admitted || call.error !== null) {
    return null;
  }
  // Connect aborts its signal with the error that it answers, and with an AbortError when it answers none.
  const reason: unknown = call.context?.signal.reason;
  if (!call.reached) {
    call.error = rewordProtocolError(reason, call.method.input, () => unreadableFieldOf(call));
  } else if (reason instanceof Error && reason.name !== "AbortError" && !isInOurWords(reason)) {
    reportFault(reason, rpcName(call.method));
    call.error = internalError();
  }
  return call.error;
}

function unreadableFieldOf({ jsonBody, context, method }: Call): string | null {
  return jsonBody === null || context === null
    ? null
    : unreadableField(method.input, context.requestHeader.get("content-type"), jsonBody);
}

function isInOurWords(error: Error): boolean {
  return error instanceof ConnectError && reasonOf(error) !== null;
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

/** One header block for a response without a message (gRPC over HTTP/2: Trailers-Only): nginx drops trailers that follow no body. */
function trailersOnly(status: number, header: Headers | undefined, trailer: Headers): HttpResponse {
  const all = new Headers(header);
  for (const [name, value] of trailer) {
    all.append(name, value);
  }
  return { status, header: all };
}
