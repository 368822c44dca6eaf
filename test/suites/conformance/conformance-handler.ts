import { ConnectError, createConnectRouter, type HandlerContext, type Interceptor } from "@connectrpc/connect";
import { compressionGzip } from "@connectrpc/connect-node";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { callerUnidentified } from "../../../src/calls/admission.ts";
import type { Call } from "../../../src/calls/call.ts";
import { defaultDeadlines, requestedTimeoutMs } from "../../../src/calls/deadline.ts";
import { createFaultLog } from "../../../src/calls/fault-log.ts";
import { createCallInterceptor } from "../../../src/doors/rpc/connect/call-interceptor.ts";
import { toConnectError } from "../../../src/doors/rpc/connect/connect-error.ts";
import { passageOf } from "../../../src/doors/rpc/connect/passage.ts";
import { createRpcHandler } from "../../../src/doors/rpc/connect/rpc-handler.ts";
import type { Log } from "../../../src/machine/log.ts";
import type { HttpHandler } from "../../../src/wire/exchange.ts";
import { createConformanceService, requestedTimeoutHeader } from "./conformance-service.ts";
import type { Schema } from "./schema.ts";

export type ConformanceHandlerOptions = {
  readonly schema: Schema;
  /** The greatest request message. */
  readonly maxMessageBytes: number;
  /** Refuse peers whose certificate is not trusted. */
  readonly requireIdentity: boolean;
  readonly log: Log;
};

/** ConformanceService behind the product's own adapter: its deadlines, its interceptor, its way to answer. */
export function createConformanceHandler(options: ConformanceHandlerOptions): HttpHandler {
  const { schema, maxMessageBytes, requireIdentity, log } = options;
  const reportFault = createFaultLog(log);
  const router = createConnectRouter({
    acceptCompression: [compressionGzip],
    // Every answer, unlike the product, which compresses long ones only: so that compressed answers are seen.
    compressMinBytes: 0,
    readMaxBytes: maxMessageBytes,
    requestGate: gate,
    interceptors: [withoutInfo, createCallInterceptor(reportFault), withInfo],
    jsonOptions: { registry: schema.registry },
  }).service(schema.service, createConformanceService(schema));
  const routes = new Map(router.handlers.map((handler) => [handler.requestPath, handler]));
  // The product's policy has no row for this service.
  const admissionTo = () => (call: Call) =>
    requireIdentity && call.peer.identity === null ? callerUnidentified("CERTIFICATE_MISSING") : null;
  return adjusted(createRpcHandler({ routes, admissionTo, deadlines: defaultDeadlines, onCall() {}, reportFault }));
}

/**
 * Two things that the product has no use for. The adapter keeps timeouts to itself, and the service is asked to repeat
 * them. And Connect answers 505 to every bidirectional stream over HTTP/1.1: in half duplex, which is all that the
 * runner tries there, the listener can carry one.
 */
function adjusted(handler: HttpHandler): HttpHandler {
  return (request) => {
    const header = new Headers(request.header);
    const requestedMs = requestedTimeoutMs(request.header);
    if (typeof requestedMs === "number") {
      header.set(requestedTimeoutHeader, String(Math.trunc(requestedMs)));
    }
    return handler({ ...request, header, httpVersion: "2.0" });
  };
}

/** What the product's gate does, with errors that the runner takes. */
function gate(context: HandlerContext): void {
  const passage = passageOf(context.values);
  passage.context = context;
  if (passage.refusal !== null) {
    throw bare(toConnectError(passage.refusal));
  }
}

// The product answers no error that lacks an ErrorInfo: it takes it for a fault of its own, and hides it. So the
// service's errors get one before the product sees them.
const withInfo = mappingErrors((error) => {
  error.details.push({ desc: ErrorInfoSchema, value: { reason: "CONFORMANCE" } });
  return error;
});

// And the runner allows no detail that it did not ask for: so every ErrorInfo goes again, the product's as well.
const withoutInfo = mappingErrors(bare);

function bare(error: ConnectError): ConnectError {
  const rest = new ConnectError(error.rawMessage, error.code, error.metadata, undefined, error.cause);
  rest.details = error.details.filter(
    (detail) => ("desc" in detail ? detail.desc.typeName : detail.type) !== ErrorInfoSchema.typeName,
  );
  return rest;
}

function mappingErrors(map: (error: ConnectError) => ConnectError): Interceptor {
  const mapped = (error: unknown) => (error instanceof ConnectError ? map(error) : error);
  return (next) => async (request) => {
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: catching(response.message, mapped) } : response;
    } catch (error) {
      throw mapped(error);
    }
  };
}

async function* catching<T>(source: AsyncIterable<T>, mapError: (error: unknown) => unknown): AsyncGenerator<T> {
  try {
    yield* source;
  } catch (error) {
    throw mapError(error);
  }
}
