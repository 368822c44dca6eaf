import type { DescMethod } from "@bufbuild/protobuf";
import { grpcTypeOf } from "../wire/media-type.ts";
import { grpcTimeoutMs } from "../wire/protobuf/grpc-timeout.ts";
import { decidingRpcs, rpcName } from "./rpcs.ts";

/** How long calls may take. A caller's own timeout replaces the default, and is cut to the greatest. */
export type Deadlines = {
  readonly authenticateMs: number;
  readonly unaryMs: number;
  readonly greatestUnaryMs: number;
};

export const defaultDeadlines: Deadlines = { authenticateMs: 1000, unaryMs: 10_000, greatestUnaryMs: 60_000 };

/** How long a call of one RPC may take, in milliseconds. */
export type CallDeadline = { readonly defaultMs: number; readonly greatestMs: number };

/** The deadline of one RPC, by its full name. */
export function deadlineOf(rpc: string, { authenticateMs, unaryMs, greatestUnaryMs }: Deadlines): CallDeadline {
  return { defaultMs: decidingRpcs.has(rpc) ? authenticateMs : unaryMs, greatestMs: greatestUnaryMs };
}

/** setTimeout turns a longer wait into none. */
export const longestTimerMs = 2 ** 31 - 1;

const timeoutHeaders = ["grpc-timeout", "connect-timeout-ms"] as const;

/**
 * The timeout that the caller asks for, in milliseconds; null when it asks for none; "malformed" when it makes no
 * sense.
 */
export function requestedTimeoutMs(header: Headers): number | null | "malformed" {
  const isGrpc = grpcTypeOf(header.get("content-type")) !== null;
  const timeout = header.get(isGrpc ? "grpc-timeout" : "connect-timeout-ms");
  return timeout === null ? null : isGrpc ? grpcTimeoutMs(timeout) : connectTimeoutMs(timeout);
}

/** How long the call may take, in milliseconds; null when it may last for ever. */
export function timeoutMs(method: DescMethod, requestedMs: number | null, deadlines: Deadlines): number | null {
  if (method.methodKind !== "unary") {
    return requestedMs === null ? null : Math.min(requestedMs, longestTimerMs);
  }
  const { defaultMs, greatestMs } = deadlineOf(rpcName(method), deadlines);
  return Math.min(requestedMs ?? defaultMs, greatestMs);
}

/**
 * The headers without timeouts: Connect would start a second timer, refuse long ones, and repeat malformed ones in
 * errors.
 */
export function withoutTimeouts(header: Headers): Headers {
  if (!timeoutHeaders.some((name) => header.has(name))) {
    return header;
  }
  const rest = new Headers(header);
  for (const name of timeoutHeaders) {
    rest.delete(name);
  }
  return rest;
}

function connectTimeoutMs(value: string): number | "malformed" {
  return /^\d{1,10}$/.test(value) ? Number(value) : "malformed";
}
