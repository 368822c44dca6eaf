import type { Caller } from "../authority/caller.ts";
import type { Call } from "./call.ts";
import type { TraceHeaders } from "./trace-headers.ts";

/**
 * What logs, metrics and traces learn of a call that has ended. Nothing here was sent by the caller, but for its
 * identity, its trace, and what `details` has of a gateway's configuration.
 */
export type FinishedCall = {
  /** `package.Service/Method`, or `forward-auth/authorize`. */
  readonly rpc: string;
  /** `grpc`, `grpc-web`, `connect`, `rest`, or `http` for forward authentication. */
  readonly protocol: string;
  /** Null when the peer has no identity. */
  readonly caller: string | null;
  /** Null when the caller has no role, or was not asked for one. */
  readonly role: Caller["role"] | null;
  /** The gRPC status code by name: `OK`, `INVALID_ARGUMENT`. */
  readonly code: string;
  /** The ErrorInfo's reason, of an error that has one. */
  readonly reason: string | null;
  readonly durationMs: number;
  /** The token that was created, revoked, got or authenticated. */
  readonly tokenId: string | null;
  /** The number in the journal of the change that was answered, whether this call made it or found it. */
  readonly revision: number | null;
  /** Why the key was refused: `TOKEN_EXPIRED`. */
  readonly refusal: string | null;
  /** The request_id that the answer had, or null where it had none. */
  readonly requestId?: string | null;
  /**
   * What was wrong, in our words: never with a value that came with the call. Null, or absent, for what has no more to
   * say than its reason.
   */
  readonly error?: string | null;
  /** What the log has besides, for the person who mends it. */
  readonly details?: Readonly<Record<string, string>> | null;
  /** How HTTP had it, of a call that is no RPC on the wire. The method is one of HTTP's own, or `_OTHER`. */
  readonly http?: Call["http"];
  /** Null when it told nothing of a trace, and where calls are not traced. */
  readonly trace: TraceHeaders | null;
};

/** Sums up a call that has ended just now. */
export function finishedCall(rpc: string, call: Call): FinishedCall {
  const { status } = call;
  return {
    rpc,
    protocol: call.protocol,
    caller: call.identity,
    role: call.role,
    code: status === null ? "OK" : status.code,
    reason: status === null ? null : status.reason,
    durationMs: performance.now() - call.startedAtMs,
    tokenId: call.tokenId,
    revision: call.revision,
    refusal: call.refusal,
    requestId: call.requestId,
    error: status === null ? null : status.message,
    details: status === null ? null : status.details,
    http: call.http,
    trace: call.trace,
  };
}
