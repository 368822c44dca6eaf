import type { DescMethod } from "@bufbuild/protobuf";
import type { UniversalHandler } from "@connectrpc/connect/protocol";
import { type Admit, admitOverHttp, hostRefusal } from "../../../calls/admission.ts";
import { fail } from "../../../calls/call.ts";
import { type Deadlines, requestedTimeoutMs, timeoutMs } from "../../../calls/deadline.ts";
import type { ReportFault } from "../../../calls/fault-log.ts";
import type { FinishedCall } from "../../../calls/finished-call.ts";
import { maxMessageBytes } from "../../../calls/limits.ts";
import { requestMalformed } from "../../../calls/request-errors.ts";
import { rpcName } from "../../../calls/rpcs.ts";
import { createRunCall, type RunCall } from "../../../calls/run-call.ts";
import { deadlineExceeded, statusOfError } from "../../../calls/status.ts";
import { type ReadTrace, readNoTrace } from "../../../calls/trace-headers.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../../wire/exchange.ts";
import { rawPath } from "../../../wire/raw-path.ts";
import { answerRefusal, answerStream, answerUnary, type ConnectAnswer, plainlyTyped } from "./connect-answer.ts";
import { toConnectError } from "./connect-error.ts";
import { createPassage, type RpcRequest } from "./passage.ts";
import {
  forbiddenHost,
  httpVersionNotSupported,
  internalServerError,
  methodNotAllowed,
  notFound,
  unsupportedMediaType,
} from "./plain-response.ts";

export type RpcHandlerOptions = {
  /**
   * Connect's handlers by the path of their RPC. Their gate and interceptors are those of this folder, or do the same.
   */
  readonly routes: ReadonlyMap<string, UniversalHandler>;
  /** Makes the decision who may call an RPC. */
  readonly admissionTo: (method: DescMethod) => Admit;
  readonly deadlines: Deadlines;
  /** Told of every call of an RPC once it has ended. */
  readonly onCall: (call: FinishedCall) => void;
  /** Default: looks at nothing. */
  readonly readTrace?: ReadTrace | undefined;
  readonly reportFault: ReportFault;
};

/** One RPC. */
type Route = {
  readonly handler: UniversalHandler;
  readonly runCall: RunCall<RpcRequest, Promise<HttpResponse>>;
};

/** Drives Connect's handlers from whatever speaks HTTP. */
export function createRpcHandler(options: RpcHandlerOptions): HttpHandler {
  const { deadlines, readTrace = readNoTrace, reportFault } = options;
  const routes = new Map(Array.from(options.routes, ([path, handler]) => [path, createRoute(handler, options)]));

  return async (request) => {
    try {
      return await answer(request);
    } catch (error) {
      reportFault(error, "none");
      return internalServerError();
    }
  };

  async function answer(request: HttpRequest): Promise<HttpResponse> {
    const route = routes.get(rawPath(request.url));
    if (route === undefined) {
      const response = hostRefusal(request) === null ? notFound(request) : forbiddenHost(request);
      return response.body === undefined ? response : await afterRequest(request, response);
    }
    const { handler, runCall } = route;
    if (!handler.allowedMethods.includes(request.method)) {
      return methodNotAllowed();
    }
    if (handler.method.methodKind === "bidi_streaming" && request.httpVersion.startsWith("1.")) {
      return httpVersionNotSupported();
    }
    // Without a protocol a request is no call.
    const contentType = plainlyTyped(request.header).get("content-type") ?? "";
    // Only Connect has requests without a body, and so without its type.
    const protocol = request.method === "GET" ? "connect" : protocolOf(handler.method, contentType);
    if (protocol === null) {
      return unsupportedMediaType();
    }
    const requestedMs = requestedTimeoutMs(request.header);
    const ask: RpcRequest = {
      http: request,
      timeoutMs: requestedMs === "malformed" ? requestedMs : timeoutMs(handler.method, requestedMs, deadlines),
      giving: new AbortController(),
    };
    return await runCall.run(ask, request.peer, protocol, readTrace(request.header));
  }
}

function createRoute(handler: UniversalHandler, { admissionTo, onCall, reportFault }: RpcHandlerOptions): Route {
  const { method } = handler;
  const rpc = rpcName(method);
  const admit = admissionTo(method);
  const runCall = createRunCall<RpcRequest, ConnectAnswer, Promise<HttpResponse>>({
    rpc,
    admit: (call, { http }) => admitOverHttp(admit, call, http),
    respond(request, call) {
      if (request.timeoutMs === "malformed") {
        return fail(call, requestMalformed("the timeout header is malformed"));
      }
      if (request.timeoutMs === 0) {
        // A timer would let what is quick win the race.
        return fail(call, deadlineExceeded);
      }
      const passage = createPassage(call, method, request, admit, null);
      return method.methodKind === "unary"
        ? answerUnary(handler, passage, reportFault)
        : answerStream(handler, passage);
    },
    statusOf: (error) => statusOfError(error, rpc, reportFault),
    succeed: async ({ response }) => response,
    fail: (status, call, request) => answerRefusal(handler, createPassage(call, method, request, admit, status)),
    waitMs: ({ timeoutMs: waitMs }) => (waitMs === "malformed" ? null : waitMs),
    isGone: ({ http }) => http.signal.aborted,
    gone: ({ http }) => http.signal,
    giveUp: (status, { giving }) => giving.abort(toConnectError(status)),
    rest: ({ rest }) => rest,
    onCall,
  });
  return { handler, runCall };
}

type Protocol = "grpc" | "grpc-web" | "connect";

/** The protocol that has this content type, for an RPC of this kind; null for none. */
function protocolOf({ methodKind }: DescMethod, contentType: string): Protocol | null {
  if (/^application\/grpc(?:\+(?:proto|json))?$/i.test(contentType)) {
    return "grpc";
  }
  if (/^application\/grpc-web(?:\+(?:proto|json))?$/i.test(contentType)) {
    return "grpc-web";
  }
  const connect = methodKind === "unary" ? /^application\/(?:proto|json)$/i : /^application\/connect\+(?:proto|json)$/i;
  return connect.test(contentType) ? "connect" : null;
}

/**
 * A response to plain HTTP leaves after the end of the request, as simple clients expect, unless that is long in
 * coming. One to gRPC leaves at once: the end of its request may wait for it.
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
