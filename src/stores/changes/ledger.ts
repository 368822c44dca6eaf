import type { Action, JournalHead } from "../../authority/journal.ts";
import type { StoredToken, Token } from "../../authority/token.ts";
import type { CreateRequestRecord, NewKey, NewToken, TokenFilter } from "../../authority/token-store.ts";

/** What the rules of changes need to know of a key beside what a token says of it. */
export type LedgerKey = {
  readonly digest: Uint8Array;
  readonly issueRevision: number;
  readonly endsAtMs: number | null;
  /** The change that gave it this end. */
  readonly endRevision: number | null;
};

/** The changes that hold and that closed an account. */
export type LedgerAccount = { readonly holdRevision: number | null; readonly closeRevision: number | null };

/** What was asked for with a request id. */
export type LedgerRequest = {
  readonly bodyDigest: Uint8Array;
  readonly tokenRevision: number;
  /** The change that issued the key which is answered again. */
  readonly issueRevision: number;
  readonly atMs: number;
  /** Null once it was erased. */
  readonly readSealedKey: () => Uint8Array | null;
};

/** A row for the journal. */
export type LedgerChange = JournalHead & {
  readonly caller: string;
  readonly action: Action;
  /** Null where no token is changed. */
  readonly tokenRevision: number | null;
  /** Null where no account is changed. */
  readonly account: string | null;
  /** Null of a creation: the created token is its facts. */
  readonly facts: string | null;
};

/**
 * What the rules of changes read and write. All calls are made within one transaction; what was written is read again
 * as written. A store makes sure that nobody else changes anything meanwhile.
 */
export type Ledger = {
  /** The newest change. */
  head(): JournalHead;
  /** The earliest time that a change may have now. */
  earliestMs(): number;

  findToken(id: string): Token | null;
  findTokenByRevision(createRevision: number): Token | null;
  /** The token as its key finds it that this change issued. */
  findByKey(id: string, issueRevision: number): StoredToken | null;
  findKeys(createRevision: number): readonly LedgerKey[];
  /** The change that holds the token. */
  findHold(createRevision: number): number | null;
  findAccount(account: string): LedgerAccount | null;
  /** The change that lifted a hold of the token last. */
  findLastResumeOfToken(createRevision: number): number | null;
  findLastResumeOfAccount(account: string): number | null;
  findRequest(caller: string, account: string, requestId: string): LedgerRequest | null;
  /** Whether the account has as many unrevoked and unexpired tokens. */
  isFull(account: string, maxLiveTokens: number, nowMs: number): boolean;
  /** Those of these tokens that are not revoked and pass the filter, in this order, each once. */
  findMatching(
    createRevisions: readonly number[],
    filter: TokenFilter,
    nowMs: number,
  ): readonly Pick<StoredToken, "id" | "createRevision">[];

  /** The change is the newest from now on. */
  append(change: LedgerChange): void;
  insertToken(token: NewToken, created: Pick<LedgerChange, "revision" | "atMs" | "caller">): void;
  insertKey(key: NewKey, createRevision: number, issueRevision: number): void;
  /** A null end takes the end away. */
  moveEnd(key: LedgerKey, createRevision: number, endsAtMs: number | null, revision: number): void;
  markRevoked(createRevision: number, revoked: Pick<LedgerChange, "revision" | "atMs">, reason: string): void;
  /** Null lifts the hold. */
  holdToken(createRevision: number, revision: number | null): void;
  holdAccount(account: string, revision: number): void;
  /** Of an account that is not closed: then nothing is left to say of it. */
  resumeAccount(account: string): void;
  closeAccount(account: string, revision: number): void;
  /** Takes the place of a request with the same id, which is forgotten by now, and of its sealed key. */
  putRequest(
    request: CreateRequestRecord,
    of: Pick<StoredToken, "account" | "createRevision">,
    issued: Pick<LedgerChange, "revision" | "atMs" | "caller">,
  ): void;
  /** Erases the sealed keys of a token, or of these keys alone. */
  eraseSealedKeys(createRevision: number, issueRevisions: readonly number[] | null): void;
};
