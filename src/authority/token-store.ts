import type { MakerRefusal } from "./delegation.ts";
import type { Freshness } from "./freshness.ts";
import type { Action, Change, ChangeContext, JournalHead, MadeChange, Subject } from "./journal.ts";
import type { AccountState, StoredToken, Token, TokenState, TokenType } from "./token.ts";

/** A token to create. The store adds its revision. */
export type NewToken = {
  readonly id: string;
  /** SHA-256 of the key. */
  readonly digest: Uint8Array;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode: boolean;
  readonly keyHint: string;
  readonly permissions: readonly string[];
  readonly expiresAtMs: number | null;
};

/** A key to issue. */
export type NewKey = {
  /** SHA-256 of the key. */
  readonly digest: Uint8Array;
  readonly keyHint: string;
};

/** What makes a creation or a rotation safe to ask for again. */
export type CreateRequestRecord = {
  readonly id: string;
  /** SHA-256 of what was asked for: tells a retry from another request. */
  readonly bodyDigest: Uint8Array;
  readonly sealedKey: Uint8Array;
};

export type CreateOutcome =
  | { readonly kind: "created"; readonly token: StoredToken; readonly change: MadeChange }
  | Replayed
  | MakerRefused
  | { readonly kind: "account_closed" }
  | { readonly kind: "request_id_reused" }
  | { readonly kind: "already_expired" }
  | { readonly kind: "limit_reached" }
  | { readonly kind: "storage_low" };

/** A request that is answered again. */
export type Replayed = {
  readonly kind: "replayed";
  /** As it is now. */
  readonly token: Token;
  /** The change that issued the key. */
  readonly issueRevision: number;
  /** Null once the key is over, and after a restore. */
  readonly sealedKey: Uint8Array | null;
  /** Whether the token is revoked, or the key has ended. */
  readonly isOver: boolean;
};

export type RotateOutcome =
  | { readonly kind: "rotated"; readonly token: Token; readonly change: MadeChange }
  | Replayed
  | MakerRefused
  | { readonly kind: "request_id_reused" }
  | { readonly kind: "token_not_active" }
  | { readonly kind: "account_closed" }
  | { readonly kind: "rotation_under_way" }
  | { readonly kind: "key_limit_reached" }
  | { readonly kind: "storage_low" };

/** What is done to the two keys of a rotation. */
export type RotationEnd =
  /** The old key ends now. */
  | { readonly kind: "cut" }
  /** The old key ends then. */
  | { readonly kind: "move"; readonly endsAtMs: number }
  /** The new key ends now, and the old key goes on. */
  | { readonly kind: "cancel" };

export type EndRotationOutcome =
  | {
      readonly kind: "ended";
      readonly token: Token;
      /** Null when all was so before, and nothing changed. */
      readonly change: MadeChange | null;
      /** The change that brought it about. */
      readonly revision: number;
    }
  | MakerRefused
  | { readonly kind: "token_not_active" }
  | { readonly kind: "rotation_not_under_way" }
  /** Moved to before now, or to more than `maxOverlapMs` after the rotation. */
  | { readonly kind: "end_out_of_range" };

export type RevokeOutcome =
  /** `change` is null when it was revoked before, and nothing changed. */
  { readonly kind: "revoked"; readonly token: Token; readonly change: MadeChange | null } | MakerRefused;

export type HoldOutcome = HoldSet | { readonly kind: "account_closed" };

/** What was asked for is so. */
export type HoldSet = {
  readonly kind: "set";
  /** Of the change that made it so; 0 where nothing was ever changed, since nothing was held. */
  readonly revision: number;
  /** That change, when it was made now. */
  readonly change: MadeChange | null;
};

/** The key of the bearer who asks is not good, or does not cover what is asked for. */
export type MakerRefused = { readonly kind: "maker_refused"; readonly reason: MakerRefusal };

/** Filters that must all hold; null or empty means any. */
export type TokenFilter = {
  readonly account: string | null;
  readonly types: readonly TokenType[];
  readonly livemode: boolean | null;
  readonly states: readonly TokenState[];
  readonly permission: string | null;
  readonly createdFromMs: number | null;
  readonly createdBeforeMs: number | null;
  readonly expiresFromMs: number | null;
  readonly expiresBeforeMs: number | null;
  readonly unusedSinceMs: number | null;
  /** Upper and lower case of ASCII letters are alike. */
  readonly nameContains: string | null;
  readonly keyHint: string | null;
  readonly createdBy: string | null;
  /** Whether the token is held, or its account. */
  readonly held: boolean | null;
  /** Whether two keys of the token authenticate, if nothing else is in their way than a hold. */
  readonly rotating: boolean | null;
};

export type Direction = "older" | "newer";

export type TokenQuery = {
  readonly filter: TokenFilter;
  readonly direction: Direction;
  /** Where to start, not included: a creation revision. Null means at the newest (older) or oldest (newer) token. */
  readonly after: number | null;
  readonly limit: number;
  readonly scanLimit: number;
  /** What the tokens of a page may take together, as `answerBytes` counts. */
  readonly maxBytes: number;
  readonly nowMs: number;
};

/**
 * What one page costs at the most, for every caller: rows that are looked at, and bytes of its tokens or changes.
 */
export const pageBounds: Pick<TokenQuery & ChangeQuery, "scanLimit" | "maxBytes"> = {
  scanLimit: 10_000,
  maxBytes: 1024 * 1024,
};

export type TokenPage = {
  /** In the order of the query's direction. */
  readonly tokens: readonly Token[];
  /** Where the next page starts, not included. Null when nothing is left in this direction. */
  readonly next: number | null;
};

/** Filters that must all hold; null means any. */
export type ChangeFilter = {
  readonly tokenId: string | null;
  readonly caller: string | null;
  readonly action: Action | null;
  /** Also of changes to the account itself. */
  readonly account: string | null;
  readonly changedFromMs: number | null;
  readonly changedBeforeMs: number | null;
  /** Only changes with a greater revision. */
  readonly afterRevision: number | null;
};

export type ChangeQuery = {
  readonly filter: ChangeFilter;
  readonly direction: Direction;
  /** Where to start, not included: a revision. Null means at the newest (older) or oldest (newer) change. */
  readonly after: number | null;
  readonly limit: number;
  readonly scanLimit: number;
  /** What the changes of a page may take together, as `changeBytes` counts. */
  readonly maxBytes: number;
};

export type ChangePage = {
  /** In the order of the query's direction. */
  readonly changes: readonly Change[];
  /** Where the next page starts, not included. Null when nothing is left in this direction. */
  readonly next: number | null;
};

/** An owner of tokens, and how many it has in each state. */
export type Account = {
  readonly account: string;
  readonly state: AccountState;
  readonly active: number;
  readonly expired: number;
  readonly revoked: number;
};

export type AccountQuery = {
  /** Empty means every account. */
  readonly prefix: string;
  /** Where to start, not included: an account. Null means at the first. */
  readonly after: string | null;
  readonly limit: number;
  readonly scanLimit: number;
  /** Up to where each state is counted. */
  readonly countTo: number;
  readonly nowMs: number;
};

/**
 * What one page of accounts costs at the most, for every caller: counted tokens, except those of the last account.
 */
export const accountPageBounds: Pick<AccountQuery, "scanLimit" | "countTo"> = { scanLimit: 100_000, countTo: 10_000 };

export type AccountPage = {
  /** In the order of their bytes. */
  readonly accounts: readonly Account[];
  /** Where the next page starts, not included. Null when nothing is left. */
  readonly next: string | null;
};

export type TokenUse = {
  /** Of the key that was used. */
  readonly issueRevision: number;
  readonly usedAtMs: number;
};

/**
 * Keeps tokens and their journal, in three promises: reads, writes, and whether memory may be decided from.
 *
 * Each read and each write is one atomic step: it happens as a whole, or not at all. A change is answered only once it
 * would survive a power cut, and any read that starts after that answer sees it. A read or a write rejects with
 * UNDECIDED when it could not do its work; after a write the outcome is then unknown.
 */
export type TokenStore = TokenReads & TokenWrites & { readonly freshness: Freshness };

/** What a store answers about tokens and their journal. */
export interface TokenReads {
  /** Returns the token whose key has this digest, live or not, or null. */
  findByDigest(digest: Uint8Array): StoredToken | null | Promise<StoredToken | null>;

  /** Returns the token with this id, live or not, or null. */
  get(id: string): Promise<Token | null>;

  /**
   * Returns at most `limit` tokens that pass the filter, in the query's direction by creation revision. Looks at no
   * more than `scanLimit` tokens, and returns no more than `maxBytes` hold, but one at least; a page that ends for that
   * reason has a `next`. A `next` is never given when no matching token is left among those looked at and none are left
   * to look at.
   */
  list(query: TokenQuery): Promise<TokenPage>;

  /**
   * Returns at most `limit` changes that pass the filter, in the query's direction by revision; null when no token has
   * the id that is asked for. Without a filter it leaves out none, whatever a change was done to. Looks at no more than
   * `scanLimit` changes, and returns no more than `maxBytes` hold, but one at least; a page that ends for that reason
   * has a `next`. A `next` is never given when no matching change is left among those looked at and none are left to
   * look at. A page without a `next` has looked at every change that was answered before it was asked for.
   */
  listChanges(query: ChangeQuery): Promise<ChangePage | null>;

  /**
   * Returns at most `limit` accounts that begin with the prefix, own tokens or are not active, in the order of their
   * bytes. Each state's count is exact below `countTo`, which stands for that many or more; what is said of one account
   * is of one moment. Ends with the account that brings the tokens that were counted to `scanLimit`. A `next` is given
   * only when an account is left.
   */
  listAccounts(query: AccountQuery): Promise<AccountPage>;

  /** Returns this account, counted likewise. Of one that nothing is known of, it is active and has no tokens. */
  getAccount(account: string, query: Pick<AccountQuery, "countTo" | "nowMs">): Promise<Account>;

  /**
   * Returns the newest change that this view of the store knows of. No change that it answered is newer, but that
   * `findByDigest` may tell what a newer one, of another view, has done to a token.
   */
  head(): JournalHead;

  /** Returns whether reads and writes can be answered now: from what a read found, and not from hope. */
  isServing(): boolean;
}

/**
 * What a store changes. The times of changes never fall as long as the store is open: a change that is asked for with
 * an earlier time than that of the change before it is given the time of the one before it.
 */
export interface TokenWrites {
  /**
   * Creates the token and appends to the journal, or does neither.
   *
   * What a bearer asks for is judged first, in the same step: its token is neither revoked, expired nor held at the
   * time of the change, its account is active, and it covers what it gives. So nothing is created, and no key shown
   * again, once the revocation of its token was answered.
   *
   * A closed account is refused next: once its closure was answered, nothing is created in it, and no key shown again.
   * A request id used by the same caller for the same account less than 24 hours before is answered next: as a replay
   * when its body is the same, else as reused. Then a token that has already expired, an account that has
   * `maxLiveTokens` unrevoked and unexpired tokens (0 creates nothing), and a store short of room are refused.
   */
  create(
    token: NewToken,
    request: CreateRequestRecord | null,
    maxLiveTokens: number,
    context: ChangeContext,
  ): Promise<CreateOutcome>;

  /**
   * Revokes the token and appends to the journal; null when no token has this id. Again changes nothing, and answers
   * the first time, reason and revision. The sealed key of the token is never answered again. What a bearer asks for is
   * judged first, in the same step, as in `create`.
   */
  revoke(id: string, reason: string, context: ChangeContext): Promise<RevokeOutcome | null>;

  /**
   * Revokes those of these tokens, named by their creation revisions, that pass the filter at the time of the change
   * and were not revoked before, and appends to the journal for each; all in one step. Returns what was revoked, in the
   * order in which it was asked for. At most 100 at once. Their sealed keys are never answered again.
   */
  revokeMatching(
    createRevisions: readonly number[],
    filter: TokenFilter,
    reason: string,
    context: ChangeContext,
  ): Promise<readonly MadeChange[]>;

  /**
   * Issues another key of the token, gives the key before it an end, and appends to the journal, or does neither; null
   * when no token has this id. What a bearer asks for is judged first, and a request id answered next, as in `create`;
   * both kinds of request share the ids of a caller and account.
   *
   * Both keys are good at once. The old key ends `overlapMs` after the change, or with its token if that is earlier. A
   * new key that was never accepted, as far as uses were recorded, ends at once when another is asked for, and the old
   * key gets an end anew. Once the new key was accepted, another is refused while the old key lives. So are a token
   * that is revoked, has expired or is of a closed account, and one that has had `maxKeysOfToken` keys. A held token is
   * not. A token whose keys have all ended gets a new one.
   */
  rotateKey(
    id: string,
    key: NewKey,
    overlapMs: number,
    request: CreateRequestRecord | null,
    context: ChangeContext,
  ): Promise<RotateOutcome | null>;

  /**
   * Ends or moves a rotation and appends to the journal; null when no token has this id. What a bearer asks for is
   * judged first. A key that has ended never lives again, and its sealed key is never answered again. To cut or to
   * cancel again changes nothing, and answers the revision of the first time. Refused where no old key is left to end.
   */
  endRotation(id: string, end: RotationEnd, context: ChangeContext): Promise<EndRotationOutcome | null>;

  /**
   * Holds the token or account, or lifts that hold, and appends to the journal; null when no token has this id. What is
   * so already changes nothing, and answers the revision of the change that made it so. A closed account is refused.
   */
  setHold(subject: Subject, held: boolean, reason: string, context: ChangeContext): Promise<HoldOutcome | null>;

  /**
   * Closes the account and appends to the journal, whether or not it has tokens. Again changes nothing, and answers the
   * first revision.
   */
  closeAccount(account: string, reason: string, context: ChangeContext): Promise<HoldSet>;

  /** Moves the last use of keys: only forward, and only by 60 seconds or more. At most 1000 at once. */
  recordUses(uses: readonly TokenUse[]): Promise<void>;

  /** Forgets request ids, and with them sealed keys, of 24 hours before or earlier. */
  forgetRequests(nowMs: number): Promise<void>;
}

/** How long the old key of a rotation lives on at the most. */
export const maxOverlapMs = 7 * 24 * 60 * 60 * 1000;

/** How many keys a token may have in its life: each change of the token makes every view forget all of them. */
export const maxKeysOfToken = 1000;

/** How long a request id is remembered. */
export const requestMemoryMs = 24 * 60 * 60 * 1000;

/** By how much a use must be newer than the one stored to be stored. */
export const lastUsePrecisionMs = 60 * 1000;
