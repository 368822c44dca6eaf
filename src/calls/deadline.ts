import type { DescMethod } from "@bufbuild/protobuf";
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

// setTimeout turns a longer wait into none.
const longestTimerMs = 2 ** 31 - 1;

const timeoutHeaders = ["grpc-timeout", "connect-timeout-ms"] as const;

const msOfUnit = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);

/** The timeout that the caller asks for, in milliseconds; null when it asks for none; "malformed" when it makes no sense. */
export function requestedTimeoutMs(header: Headers): number | null | "malformed" {
  const isGrpc = header.get("content-type")?.toLowerCase().startsWith("application/grpc") ?? false;
  return isGrpc ? grpcTimeoutMs(header.get("grpc-timeout")) : connectTimeoutMs(header.get("connect-timeout-ms"));
}

/** How long the call may take, in milliseconds; null when it may last for ever. */
export function timeoutMs(method: DescMethod, requestedMs: number | null, deadlines: Deadlines): number | null {
  if (method.methodKind !== "unary") {
    return requestedMs === null ? null : Math.min(requestedMs, longestTimerMs);
  }
  const { defaultMs, greatestMs } = deadlineOf(rpcName(method), deadlines);
  return Math.min(requestedMs ?? defaultMs, greatestMs);
}

/** The headers without timeouts: Connect would start a second timer, refuse long ones, and repeat malformed ones in errors. */
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

function grpcTimeoutMs(value: string | null): number | null | "malformed" {
  if (value === null) {
    return null;
  }
  const [, amount, unit] = /^(\d{1,8})([HMSmun])$/.exec(value) ?? [];
  const unitMs = msOfUnit.get(unit ?? "");
  return unitMs === undefined ? "malformed" : Number(amount) * unitMs;
}

function connectTimeoutMs(value: string | null): number | null | "malformed" {
  if (value === null) {
    return null;
  }
  return /^\d{1,10}$/.test(value) ? Number(value) : "malformed";
}
