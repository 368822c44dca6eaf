import type { ChangeContext, MadeChange } from "../../authority/journal.ts";
import type {
  CreateOutcome,
  CreateRequestRecord,
  NewToken,
  RevokeOutcome,
  TokenFilter,
  TokenUse,
} from "../../authority/token-store.ts";
import type { Failure } from "../../machine/failure.ts";

export type CreateCall = {
  readonly method: "create";
  readonly token: NewToken;
  readonly request: CreateRequestRecord | null;
  readonly maxLiveTokens: number;
  readonly context: ChangeContext;
};

export type RevokeCall = {
  readonly method: "revoke";
  readonly id: string;
  readonly reason: string;
  readonly context: ChangeContext;
};

export type RevokeMatchingCall = {
  readonly method: "revokeMatching";
  readonly createRevisions: readonly number[];
  readonly filter: TokenFilter;
  readonly reason: string;
  readonly context: ChangeContext;
};

/** Somebody waits for these: they go first. */
export type ChangeCall = CreateCall | RevokeCall | RevokeMatchingCall;

/** Nobody waits for these: they go behind. */
export type BackgroundCall =
  | { readonly method: "recordUses"; readonly uses: readonly TokenUse[] }
  | { readonly method: "forgetRequests"; readonly nowMs: number };

export type WriterCall = ChangeCall | BackgroundCall;

export type WriterAnswer =
  | { readonly method: "create"; readonly outcome: CreateOutcome }
  | { readonly method: "revoke"; readonly outcome: RevokeOutcome | null }
  | { readonly method: "revokeMatching"; readonly changes: readonly MadeChange[] }
  | { readonly method: "done" }
  | { readonly method: "failed"; readonly failure: Failure };

/** From a serving thread to the writer. */
export type WriterRequest = { readonly id: number; readonly call: WriterCall };

/** All that a serving thread sends to the writer. The store is lost when a read found it damaged. */
export type WriterMessage = WriterRequest | { readonly lost: Failure };

/** What became of the request with this id. */
export type WriterResult = { readonly id: number; readonly answer: WriterAnswer };

/** From the writer to a serving thread. After `fatal` comes nothing more. */
export type WriterReply =
  | { readonly kind: "answers"; readonly answers: readonly WriterResult[] }
  | { readonly kind: "fatal"; readonly failure: Failure };
