import { type ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import { type Deadlines, requestedTimeoutMs, timeoutMs, withoutTimeouts } from "../../../calls/deadline.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import type { FinishedCall } from "../../../calls/finished-call.ts";
import { type ReadTrace, readNoTrace } from "../../../calls/trace-headers.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../../wire/exchange.ts";
import { isUnencoded, isUtf8, parseMediaType } from "../../../wire/media-type.ts";
import { isForAnotherHost } from "../../../wire/port/this-machine.ts";
import { rawPath } from "../../../wire/raw-path.ts";
import { hostNotLocal, requestMalformed } from "../errors.ts";
import { maxMessageBytes } from "../limits.ts";
import { abortableIterable } from "./abortable-iterable.ts";
import { answerStream, answerUnary } from "./answer-call.ts";
import { type Call, setCall, startCall } from "./call.ts";
import { finishedCall } from "./finished-call.ts";
import { keeping } from "./json-body.ts";
import {
  forbiddenHost,
  internalServerError,
  methodNotAllowed,
  notFound,
  unsupportedMediaType,
} from "./plain-response.ts";

export type RpcHandlerOptions = {
  /** Connect's handlers by the path of their RPC. Their gate and interceptors are those of this folder, or do the same. */
  readonly routes: ReadonlyMap<string, UniversalHandler>;
  readonly deadlines: Deadlines;
  /** Told of every call of an RPC once it has ended. */
  readonly onCall: (call: FinishedCall) => void;
  /** Default: looks at nothing. */
  readonly readTrace?: ReadTrace | undefined;
  readonly reportFault: ReportFault;
};

/** Drives Connect's handlers from whatever speaks HTTP. */
export function createRpcHandler(options: RpcHandlerOptions): HttpHandler {
  const { routes, deadlines, onCall, readTrace = readNoTrace, reportFault } = options;

  return async (request) => {
    try {
      return await route(request);
    } catch (error) {
      reportFault(error, "none");
      return internalServerError();
    }
  };

  async function route(request: HttpRequest): Promise<HttpResponse> {
    const refusal = isForAnotherHost(request) ? hostNotLocal() : null;
    const handler = routes.get(rawPath(request.url));
    if (handler === undefined) {
      const response = refusal === null ? notFound(request) : forbiddenHost(request);
      return response.body === undefined ? response : await afterRequest(request, response);
    }
    if (!handler.allowedMethods.includes(request.method)) {
      return methodNotAllowed();
    }
    return answer(handler, request, refusal);
  }

  async function answer(
    handler: UniversalHandler,
    request: HttpRequest,
    refusal: ConnectError | null,
  ): Promise<HttpResponse> {
    const requestedMs = requestedTimeoutMs(request.header);
    const isMalformed = requestedMs === "malformed";
    const { call, release } = startCall(
      handler.method,
      request,
      timeoutMs(handler.method, isMalformed ? null : requestedMs, deadlines),
      readTrace(request.header),
    );
    call.refusal = refusal;
    call.malformed = isMalformed ? requestMalformed("the timeout header is malformed") : null;

    const finish = (error: ConnectError | null) => {
      release();
      // Without a context, Connect found no protocol: what it answers then is HTTP's, and no call.
      if (call.context !== null) {
        onCall(finishedCall(call, call.context.protocolName, error));
      }
    };
    const respond = () => handler(toUniversalRequest(request, call));
    const response =
      handler.method.methodKind === "unary"
        ? await answerUnary(call, respond, reportFault, finish)
        : await answerStream(call, respond, finish);
    return response.status === 415 ? unsupportedMediaType() : response;
  }
}

function toUniversalRequest(request: HttpRequest, call: Call): UniversalServerRequest {
  const body = abortableIterable(request.body, call.signal);
  return {
    httpVersion: request.httpVersion,
    method: request.method,
    url: request.url,
    header: plainlyTyped(withoutTimeouts(request.header)),
    body: call.jsonBody === null ? body : keeping(body, call.jsonBody),
    signal: call.signal,
    contextValues: setCall(createContextValues(), call),
  };
}

/** The same headers, with type and encoding in the one form that Connect reads: it knows no quoted charset, and no identity. */
function plainlyTyped(header: Headers): Headers {
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

/**
 * A response to plain HTTP leaves after the end of the request, as simple clients expect, unless that is long in coming. One to
 * gRPC leaves at once: the end of its request may wait for it.
 */
async function afterRequest({ body }: HttpRequest, response: HttpResponse): Promise<HttpResponse> {
  let seenBytes = 0;
  for await (const chunk of body) {
    seenBytes += chunk.byteLength;
    if (seenBytes > maxMessageBytes) {
      break;
    }
  }
  return response;
}
