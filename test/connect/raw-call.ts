import { Code, ConnectError } from "@connectrpc/connect";
import { errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerFlag, trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { enveloped, type Protocol, type RawRequest, type RawResponse } from "./connect-rig.ts";

export type Encoding = "binary" | "json";

/** A unary request in a protocol, byte for byte as given: the message need not be one. */
export function rawCall(
  protocol: Protocol,
  encoding: Encoding,
  path: string,
  message: Uint8Array | string,
  header: Record<string, string> = {},
): RawRequest {
  const bytes = Buffer.from(message);
  return {
    path,
    header: { "content-type": contentType(protocol, encoding), ...header },
    body: protocol === "connect" ? bytes : enveloped(bytes),
  };
}

/** The error in a response to a unary request, or null. */
export function rawError(protocol: Protocol, response: RawResponse): ConnectError | null {
  switch (protocol) {
    case "grpc":
      // An error without a message is told in the header block.
      return findTrailerError(response.header) ?? findTrailerError(response.trailer) ?? null;
    case "grpc-web":
      return findTrailerError(grpcWebTrailer(response.body)) ?? null;
    case "connect":
      return response.status === 200
        ? null
        : errorFromJsonBytes(response.body, undefined, new ConnectError("no error in the body", Code.Unknown));
  }
}

function contentType(protocol: Protocol, encoding: Encoding): string {
  const format = encoding === "json" ? "json" : "proto";
  return protocol === "connect" ? `application/${format}` : `application/${protocol}+${format}`;
}

function grpcWebTrailer(body: Uint8Array): Headers {
  const bytes = Buffer.from(body);
  let offset = 0;
  while (offset < bytes.length) {
    const length = bytes.readUInt32BE(offset + 1);
    if ((bytes.readUInt8(offset) & trailerFlag) !== 0) {
      return trailerParse(bytes.subarray(offset + 5, offset + 5 + length));
    }
    offset += 5 + length;
  }
  return new Headers();
}
