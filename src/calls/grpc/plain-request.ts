import type { LaneHeaders } from "../../wire/http2/lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { isSurelyForThisHost } from "../../wire/port/this-machine.ts";
import { grpcTimeoutMs } from "../../wire/protobuf/grpc-timeout.ts";
import type { framingFault } from "../../wire/protobuf/length-prefixed.ts";
import { compressionUnnamed, requestNotSupported, requestTooLarge } from "../request-errors.ts";
import type { Status } from "../status.ts";
import type { TraceHeaders } from "../trace-headers.ts";

/** The header fields that a lane reads, in the order it expects them. */
export const laneHeaders = ["content-type", "grpc-encoding", "grpc-timeout"] as const;

/** The same, where calls are traced. */
export const tracedLaneHeaders = [...laneHeaders, "traceparent", "tracestate"] as const;

/**
 * Whether a request is the plain case of gRPC, which lanes take: not JSON, not compressed, with a header that makes
 * sense, a host that needs no closer look, and time left. The general way refuses or answers what is not.
 */
export function isPlainRequest(headers: LaneHeaders, authority: string, peer: Peer): boolean {
  const contentType = headers[0];
  const encoding = headers[1] ?? null;
  const timeout = headers[2] ?? null;
  return (
    (contentType === "application/grpc" || contentType === "application/grpc+proto" || namesCharset(contentType)) &&
    (encoding === null || encoding === "identity") &&
    (timeout === null || hasTime(grpcTimeoutMs(timeout))) &&
    isSurelyForThisHost(peer, authority)
  );
}

/** The timeout that the caller of a plain request asks for, in milliseconds; null when it asks for none. */
export function requestedMsOf(headers: LaneHeaders): number | null {
  const timeout = headers[2] ?? null;
  const requestedMs = timeout === null ? null : grpcTimeoutMs(timeout);
  return requestedMs === "malformed" ? null : requestedMs;
}

/** What a plain request tells of its trace, where calls are traced. */
export function traceOf(headers: LaneHeaders): TraceHeaders | null {
  const traceparent = headers[3] ?? null;
  return traceparent === null ? null : { traceparent, tracestate: headers[4] ?? null };
}

/** How a call fails whose messages are framed wrongly. */
export function statusOfFraming(fault: NonNullable<ReturnType<typeof framingFault>>, undecodable: Status): Status {
  switch (fault) {
    case "malformed":
      return undecodable;
    case "not_supported":
      return requestNotSupported;
    case "too_large":
      return requestTooLarge;
    case "compression_unnamed":
      return compressionUnnamed;
  }
}

/** Whose time is over before it begins is told so on the general way. */
function hasTime(requestedMs: number | "malformed"): boolean {
  return requestedMs !== "malformed" && requestedMs > 0;
}

/** Whether it is one of the two with the charset that all gRPC has. */
function namesCharset(contentType: string | null | undefined): boolean {
  return /^application\/grpc(?:\+proto)?[ \t]*;[ \t]*charset="?utf-?8"?$/i.test(contentType ?? "");
}
