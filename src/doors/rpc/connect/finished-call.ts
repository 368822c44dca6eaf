import { Code, type ConnectError } from "@connectrpc/connect";
import type { FinishedCall } from "../../../calls/finished-call.ts";
import { reasonOf } from "../errors.ts";
import { type Call, rpcName } from "./call.ts";

const codeNames = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "UNKNOWN",
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "ALREADY_EXISTS",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [Code.FailedPrecondition]: "FAILED_PRECONDITION",
  [Code.Aborted]: "ABORTED",
  [Code.OutOfRange]: "OUT_OF_RANGE",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.DataLoss]: "DATA_LOSS",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
} satisfies Record<Code, string>;

/** The code's name in gRPC. */
export function codeName(code: Code): string {
  return codeNames[code];
}

/** Sums up a call that ended just now. */
export function finishedCall(call: Call, protocol: string, error: ConnectError | null): FinishedCall {
  return {
    rpc: rpcName(call.method),
    protocol,
    caller: call.identity,
    role: call.role,
    code: error === null ? "OK" : codeNames[error.code],
    reason: error === null ? null : reasonOf(error),
    durationMs: performance.now() - call.startedAtMs,
    tokenId: call.tokenId,
    revision: call.revision,
    refusal: call.refusalReason,
    // Others' words may repeat what a caller sent.
    error: error === null || reasonOf(error) === null ? null : error.rawMessage,
    requestId: null,
    details: null,
    trace: call.trace,
  };
}
