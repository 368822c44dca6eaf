import type { Caller } from "./caller.ts";

/** What logs and metrics learn of a call that has ended. Nothing here was sent by the caller, but for its identity. */
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
  /** The change's number in the journal, with `journalHash` when this call made it. */
  readonly revision: number | null;
  readonly journalHash: string | null;
  /** Why the key was refused: `TOKEN_EXPIRED`. */
  readonly refusal: string | null;
  /** The Request-Id that the answer had, where the protocol has one. */
  readonly requestId?: string;
};
