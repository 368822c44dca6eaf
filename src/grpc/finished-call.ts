import type { Role } from "../authority/caller.ts";

/** What logs and metrics learn of a call that has ended. The same as `src/connect/` tells. */
export type FinishedCall = {
  readonly rpc: string;
  readonly protocol: string;
  readonly caller: string | null;
  readonly role: Role | null;
  readonly code: string;
  readonly reason: string | null;
  readonly durationMs: number;
  readonly tokenId: string | null;
  readonly revision: number | null;
  readonly journalHash: string | null;
  readonly refusal: string | null;
};
