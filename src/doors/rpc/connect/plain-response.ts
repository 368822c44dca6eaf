import { Code } from "@connectrpc/connect";
import type { HttpRequest, HttpResponse } from "../../../wire/exchange.ts";
import { grpcTypeOf } from "../../../wire/media-type.ts";

/** No such path. */
export function notFound(request: HttpRequest): HttpResponse {
  return refusal(request, 404, Code.Unimplemented, "not found");
}

/** A plaintext request for another host than this one, to a path that is no RPC. */
export function forbiddenHost(request: HttpRequest): HttpResponse {
  return refusal(request, 403, Code.PermissionDenied, "a plaintext request must name a local host");
}

/** No RPC is called with this HTTP method: a key must never travel in a URL. */
export function methodNotAllowed(): HttpResponse {
  return text(405, "method not allowed", { allow: "POST" });
}

/** The content type is none of gRPC, gRPC-Web and Connect. */
export function unsupportedMediaType(): HttpResponse {
  return text(415, "unsupported media type", {
    "accept-post": "application/grpc, application/grpc-web, application/json, application/proto",
  });
}

/**
 * Both sides of the RPC's stream talk at once, which HTTP/1.1 cannot. A client that waits for the other side learns so
 * from the end.
 */
export function httpVersionNotSupported(): HttpResponse {
  return { status: 505, header: { connection: "close" } };
}

/** A fault of ours outside any protocol. */
export function internalServerError(): HttpResponse {
  return text(500, "internal error");
}

/** A gRPC client reads the code from the header block of a response without body (Trailers-Only); others read text. */
function refusal(request: HttpRequest, status: number, code: Code, message: string): HttpResponse {
  const grpcType = grpcTypeOf(request.header.get("content-type"));
  if (grpcType === null) {
    return text(status, message);
  }
  return {
    status: 200,
    header: { "content-type": grpcType, "grpc-status": String(code), "grpc-message": message.replaceAll(" ", "%20") },
  };
}

function text(status: number, message: string, header: Readonly<Record<string, string>> = {}): HttpResponse {
  return {
    status,
    header: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff", ...header },
    body: Buffer.from(`${message}\n`),
  };
}
