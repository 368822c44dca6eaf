import type { Role } from "../../authority/caller.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";
import { type PublicError, publicErrorBody, undecided } from "../../calls/public-error.ts";
import { type ReadTrace, readNoTrace } from "../../calls/trace-headers.ts";
import type { HeaderFields, HttpHandler, HttpRequest, HttpResponse } from "../../wire/exchange.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { isForAnotherHost } from "../../wire/port/this-machine.ts";
import { rawPath, rawQuery } from "../../wire/raw-path.ts";
import { type CheckRequest, type CheckVerdict, newRequestId, requestIdOf } from "./check.ts";
import { identityHeaders } from "./identity-headers.ts";

/** Where gateways that know nothing but HTTP ask. */
const path = "/authorize";

const httpMethods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

/** Why nothing was decided, as logs have it. */
type Status = {
  readonly codeName: string;
  readonly reason: string | null;
  readonly message: string;
  readonly details?: Readonly<Record<string, string>> | null;
};

export type ForwardAuthOptions = {
  /** Throws or rejects where nothing is decided. */
  readonly check: (request: CheckRequest) => CheckVerdict | Promise<CheckVerdict>;
  /** Asked for every request, before anything else of it is looked at. */
  readonly admit: (peer: Peer) => {
    readonly identity: string | null;
    readonly role: Role | null;
    readonly refusal: Status | null;
  };
  readonly statuses: {
    readonly hostNotLocal: Status;
    readonly deadlineExceeded: Status;
    /** The error that a question failed with; told to the log where the gateway learns nothing of it. */
    ofError(error: unknown): Status;
  };
  /** Told of every question that was answered. */
  readonly onCall: (call: FinishedCall) => void;
  /** Default: looks at nothing. */
  readonly readTrace?: ReadTrace;
  readonly deadlineMs: number;
};

/** Whether a request is a gateway's question. The path is compared as it was sent. */
export function isForwardAuth(url: string): boolean {
  return rawPath(url) === path;
}

/**
 * Forward authentication, for nginx, Caddy, Traefik, HAProxy and their like: the query is the route's words, the header the client's. 200
 * with the identity's headers, or the 401 or 403 to answer the client with. Where nothing is decided it is 503, or 500 where asking
 * again would not help: neither says anything of the key. Whatever the HTTP method; never a key from the URL. The body is not read: what
 * carried the request reads past it, within its limits.
 */
export function createForwardAuth(options: ForwardAuthOptions): HttpHandler {
  const { check, admit, statuses, onCall, readTrace = readNoTrace, deadlineMs } = options;

  return async (request) => {
    const startedAtMs = performance.now();
    const { identity, role, refusal } = admit(request.peer);
    const answer = isForAnotherHost(request) ? statuses.hostNotLocal : (refusal ?? (await ask(request)));
    const [status, verdict] = "kind" in answer ? [null, answer] : [answer, null];
    const requestId = idOf(answer, request);
    const response = "kind" in answer ? respond(answer) : fail(answer, requestId);
    onCall({
      rpc: "forward-auth/authorize",
      protocol: "http",
      caller: identity,
      role,
      code: status?.codeName ?? "OK",
      reason: status?.reason ?? null,
      durationMs: performance.now() - startedAtMs,
      tokenId: verdict === null ? null : verdict.kind === "accepted" ? verdict.token.id : verdict.tokenId,
      revision: null,
      refusal: verdict?.kind === "refused" ? verdict.refusal : null,
      requestId: requestId === "" ? null : requestId,
      error: status?.message ?? null,
      details: status?.details ?? null,
      http: { method: knownMethod(request.method), route: path, status: response.status },
      trace: readTrace(request.header),
    });
    return response;
  };

  async function ask({ url, header }: HttpRequest): Promise<CheckVerdict | Status> {
    const { promise: deadline, resolve } = Promise.withResolvers<Status>();
    const timer = setTimeout(resolve, deadlineMs, statuses.deadlineExceeded);
    const deciding = decide({
      words: new URLSearchParams(rawQuery(url)),
      authorization: header.get("authorization"),
      apiKey: header.get("x-api-key"),
      requestId: header.get("x-request-id"),
    });
    try {
      return await Promise.race([deciding, deadline]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Never rejects: what comes after the deadline is told to the log all the same. */
  async function decide(request: CheckRequest): Promise<CheckVerdict | Status> {
    try {
      return await check(request);
    } catch (error) {
      return statuses.ofError(error);
    }
  }
}

function respond(verdict: CheckVerdict): HttpResponse {
  if (verdict.kind === "accepted") {
    return { status: 200, header: headerOf([...identityHeaders(verdict.token), ["cache-control", "no-store"]]) };
  }
  return { status: verdict.status, header: headerOf(verdict.headers), body: Buffer.from(verdict.body) };
}

function headerOf(fields: HeaderFields): Headers {
  return new Headers(fields.map(([name, value]) => [name, value]));
}

/** The request_id of the answer. One that is accepted has none, and costs none. */
function idOf(answer: CheckVerdict | Status, { header }: HttpRequest): string {
  if ("kind" in answer) {
    return answer.kind === "refused" ? answer.requestId : "";
  }
  return requestIdOf({ requestId: header.get("x-request-id") }) ?? newRequestId();
}

function fail(status: Status, requestId: string): HttpResponse {
  const error = isOutage(status) ? undecided : misconfigured(status);
  return {
    status: error.status,
    header: new Headers({ "content-type": "application/json", "cache-control": "no-store" }),
    body: Buffer.from(publicErrorBody(error, requestId)),
  };
}

function isOutage({ codeName }: Status): boolean {
  return codeName === "UNAVAILABLE" || codeName === "DEADLINE_EXCEEDED" || codeName === "INTERNAL";
}

/** The gateway asks for what makes no sense, or may not ask at all. */
function misconfigured({ message }: Status): PublicError {
  return {
    status: 500,
    type: "api_error",
    code: "gateway_misconfigured",
    message: `The gateway is not set up for this: ${message}.`,
    param: null,
  };
}

/** A client may send any method: what is told of it is one of a few words. */
function knownMethod(method: string): string {
  return httpMethods.includes(method) ? method : "_OTHER";
}
