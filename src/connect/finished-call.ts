import { Code, type ConnectError } from "@connectrpc/connect";
import type { Role } from "../authority/caller.ts";
import { type Call, rpcName } from "./call.ts";
import { reasonOf } from "./errors.ts";

/** What logs and metrics learn of a call that has ended. Nothing here was sent by the caller, but for its identity. */
export type FinishedCall = {
  /** `package.Service/Method`. */
  readonly rpc: string;
  /** `grpc`, `grpc-web` or `connect`. */
  readonly protocol: string;
  /** Null when the peer has no identity. */
  readonly caller: string | null;
  /** Null when the caller has no role, or was not asked for one. */
  readonly role: Role | null;
  /** The gRPC status code by name: `OK`, `INVALID_ARGUMENT`. */
  readonly code: string;
  /** The ErrorInfo's reason, of an error that has one. */
  readonly reason: string | null;
  readonly durationMs: number;
  /** The token that was created, revoked, got or authenticated. */
  readonly tokenId: string | null;
  /** The change's number in the journal, with `journalHash` when this call made it. */
  readonly revision: number | null;
  readonly journalHash: string | null;
  /** Why Authenticate refused the key: `TOKEN_EXPIRED`. */
  readonly refusal: string | null;
};

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
    caller: call.peer.identity,
    role: call.role,
    code: error === null ? "OK" : codeNames[error.code],
    reason: error === null ? null : reasonOf(error),
    durationMs: performance.now() - call.startedAtMs,
    tokenId: call.tokenId,
    revision: call.revision,
    journalHash: call.journalHash === null ? null : Buffer.from(call.journalHash).toString("hex"),
    refusal: call.refusalReason,
  };
}
