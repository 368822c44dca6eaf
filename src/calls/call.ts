import type { Caller } from "../authority/caller.ts";
import type { Peer } from "../wire/port/peer.ts";
import type { Status } from "./status.ts";
import type { TraceHeaders } from "./trace-headers.ts";

/**
 * A call under way: who makes it, and what is noted of it for logs, metrics and traces. The code that answers the call
 * notes what it learns; nothing noted may hold a key.
 */
export type Call = {
  readonly peer: Peer;
  /** By `performance.now()`. */
  readonly startedAtMs: number;
  /** Null when it told nothing of a trace, and where calls are not traced. */
  readonly trace: TraceHeaders | null;
  /** `grpc`, `grpc-web`, `connect`, `rest`, or `http` for forward authentication. */
  protocol: string;
  /** Who calls, as of the last admission; null without an identity. */
  identity: string | null;
  /** Null when the caller has no role, or was not asked for one. */
  role: Caller["role"] | null;
  /** The token that was created, revoked, got or authenticated. */
  tokenId: string | null;
  /** The number in the journal of the change that was made or found. */
  revision: number | null;
  /** Why the key was refused: `TOKEN_EXPIRED`. */
  refusal: string | null;
  /** The request_id that the answer has. */
  requestId: string | null;
  /** Why the call failed; null while it has not. */
  status: Status | null;
  /** How HTTP has it, of a call that is no RPC on the wire. */
  http: { readonly method: string; readonly route: string; readonly status: number } | undefined;
};

/** Notes why the call fails. Returns null, the answer of a call that has none. */
export function fail(call: Call, status: Status): null {
  call.status = status;
  return null;
}

/** Who makes the call. Only for RPCs whose policy asks for a role. */
export function callerOf({ identity, role }: Call): Caller {
  if (identity === null || role === null || role === "bearer") {
    throw new Error("the policy let a caller without a role call a method that needs one");
  }
  return { identity, role };
}
