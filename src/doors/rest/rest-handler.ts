import { randomBytes } from "node:crypto";
import type { Clock } from "../../authority/clock.ts";
import { callerOf, type DelegatedTokens } from "../../authority/delegated-tokens.ts";
import { DelegationError, MakerRefusedError } from "../../authority/delegation.ts";
import { AuthorityError } from "../../authority/errors.ts";
import type { StoredToken } from "../../authority/token.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import type { ReportFault } from "../../calls/fault-log.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";
import { presentedKey } from "../../calls/presented-key.ts";
import { challengeOf, type PublicError, publicErrorBody, publicRefusal, undecided } from "../../calls/public-error.ts";
import { type ReadTrace, readNoTrace, type TraceHeaders } from "../../calls/trace-headers.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../wire/exchange.ts";
import { rawQuery } from "../../wire/raw-path.ts";
import { createAccountPlaces } from "./account-places.ts";
import { bodyWithEnd } from "./body-with-end.ts";
import {
  bodyLate,
  clientGone,
  fromAuthority,
  fromDelegation,
  internal,
  RestError,
  tooManyAtOnce,
  unavailable,
} from "./errors.ts";
import { openApiDocument } from "./openapi.ts";
import { createOperations, type Operation, type OperationAnswer } from "./operations.ts";
import { fromForm } from "./parameters.ts";
import { noBody, parseBody, readBody } from "./read-body.ts";
import { routeOf } from "./routes.ts";

export type RestHandlerOptions = {
  readonly authenticate: TokenAuthority["authenticate"];
  readonly tokens: DelegatedTokens;
  readonly clock: Clock;
  /** Told of every operation once it has ended. */
  readonly onCall: (call: FinishedCall) => void;
  /** Default: looks at nothing. */
  readonly readTrace?: ReadTrace;
  readonly reportFault: ReportFault;
  /** Default: 10 seconds, as the RPCs that do the same. */
  readonly deadlineMs?: number;
  /** How long a body may take. Default: 8 seconds, less than what the port waits for one that stops. */
  readonly bodyDeadlineMs?: number;
};

// A page of a list is some 800 KiB, and is held until its client has taken it.
const maxUnderWay = 4;
const maxWaiting = 100;

/** What is learned of a request while it is answered. */
type Exchange = {
  readonly requestId: string;
  readonly startedAtMs: number;
  readonly method: string;
  readonly trace: TraceHeaders | null;
  bearer: StoredToken | null;
  /** As logs and metrics have it: `TOKEN_EXPIRED`. */
  refusal: string | null;
  /** Gives the place of the request back. Does nothing before there is one, nor again. */
  leave: () => void;
};

/** The public REST API: who holds a key manages the tokens of its account. */
export function createRestHandler(options: RestHandlerOptions): HttpHandler {
  const {
    authenticate,
    onCall,
    reportFault,
    readTrace = readNoTrace,
    deadlineMs = 10_000,
    bodyDeadlineMs = 8000,
  } = options;
  const operations = createOperations(options);
  const requests = createAccountPlaces(maxUnderWay, maxWaiting);
  const revocations = createAccountPlaces(maxUnderWay, maxWaiting);
  const document = Buffer.from(JSON.stringify(openApiDocument));

  return async (request) => {
    const requestId = `req_${randomBytes(12).toString("hex")}`;
    const route = routeOf(request.method, request.url);
    switch (route.kind) {
      case "refused":
        return errorResponse(route.error, requestId, route.header);
      case "document":
        return { status: 200, header: headerOf(requestId), body: document };
      case "operation":
        return await answer(operations[route.operation], route.id, request, {
          requestId,
          startedAtMs: performance.now(),
          method: request.method,
          trace: readTrace(request.header),
          bearer: null,
          refusal: null,
          leave: () => {},
        });
    }
  };

  async function answer(operation: Operation, id: string, request: HttpRequest, exchange: Exchange) {
    try {
      const outcome = await run(operation, id, request, exchange);
      onCall(finishedCall(operation, exchange, null, outcome));
      return jsonResponse(outcome.json, exchange, request.signal);
    } catch (error) {
      exchange.leave();
      if (error instanceof MakerRefusedError) {
        // Its key was accepted, and then revoked, or its time came.
        exchange.bearer = null;
        exchange.refusal = error.reason;
      }
      const told = publicErrorOf(error, operation);
      onCall(finishedCall(operation, exchange, told, null));
      const retryAfterSeconds = (error instanceof RestError ? error.retryAfterSeconds : null) ?? defaultRetryOf(told);
      return errorResponse(
        told,
        exchange.requestId,
        retryAfterSeconds === null ? {} : { "retry-after": String(retryAfterSeconds) },
      );
    }
  }

  async function run(
    operation: Operation,
    id: string,
    request: HttpRequest,
    exchange: Exchange,
  ): Promise<OperationAnswer> {
    const { header, signal: gone } = request;
    const patience = { gone, ms: deadlineMs, late: unavailable };
    // Before the body is read: nobody else is let send one.
    const { account, id: own } = await waitFor(patience, () => accept(operation, request, exchange));
    // Whoever holds another key of the account can revoke this one, however much it asks for.
    const [places, holder] = operation === operations.revoke ? [revocations, own] : [requests, account];
    await waitFor({ gone, ms: deadlineMs, late: tooManyAtOnce }, async (signal) => {
      const leave = await places.take(holder, signal);
      if (signal.aborted) {
        leave();
      }
      exchange.leave = leave;
    });
    const body =
      request.method === "POST"
        ? await waitFor({ gone, ms: bodyDeadlineMs, late: bodyLate }, () => readBody(request))
        : noBody;
    return await waitFor(patience, async (signal) => {
      // Again: the body may have been long in coming, and the key revoked since.
      const bearer = await accept(operation, request, exchange);
      signal.throwIfAborted();
      const query = fromForm(rawQuery(request.url));
      return await operation.run({ bearer, id, query, body: parseBody(body), header, signal });
    });
  }

  /** Returns the token of the key that the request presents, or throws. */
  async function accept(operation: Operation, { header }: HttpRequest, exchange: Exchange): Promise<StoredToken> {
    const key = presentedKey(header.get("authorization"), header.get("x-api-key"));
    if (typeof key !== "string") {
      exchange.bearer = null;
      exchange.refusal = key.code.toUpperCase();
      throw new RestError(key);
    }
    const outcome = await decide(key, operation);
    if (outcome.kind === "refusal") {
      exchange.bearer = null;
      exchange.refusal = outcome.reason;
      throw new RestError(publicRefusal(outcome.reason));
    }
    exchange.bearer = outcome.token;
    return outcome.token;
  }

  async function decide(key: string, { permission, rpc }: Operation) {
    try {
      return await authenticate({ key, requiredPermissions: [permission], livemode: null, allowedTypes: [] });
    } catch (error) {
      reportFault(error, rpc);
      throw new RestError(undecided, { cause: error });
    }
  }

  function publicErrorOf(error: unknown, { rpc }: Operation): PublicError {
    if (error instanceof RestError) {
      return error.told;
    }
    if (error instanceof MakerRefusedError) {
      return publicRefusal(error.reason);
    }
    if (error instanceof DelegationError) {
      return fromDelegation(error.reason);
    }
    const told = error instanceof AuthorityError ? fromAuthority(error) : null;
    if (told === null || told.status >= 500) {
      reportFault(error, rpc);
    }
    return told ?? internal;
  }
}

type Patience = {
  /** Aborts when the client is gone. */
  readonly gone: AbortSignal;
  readonly ms: number;
  /** What is told once the time is over. */
  readonly late: PublicError;
};

/** Waits for work, but no longer than until the time is over or the client is gone: then the work's signal aborts. */
async function waitFor<T>({ gone, ms, late }: Patience, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const { promise: givenUp, reject } = Promise.withResolvers<never>();
  const giveUp = (told: PublicError) => {
    controller.abort();
    reject(new RestError(told));
  };
  const leave = () => giveUp(clientGone);
  const timer = setTimeout(() => giveUp(late), ms);
  gone.addEventListener("abort", leave);
  if (gone.aborted) {
    leave();
  }
  try {
    return await Promise.race([work(controller.signal), givenUp]);
  } finally {
    clearTimeout(timer);
    gone.removeEventListener("abort", leave);
  }
}

/** Counts as under way until it was taken whole. */
function jsonResponse(json: object, { requestId, leave }: Exchange, gone: AbortSignal): HttpResponse {
  const bytes = Buffer.from(JSON.stringify(json));
  const header = { ...headerOf(requestId), "content-length": String(bytes.byteLength) };
  return { status: 200, header, body: bodyWithEnd(bytes, gone, leave) };
}

function defaultRetryOf({ status }: PublicError): number | null {
  return status === 429 ? 1 : null;
}

function errorResponse(
  error: PublicError,
  requestId: string,
  more: Readonly<Record<string, string>> = {},
): HttpResponse {
  const challenge = challengeOf(error);
  return {
    status: error.status,
    header: { ...headerOf(requestId), ...(challenge === null ? {} : { "www-authenticate": challenge }), ...more },
    body: Buffer.from(publicErrorBody(error, requestId)),
  };
}

function headerOf(requestId: string) {
  return { "content-type": "application/json", "cache-control": "no-store", "request-id": requestId };
}

const codeOfStatus: Readonly<Record<number, string>> = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  408: "DEADLINE_EXCEEDED",
  409: "ALREADY_EXISTS",
  413: "RESOURCE_EXHAUSTED",
  415: "INVALID_ARGUMENT",
  429: "RESOURCE_EXHAUSTED",
  499: "CANCELLED",
  503: "UNAVAILABLE",
};

function finishedCall(
  { rpc, route }: Operation,
  { requestId, startedAtMs, method, trace, bearer, refusal }: Exchange,
  error: PublicError | null,
  answer: OperationAnswer | null,
): FinishedCall {
  const caller = bearer === null ? null : callerOf(bearer);
  return {
    rpc,
    protocol: "rest",
    caller: caller?.identity ?? null,
    role: caller?.role ?? null,
    code: error === null ? "OK" : (codeOfStatus[error.status] ?? "INTERNAL"),
    reason: error?.code.toUpperCase() ?? null,
    durationMs: performance.now() - startedAtMs,
    tokenId: answer?.tokenId ?? null,
    revision: answer?.revision ?? null,
    refusal,
    requestId,
    error: error?.message ?? null,
    http: { method, route, status: error?.status ?? 200 },
    trace,
  };
}
