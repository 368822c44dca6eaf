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

/** Nobody waits for these: they go behind. */
export type BackgroundCall =
  | { readonly method: "recordUses"; readonly uses: readonly TokenUse[] }
  | { readonly method: "forgetRequests"; readonly nowMs: number };

/** How many changes are made in one transaction at the most. Bounds how long those wait that come meanwhile. */
export const maxCallsTogether = 256;

/** Whether the call goes before all others, and makes itself room on a full disk. */
export function isUrgent(call: ChangeCall | BackgroundCall): call is UrgentCall {
  return (
    call.method === "revoke" ||
    call.method === "endRotation" ||
    call.method === "setHold" ||
    call.method === "closeAccount"
  );
}

/** Sorts the urgent calls to the front. */
export function urgentFirst(a: ChangeCall, b: ChangeCall): number {
  return Number(isUrgent(b)) - Number(isUrgent(a));
}

/** What became of a call. */
export type ChangeAnswer =
  | { readonly method: "create"; readonly outcome: CreateOutcome }
  | { readonly method: "revoke"; readonly outcome: RevokeOutcome | null }
  | { readonly method: "revokeMatching"; readonly changes: readonly MadeChange[] }
  | { readonly method: "rotateKey"; readonly outcome: RotateOutcome | null }
  | { readonly method: "endRotation"; readonly outcome: EndRotationOutcome | null }
  | { readonly method: "setHold"; readonly outcome: HoldOutcome | null }
  | { readonly method: "closeAccount"; readonly outcome: HoldSet };

/** A background call has been done. */
export type Done = { readonly method: "done" };
