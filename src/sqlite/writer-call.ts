import { StartError } from "../authority/errors.ts";
import type { ChangeContext } from "../authority/journal.ts";
import type {
  CreateOutcome,
  CreateRequestRecord,
  NewToken,
  RevokeOutcome,
  TokenUse,
} from "../authority/token-store.ts";

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

/** Somebody waits for these: they go first. */
export type ManagementCall = CreateCall | RevokeCall;

/** Nobody waits for these: they go behind. */
export type BackgroundCall =
  | { readonly method: "recordUses"; readonly uses: readonly TokenUse[] }
  | { readonly method: "forgetRequests"; readonly nowMs: number };

export type WriterCall = ManagementCall | BackgroundCall;

/** What is known of an error on the other side of a thread boundary, which Error objects cross without their code. */
export type Failure = {
  readonly message: string;
  readonly code: string | null;
  /** Whether it is a StartError, which a person can mend. */
  readonly isStartError: boolean;
};

export type WriterAnswer =
  | { readonly method: "create"; readonly outcome: CreateOutcome }
  | { readonly method: "revoke"; readonly outcome: RevokeOutcome | null }
  | { readonly method: "done" }
  | { readonly method: "failed"; readonly failure: Failure };

/** From a serving thread to the writer. */
export type WriterRequest = { readonly id: number; readonly call: WriterCall };

/** From the writer to a serving thread. After `fatal` comes nothing more. */
export type WriterReply =
  | { readonly kind: "answers"; readonly answers: readonly { readonly id: number; readonly answer: WriterAnswer }[] }
  | { readonly kind: "fatal"; readonly failure: Failure };

export function toFailure(error: unknown): Failure {
  if (!(error instanceof Error)) {
    return { message: String(error), code: null, isStartError: false };
  }
  return {
    message: error.message,
    code: "code" in error && typeof error.code === "string" ? error.code : null,
    isStartError: error instanceof StartError,
  };
}

export function fromFailure(failure: Failure): Error {
  const error = failure.isStartError ? new StartError(failure.message) : new Error(failure.message);
  return Object.assign(error, failure.code === null ? {} : { code: failure.code });
}
