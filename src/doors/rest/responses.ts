import { challengeOf, type PublicError, publicErrorBody } from "../../calls/public-error.ts";
import type { Code, Status } from "../../calls/status.ts";
import type { HttpResponse } from "../../wire/exchange.ts";
import { bodyWithEnd } from "./body-with-end.ts";

/** An answer. `leave` is called once it was taken whole, or its client is gone: until then the request is under way. */
export function jsonResponse(json: object, requestId: string, gone: AbortSignal, leave: () => void): HttpResponse {
  const bytes = Buffer.from(JSON.stringify(json));
  const header = { ...headerOf(requestId), "content-length": String(bytes.byteLength) };
  return { status: 200, header, body: bodyWithEnd(bytes, gone, leave) };
}

/** A document in JSON. */
export function documentResponse(body: Uint8Array, requestId: string): HttpResponse {
  return { status: 200, header: headerOf(requestId), body };
}

/** An error, and header fields that only it has. */
export function errorResponse(
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

const codeOfHttp: Readonly<Record<number, Code>> = {
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

/** The error as logs and metrics have it. */
export function statusOf({ status, code, message }: PublicError): Status {
  return {
    code: codeOfHttp[status] ?? "INTERNAL",
    reason: code.toUpperCase(),
    message,
    metadata: {},
    details: null,
  };
}
