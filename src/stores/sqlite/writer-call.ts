import type { ChangeContext, MadeChange, Subject } from "../../authority/journal.ts";
import type {
  CreateOutcome,
  CreateRequestRecord,
  EndRotationOutcome,
  HoldOutcome,
  HoldSet,
  NewKey,
  NewToken,
  RevokeOutcome,
  RotateOutcome,
  RotationEnd,
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

export type RotateKeyCall = {
  readonly method: "rotateKey";
  readonly id: string;
  readonly key: NewKey;
  readonly overlapMs: number;
  readonly request: CreateRequestRecord | null;
  readonly context: ChangeContext;
};

export type EndRotationCall = {
  readonly method: "endRotation";
  readonly id: string;
  readonly end: RotationEnd;
  readonly context: ChangeContext;
};

/** These issue a key, and are refused when the disk is nearly full. */
export type IssuingCall = CreateCall | RotateKeyCall;

export type HoldCall = {
  readonly method: "setHold";
  readonly subject: Subject;
  readonly held: boolean;
  readonly reason: string;
  readonly context: ChangeContext;
};

export type CloseCall = {
  readonly method: "closeAccount";
  readonly account: string;
  readonly reason: string;
  readonly context: ChangeContext;
};

/** While one of these waits, a key may be in the wrong hands. */
export type UrgentCall = RevokeCall | EndRotationCall | HoldCall | CloseCall;

/** Somebody waits for these: they go first. */
export type ChangeCall = IssuingCall | UrgentCall | RevokeMatchingCall;

/** Whether the call goes before all others, and makes itself room on a full disk. */
export function isUrgent(call: WriterCall): call is UrgentCall {
  return (
    call.method === "revoke" ||
    call.method === "endRotation" ||
    call.method === "setHold" ||
    call.method === "closeAccount"
  );
}

/** Nobody waits for these: they go behind. */
export type BackgroundCall =
  | { readonly method: "recordUses"; readonly uses: readonly TokenUse[] }
  | { readonly method: "forgetRequests"; readonly nowMs: number };

export type WriterCall = ChangeCall | BackgroundCall;

export type WriterAnswer =
  | { readonly method: "create"; readonly outcome: CreateOutcome }
  | { readonly method: "revoke"; readonly outcome: RevokeOutcome | null }
  | { readonly method: "revokeMatching"; readonly changes: readonly MadeChange[] }
  | { readonly method: "rotateKey"; readonly outcome: RotateOutcome | null }
  | { readonly method: "endRotation"; readonly outcome: EndRotationOutcome | null }
  | { readonly method: "setHold"; readonly outcome: HoldOutcome | null }
  | { readonly method: "closeAccount"; readonly outcome: HoldSet }
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
