import { type ConnectError, createContextValues } from "@connectrpc/connect";
import type { UniversalHandler, UniversalServerRequest } from "@connectrpc/connect/protocol";
import type { Clock } from "../authority/clock.ts";
import type { Log } from "../authority/log.ts";
import type { TokenAuthority } from "../authority/token-authority.ts";
import { abortableIterable } from "./abortable-iterable.ts";
import { answerStream, answerUnary } from "./answer-call.ts";
import { type Call, setCall, startCall } from "./call.ts";
import { type Deadlines, defaultDeadlines, requestedTimeoutMs, timeoutMs, withoutTimeouts } from "./deadline.ts";
import { hostNotLocal, requestMalformed } from "./errors.ts";
import { createFaultLog } from "./fault-log.ts";
import { type FinishedCall, finishedCall } from "./finished-call.ts";
import type { RoleOf } from "./gate.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "./http-exchange.ts";
import { isLocalHost } from "./is-local-host.ts";
import {
  forbiddenHost,
  internalServerError,
  methodNotAllowed,
  notFound,
  unsupportedMediaType,
} from "./plain-response.ts";
import { createRoutes } from "./routes.ts";

export type ConnectHandlerOptions = {
  readonly authority: TokenAuthority;
  readonly clock: Clock;
  /** The role of an identity as of now, or null when nobody gave it one. Asked for every call. */
  readonly roleOf: RoleOf;
  /** Whether the store can answer now, from a real read. */
  readonly isServing: () => boolean;
  /** Told of every call of an RPC once it has ended. */
  readonly onCall: (call: FinishedCall) => void;
  readonly log: Log;
  /** Turns health to NOT_SERVING and ends the streams. Calls under way end by themselves. */
  readonly shutdownSignal: AbortSignal;
  readonly deadlines?: Deadlines;
};

/** Serves TokenService, health and reflection over gRPC, gRPC-Web and Connect, to whatever speaks HTTP. */
export function createConnectHandler(options: ConnectHandlerOptions): HttpHandler {
  const { onCall, deadlines = defaultDeadlines } = options;
  const reportFault = createFaultLog(options.log);
  const routes = createRoutes({ ...options, reportFault });

  return async (request) => {
    try {
      return await route(request);
    } catch (error) {
      reportFault(error, "none");
      return internalServerError();
    }
  };

  async function route(request: HttpRequest): Promise<HttpResponse> {
    const refusal = request.peer.transport === "loopback" && !isLocalHost(request.url) ? hostNotLocal() : null;
    const handler = routes.get(pathOf(request.url));
    if (handler === undefined) {
      return refusal === null ? notFound(request) : forbiddenHost(request);
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
  return {
    httpVersion: request.httpVersion,
    method: request.method,
    url: request.url,
    header: withoutTimeouts(request.header),
    body: abortableIterable(request.body, call.signal),
    signal: call.signal,
    contextValues: setCall(createContextValues(), call),
  };
}

/** The path as it was sent: parsing would turn other paths into that of an RPC. */
function pathOf(url: string): string {
  return /^[^:]+:\/\/[^/?#]*([^?#]*)/.exec(url)?.[1] ?? "";
}
