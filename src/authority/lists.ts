import { type Caller, mayListAllAccounts } from "./caller.ts";
import type { Clock } from "./clock.ts";
import { fieldInvalid, pageTokenInvalid, tokenNotFound } from "./errors.ts";
import type { Action, Change } from "./journal.ts";
import { newestRevision } from "./newest-revision.ts";
import {
  decodeAccountPageToken,
  decodeChangePageToken,
  decodePageToken,
  encodeAccountPageToken,
  encodeChangePageToken,
  encodePageToken,
  type PagePosition,
} from "./page-token.ts";
import type { Token, TokenState, TokenType } from "./token.ts";
import {
  type Account,
  accountPageBounds,
  type ChangeFilter,
  pageBounds,
  type TokenFilter,
  type TokenStore,
} from "./token-store.ts";
import {
  requireAccount,
  requireAccountPrefix,
  requireCaller,
  requireKeyHint,
  requirePartOfName,
  requirePermissions,
  requireTokenId,
} from "./validation.ts";

/** A gRPC client takes 4 MiB by default. */
const defaultPageSize = 50;
const maxPageSize = 1000;

type PageRequest = {
  /** 0 means the default. */
  readonly pageSize: number;
  /** Empty means the first page. */
  readonly pageToken: string;
};

/** Which tokens are asked for. All given filters must hold. */
export type FilterRequest = {
  /** Empty means all accounts. */
  readonly account: string;
  readonly types: readonly TokenType[];
  readonly livemode: boolean | null;
  readonly states: readonly TokenState[];
  /** Empty means any. */
  readonly permission: string;
  readonly createdFromMs: number | null;
  readonly createdBeforeMs: number | null;
  readonly expiresFromMs: number | null;
  readonly expiresBeforeMs: number | null;
  readonly unusedSinceMs: number | null;
  /** Empty means any. */
  readonly nameContains: string;
  /** Empty means any. */
  readonly keyHint: string;
  /** Empty means any. */
  readonly createdBy: string;
  readonly held: boolean | null;
  readonly rotating: boolean | null;
};

export type ListRequest = PageRequest & FilterRequest;

export type ListAnswer = {
  /** Newest first. */
  readonly tokens: readonly Token[];
  /** Empty means that there is no such page. */
  readonly nextPageToken: string;
  readonly previousPageToken: string;
};

export type ListChangesRequest = PageRequest & {
  /** Empty means every token. */
  readonly tokenId: string;
  /** Empty means any. */
  readonly caller: string;
  readonly action: Action | null;
  /** Empty means every account. */
  readonly account: string;
  readonly changedFromMs: number | null;
  readonly changedBeforeMs: number | null;
  /** 0 means from the beginning. */
  readonly afterRevision: number;
  readonly oldestFirst: boolean;
};

export type ListChangesAnswer = {
  readonly changes: readonly Change[];
  /** Empty means that there is no such page. */
  readonly nextPageToken: string;
  /** Oldest first: every change up to this revision that passes was answered. Null for newest first. */
  readonly reachedRevision: number | null;
};

export type ListAccountsRequest = PageRequest & {
  /** Empty means every account. */
  readonly prefix: string;
};

export type ListAccountsAnswer = {
  /** In the order of their bytes. */
  readonly accounts: readonly Account[];
  /** Empty means that there is no such page. */
  readonly nextPageToken: string;
};

/** What is answered a page at a time. */
export type Lists = {
  list(caller: Caller, request: ListRequest): Promise<ListAnswer>;
  listChanges(caller: Caller, request: ListChangesRequest): Promise<ListChangesAnswer>;
  listAccounts(request: ListAccountsRequest): Promise<ListAccountsAnswer>;
};

export function createLists(
  store: Pick<TokenStore, "list" | "listChanges" | "listAccounts" | "head">,
  clock: Clock,
): Lists {
  async function list(caller: Caller, request: ListRequest): Promise<ListAnswer> {
    const filter = filterOf(caller, request);
    const position = positionIn(request, (pageToken) => decodePageToken(pageToken, filter));
    const direction = position?.direction ?? "older";
    const page = await store.list({
      filter,
      direction,
      after: position?.after ?? null,
      limit: pageSizeOf(request),
      ...pageBounds,
      nowMs: clock(),
    });

    const tokens = direction === "older" ? page.tokens : page.tokens.toReversed();
    const ahead = page.next === null ? "" : encodePageToken({ direction, after: page.next }, filter);
    const behind = position === null ? "" : encodePageToken(turnedAround(position, page.tokens), filter);
    return direction === "older"
      ? { tokens, nextPageToken: ahead, previousPageToken: behind }
      : { tokens, nextPageToken: behind, previousPageToken: ahead };
  }

  async function listChanges(caller: Caller, request: ListChangesRequest): Promise<ListChangesAnswer> {
    const filter = changeFilterOf(caller, request);
    const direction = request.oldestFirst ? "newer" : "older";
    const after = positionIn(request, (pageToken) => decodeChangePageToken(pageToken, filter, direction));
    const newest = await newestRevision(store, request.afterRevision);
    if (request.afterRevision > newest) {
      throw fieldInvalid("afterRevision", "must not be beyond the newest change: was the journal restored?");
    }
    const page = await store.listChanges({ filter, direction, after, limit: pageSizeOf(request), ...pageBounds });
    if (page === null) {
      throw tokenNotFound("tokenId");
    }
    const nextPageToken = page.next === null ? "" : encodeChangePageToken(page.next, filter, direction);
    // The head was read before the page, which may hold later changes.
    const reached = page.next ?? Math.max(newest, page.changes.at(-1)?.revision ?? 0);
    return { changes: page.changes, nextPageToken, reachedRevision: request.oldestFirst ? reached : null };
  }

  async function listAccounts(request: ListAccountsRequest): Promise<ListAccountsAnswer> {
    const { prefix } = request;
    requireAccountPrefix(prefix);
    const after = positionIn(request, (pageToken) => decodeAccountPageToken(pageToken, prefix));
    const limit = pageSizeOf(request);
    const page = await store.listAccounts({ prefix, after, limit, ...accountPageBounds, nowMs: clock() });
    const nextPageToken = page.next === null ? "" : encodeAccountPageToken(page.next, prefix);
    return { accounts: page.accounts, nextPageToken };
  }

  return { list, listChanges, listAccounts };
}

/** The filters as a store takes them. Throws FIELD_INVALID for one that breaks a rule, or that the role must give. */
export function filterOf(caller: Caller, request: FilterRequest): TokenFilter {
  if (request.account !== "") {
    requireAccount(request.account);
  } else if (!mayListAllAccounts(caller.role)) {
    throw fieldInvalid("account", `must be named by the role ${caller.role}`);
  }
  if (request.permission !== "") {
    requirePermissions("permission", [request.permission], 1);
  }
  if (request.nameContains !== "") {
    requirePartOfName(request.nameContains);
  }
  if (request.keyHint !== "") {
    requireKeyHint(request.keyHint);
  }
  if (request.createdBy !== "") {
    requireCaller("createdBy", request.createdBy);
  }
  return {
    account: nullIfEmpty(request.account),
    types: request.types,
    livemode: request.livemode,
    states: request.states,
    permission: nullIfEmpty(request.permission),
    createdFromMs: request.createdFromMs,
    createdBeforeMs: request.createdBeforeMs,
    expiresFromMs: request.expiresFromMs,
    expiresBeforeMs: request.expiresBeforeMs,
    unusedSinceMs: request.unusedSinceMs,
    nameContains: nullIfEmpty(request.nameContains),
    keyHint: nullIfEmpty(request.keyHint),
    createdBy: nullIfEmpty(request.createdBy),
    held: request.held,
    rotating: request.rotating,
  };
}

function changeFilterOf(caller: Caller, request: ListChangesRequest): ChangeFilter {
  if (request.tokenId !== "") {
    requireTokenId("tokenId", request.tokenId);
  } else if (!mayListAllAccounts(caller.role)) {
    throw fieldInvalid("tokenId", `must be named by the role ${caller.role}`);
  }
  if (request.caller !== "") {
    requireCaller("caller", request.caller);
  }
  if (request.account !== "") {
    requireAccount(request.account);
  }
  if (request.afterRevision < 0) {
    throw fieldInvalid("afterRevision", "must not be negative");
  }
  return {
    tokenId: nullIfEmpty(request.tokenId),
    caller: nullIfEmpty(request.caller),
    action: request.action,
    account: nullIfEmpty(request.account),
    changedFromMs: request.changedFromMs,
    changedBeforeMs: request.changedBeforeMs,
    afterRevision: request.afterRevision === 0 ? null : request.afterRevision,
  };
}

/** Where the page token says to go on; null on the first page. */
function positionIn<T>({ pageToken }: PageRequest, decode: (pageToken: string) => T | null): T | null {
  const position = pageToken === "" ? null : decode(pageToken);
  if (position === null && pageToken !== "") {
    throw pageTokenInvalid();
  }
  return position;
}

function pageSizeOf({ pageSize }: PageRequest): number {
  if (pageSize < 0) {
    throw fieldInvalid("pageSize", "must not be negative");
  }
  return pageSize === 0 ? defaultPageSize : Math.min(pageSize, maxPageSize);
}

function nullIfEmpty(text: string): string | null {
  return text === "" ? null : text;
}

/**
 * Where to go on in the other direction: after the first token of this page, or after an empty page, at the position
 * itself.
 */
function turnedAround(position: PagePosition, tokens: readonly Token[]): PagePosition {
  const first = tokens[0]?.createRevision;
  return position.direction === "older"
    ? { direction: "newer", after: first ?? Math.max(0, position.after - 1) }
    : { direction: "older", after: first ?? position.after + 1 };
}
