import { admitOverHttp, createAdmission, type RoleOf } from "../../calls/admission.ts";
import type { Call } from "../../calls/call.ts";
import { type Deadlines, deadlineOf, defaultDeadlines } from "../../calls/deadline.ts";
import type { ReportFault } from "../../calls/fault-log.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";
import { type PublicError, publicErrorBody, undecided } from "../../calls/public-error.ts";
import { checkRpc, forwardAuthRpc } from "../../calls/rpcs.ts";
import { createRunCall } from "../../calls/run-call.ts";
import { type Status, statusOfError } from "../../calls/status.ts";
import { type ReadTrace, readNoTrace } from "../../calls/trace-headers.ts";
import type { HeaderFields, HttpHandler, HttpRequest, HttpResponse } from "../../wire/exchange.ts";
import { rawPath, rawQuery } from "../../wire/raw-path.ts";
import { type Check, type CheckRequest, type CheckVerdict, newRequestId, requestIdOf } from "./check.ts";
import { identityHeaders } from "./identity-headers.ts";

/** Where gateways that know nothing but HTTP ask. */
const path = "/authorize";

const httpMethods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];

export type ForwardAuthOptions = {
  readonly check: Check;
  /** Asked for every request. */
  readonly roleOf: RoleOf;
  readonly reportFault: ReportFault;
  /** Told of every question that was answered. */
  readonly onCall: (call: FinishedCall) => void;
  /** Default: looks at nothing. */
  readonly readTrace?: ReadTrace;
  readonly deadlines?: Deadlines;
};

/** Whether a request is a gateway's question. The path is compared as it was sent. */
export function isForwardAuth(url: string): boolean {
  return rawPath(url) === path;
}

/**
 * Forward authentication, for nginx, Caddy, Traefik, HAProxy and their like: the query is the route's words, the header
 * the client's. 200 with the identity's headers, or the 401 or 403 to answer the client with. Where nothing is decided
 * it is 503, or 500 where asking again would not help: neither says anything of the key. Whatever the HTTP method;
 * never a key from the URL. The body is not read: what carried the request reads past it, within its limits.
 */
export function createForwardAuth(options: ForwardAuthOptions): HttpHandler {
  const { check, roleOf, reportFault, onCall, readTrace = readNoTrace, deadlines = defaultDeadlines } = options;
  const admit = createAdmission(checkRpc, roleOf);
  const { defaultMs } = deadlineOf(forwardAuthRpc, deadlines);
  const { run } = createRunCall<HttpRequest, CheckVerdict, HttpResponse>({
    rpc: forwardAuthRpc,
    admit: (call, request) => admitOverHttp(admit, call, request),
    respond: (request) => check(questionOf(request)),
    statusOf: (error) => statusOfError(error, forwardAuthRpc, reportFault),
    succeed: respond,
    fail: refuse,
    waitMs: () => defaultMs,
    // A gateway that has gone is answered all the same: nothing was made that it should know of.
    isGone: () => false,
    onCall,
  });

  return async (request) => await run(request, request.peer, "http", readTrace(request.header));
}

function questionOf({ url, header }: HttpRequest): CheckRequest {
  return {
    words: new URLSearchParams(rawQuery(url)),
    authorization: header.get("authorization"),
    apiKey: header.get("x-api-key"),
    requestId: header.get("x-request-id"),
  };
}

/** The answer to a key that was decided on. One that is accepted has no request_id, and costs none. */
function respond(verdict: CheckVerdict, call: Call, request: HttpRequest): HttpResponse {
  if (verdict.kind === "accepted") {
    call.tokenId = verdict.principal.token.id;
    noteHttp(call, request, 200);
    return {
      status: 200,
      header: headerOf([...identityHeaders(verdict.principal.token), ["cache-control", "no-store"]]),
    };
  }
  call.tokenId = verdict.tokenId;
  call.refusal = verdict.refusal;
  call.requestId = verdict.requestId;
  noteHttp(call, request, verdict.status);
  return { status: verdict.status, header: headerOf(verdict.headers), body: Buffer.from(verdict.body) };
}

/** The answer where nothing was decided. */
function refuse(status: Status, call: Call, request: HttpRequest): HttpResponse {
  const error = isOutage(status) ? undecided : misconfigured(status);
  const requestId = requestIdOf({ requestId: request.header.get("x-request-id") }) ?? newRequestId();
  call.requestId = requestId;
  noteHttp(call, request, error.status);
  return {
    status: error.status,
    header: new Headers({ "content-type": "application/json", "cache-control": "no-store" }),
    body: Buffer.from(publicErrorBody(error, requestId)),
  };
}

/** A client may send any method: what is told of it is one of a few words. */
function noteHttp(call: Call, { method }: HttpRequest, status: number): void {
  call.http = { method: httpMethods.includes(method) ? method : "_OTHER", route: path, status };
}

function headerOf(fields: HeaderFields): Headers {
  return new Headers(fields.map(([name, value]) => [name, value]));
}

function isOutage({ code }: Status): boolean {
  return code === "UNAVAILABLE" || code === "DEADLINE_EXCEEDED" || code === "INTERNAL";
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
