import { type Attributes, SpanStatusCode } from "@opentelemetry/api";
import type { FinishedCall } from "../../calls/finished-call.ts";

/**
 * What a span says of a call: names of OpenTelemetry's conventions for RPC and HTTP, and ours, which start with
 * token_authority.
 */
export type SpanOfCall = {
  readonly name: string;
  readonly attributes: Attributes;
  readonly status: SpanStatusCode;
};

// The codes that the conventions take for failures of a server; the others are the caller's.
const failures = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/** Nothing that a caller sent freely is in it, and no key. */
export function spanOfCall(call: FinishedCall): SpanOfCall {
  const { name, attributes, failure } = call.http === undefined ? asRpc(call) : asHttp(call.http);
  return {
    name,
    attributes: { ...attributes, ...ours(call), ...(failure === null ? {} : { "error.type": failure }) },
    status: failure === null ? SpanStatusCode.UNSET : SpanStatusCode.ERROR,
  };
}

type ByConvention = { readonly name: string; readonly attributes: Attributes; readonly failure: string | null };

function asRpc({ rpc, protocol, code }: FinishedCall): ByConvention {
  const isConnect = protocol === "connect";
  const told = isConnect ? connectCode(code) : code;
  return {
    name: rpc,
    attributes: {
      "rpc.system.name": isConnect ? "connectrpc" : "grpc",
      "rpc.method": rpc,
      // Connect has no code for success.
      ...(isConnect && code === "OK" ? {} : { "rpc.response.status_code": told }),
    },
    failure: failures.includes(code) ? told : null,
  };
}

function asHttp({ method, route, status }: NonNullable<FinishedCall["http"]>): ByConvention {
  return {
    name: `${method === "_OTHER" ? "HTTP" : method} ${route}`,
    attributes: {
      "http.request.method": method,
      "http.route": route,
      "http.response.status_code": status,
    },
    failure: status >= 500 ? String(status) : null,
  };
}

/** What has nothing to say is left out. */
function ours(call: FinishedCall): Attributes {
  const all = {
    "token_authority.rpc": call.rpc,
    "token_authority.protocol": call.protocol,
    "token_authority.code": call.code,
    "token_authority.caller": call.caller,
    "token_authority.role": call.role,
    "token_authority.reason": call.reason,
    "token_authority.refusal": call.refusal,
    "token_authority.token_id": call.tokenId,
    "token_authority.revision": call.revision,
    "token_authority.request_id": call.requestId ?? null,
  };
  return Object.fromEntries(Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, value]])));
}

function connectCode(code: string): string {
  return code === "CANCELLED" ? "canceled" : code.toLowerCase();
}
