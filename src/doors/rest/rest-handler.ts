import type { Clock } from "../../authority/clock.ts";
import { callerOf, type DelegatedTokens } from "../../authority/delegated-tokens.ts";
import { DelegationError, MakerRefusedError } from "../../authority/delegation.ts";
import { AuthorityError } from "../../authority/errors.ts";
import { type StoredToken, tokenTypes } from "../../authority/token.ts";
import type { TokenAuthority } from "../../authority/token-authority.ts";
import type { Call } from "../../calls/call.ts";
import type { ReportFault } from "../../calls/fault-log.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";
import { presentedKey } from "../../calls/presented-key.ts";
import { createRequestId, type PublicError, publicRefusal, undecided } from "../../calls/public-error.ts";
import { createRunCall, type RunCall } from "../../calls/run-call.ts";
import { type ReadTrace, readNoTrace } from "../../calls/trace-headers.ts";
import type { HttpHandler, HttpRequest, HttpResponse } from "../../wire/exchange.ts";
import { rawQuery } from "../../wire/raw-path.ts";
import { createAccountPlaces } from "./account-places.ts";
import { bodyLate, fromAuthority, fromDelegation, internal, RestError, tooManyAtOnce, unavailable } from "./errors.ts";
import { openApiDocument } from "./openapi.ts";
import { createOperations, type Operation, type Operations } from "./operations.ts";
import { fromForm } from "./parameters.ts";
import { noBody, parseBody, readBody } from "./read-body.ts";
import { documentResponse, errorResponse, jsonResponse, statusOf } from "./responses.ts";
import { routeOf } from "./routes.ts";
import { waitFor } from "./wait-for.ts";

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

/** A request for an operation. */
type RestRequest = {
  readonly http: HttpRequest;
  /** The token that the path names; empty where it names none. */
  readonly id: string;
  /** The request_id of its answer. */
  readonly requestId: string;
  /** Gives the place of the request back. Does nothing before there is one, nor again. */
  leave: () => void;
};

/** The public REST API: the holder of a key manages the tokens of the key's account. */
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
  const placesOf = {
    account: createAccountPlaces(maxUnderWay, maxWaiting),
    key: createAccountPlaces(maxUnderWay, maxWaiting),
  };
  const document = Buffer.from(JSON.stringify(openApiDocument));
  const calls: Readonly<Record<keyof Operations, RunCall<RestRequest, HttpResponse>>> = {
    create: callOf(operations.create),
    get: callOf(operations.get),
    getSelf: callOf(operations.getSelf),
    list: callOf(operations.list),
    revoke: callOf(operations.revoke),
    revokeSelf: callOf(operations.revokeSelf),
    rotate: callOf(operations.rotate),
    endRotation: callOf(operations.endRotation),
  };

  return async (request) => {
    const requestId = createRequestId();
    const route = routeOf(request.method, request.url);
    switch (route.kind) {
      case "refused":
        return errorResponse(route.error, requestId, route.header);
      case "document":
        return documentResponse(document, requestId);
      case "operation": {
        const ask = { http: request, id: route.id, requestId, leave: () => {} };
        return await calls[route.operation].run(ask, request.peer, "rest", readTrace(request.header));
      }
    }
  };

  /** The peer has no identity here: the key says who calls, and `answer` decides on the key. */
  function callOf(operation: Operation): RunCall<RestRequest, HttpResponse> {
    return createRunCall<RestRequest, HttpResponse, HttpResponse>({
      rpc: operation.rpc,
      admit(call, { requestId }) {
        call.requestId = requestId;
        return null;
      },
      respond: (request, call) => answer(operation, request, call),
      statusOf: (error) => statusOf(publicErrorOf(error, operation)),
      succeed(response, call, { http }) {
        call.http = { method: http.method, route: operation.route, status: response.status };
        return response;
      },
      fail: (_, call, { http, requestId }) => {
        call.http = { method: http.method, route: operation.route, status: internal.status };
        return errorResponse(internal, requestId);
      },
      // Each step of an answer has its own time, and words for when that is over.
      waitMs: () => null,
      isGone: () => false,
      onCall,
    });
  }

  /** Errors are answers too, which the call notes. */
  async function answer(operation: Operation, request: RestRequest, call: Call): Promise<HttpResponse> {
    try {
      return jsonResponse(await run(operation, request, call), request.requestId, request.http.signal, request.leave);
    } catch (error) {
      request.leave();
      if (error instanceof MakerRefusedError) {
        // Its key was accepted, and then revoked, or its time came.
        noteRefusal(call, error.reason);
      }
      const told = publicErrorOf(error, operation);
      call.status = statusOf(told);
      const retryAfterSeconds = (error instanceof RestError ? error.retryAfterSeconds : null) ?? defaultRetryOf(told);
      return errorResponse(
        told,
        request.requestId,
        retryAfterSeconds === null ? {} : { "retry-after": String(retryAfterSeconds) },
      );
    }
  }

  /** Returns the JSON of the answer, or throws. */
  async function run(operation: Operation, request: RestRequest, call: Call): Promise<object> {
    const { http, id } = request;
    const { header, signal: gone } = http;
    const onLateFault = (error: unknown) => publicErrorOf(error, operation);
    const patience = { gone, ms: deadlineMs, late: unavailable, onLateFault };
    // Before the body is read: only an accepted key may send one.
    const accepted = await waitFor(patience, () => accept(operation, http, call));
    const holder = operation.places === "key" ? accepted.id : accepted.account;
    await waitFor({ ...patience, late: tooManyAtOnce }, async (signal) => {
      const leave = await placesOf[operation.places].take(holder, signal);
      if (signal.aborted) {
        leave();
      }
      request.leave = leave;
    });
    const body =
      http.method === "POST"
        ? await waitFor({ ...patience, ms: bodyDeadlineMs, late: bodyLate }, () => readBody(http))
        : noBody;
    const { json, tokenId, revision } = await waitFor(patience, async (signal) => {
      // Again: the body may have been long in coming, and the key revoked since.
      const bearer = await accept(operation, http, call);
      signal.throwIfAborted();
      const query = fromForm(rawQuery(http.url));
      return await operation.run({ bearer, id, query, body: parseBody(body), header, signal });
    });
    call.tokenId = tokenId;
    call.revision = revision;
    return json;
  }

  /** Returns the token of the key that the request presents, or throws. */
  async function accept(operation: Operation, { header }: HttpRequest, call: Call): Promise<StoredToken> {
    const key = presentedKey(header.get("authorization"), header.get("x-api-key"));
    if (typeof key !== "string") {
      noteRefusal(call, key.code.toUpperCase());
      throw new RestError(key);
    }
    const outcome = await decide(key, operation);
    if (outcome.kind === "refusal") {
      noteRefusal(call, outcome.reason);
      throw new RestError(publicRefusal(outcome.reason, questionOf(operation).requiredPermissions));
    }
    const { identity, role } = callerOf(outcome.token);
    call.identity = identity;
    call.role = role;
    return outcome.token;
  }

  async function decide(key: string, operation: Operation) {
    try {
      return await authenticate({ key, ...questionOf(operation) });
    } catch (error) {
      reportFault(error, operation.rpc);
      throw new RestError(undecided, { cause: error });
    }
  }

  function publicErrorOf(error: unknown, operation: Operation): PublicError {
    if (error instanceof RestError) {
      return error.told;
    }
    if (error instanceof MakerRefusedError) {
      return publicRefusal(error.reason, questionOf(operation).requiredPermissions);
    }
    if (error instanceof DelegationError) {
      return fromDelegation(error.reason);
    }
    const told = error instanceof AuthorityError ? fromAuthority(error) : null;
    if (told === null || told.status >= 500) {
      reportFault(error, operation.rpc);
    }
    return told ?? internal;
  }
}

/** What the operation asks of the key. */
function questionOf({ permission }: Operation) {
  return permission === null
    ? { requiredPermissions: [], livemode: null, allowedTypes: tokenTypes }
    : { requiredPermissions: [permission], livemode: null, allowedTypes: [] };
}

/** A refused key identifies no caller. */
function noteRefusal(call: Call, refusal: string): void {
  call.identity = null;
  call.role = null;
  call.refusal = refusal;
}

function defaultRetryOf({ status }: PublicError): number | null {
  return status === 429 ? 1 : null;
}
