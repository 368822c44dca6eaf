import type { Caller } from "./caller.ts";
import type { Clock } from "./clock.ts";
import {
  isVisible,
  requireDelegableType,
  requireGrantable,
  requireRevocable,
  requireRotatable,
  requireRotationEndable,
  requireSelfRevocable,
} from "./delegation.ts";
import { fieldInvalid, tokenNotFound } from "./errors.ts";
import { isTokenId } from "./key.ts";
import type { StoredToken, Token, TokenState, TokenType } from "./token.ts";
import type {
  CreateAnswer,
  CreateRequest,
  EndRotationAnswer,
  RevokeAnswer,
  RotateAnswer,
  RotateRequest,
  TokenAuthority,
} from "./token-authority.ts";
import { type Direction, pageBounds, type RotationEnd, type TokenFilter, type TokenStore } from "./token-store.ts";
import { requireCreation, toReason } from "./validation.ts";

export type DelegatedCreateRequest = Omit<CreateRequest, "account" | "livemode">;

export type DelegatedListRequest = {
  readonly limit: number;
  /** Null means from the newest on. */
  readonly from: {
    readonly direction: Direction;
    /** Where to start, not included: a token of the same account and mode. */
    readonly tokenId: string;
  } | null;
  readonly types: readonly TokenType[];
  readonly states: readonly TokenState[];
  readonly createdFromMs: number | null;
  readonly createdBeforeMs: number | null;
  readonly expiresFromMs: number | null;
  readonly expiresBeforeMs: number | null;
};

export type DelegatedListAnswer = {
  /** Newest first. */
  readonly tokens: readonly Token[];
  /** Whether a token that passes is left in the direction that was asked for. */
  readonly hasMore: boolean;
};

/**
 * The operations of those who hold a key, on the tokens of its account and mode, within what the key may delegate.
 * `maker` is the token of a key that Authenticate accepted for this very call: changes judge it once more, where they
 * are made. Each refuses by throwing an AuthorityError, a DelegationError or a MakerRefusedError.
 */
export type DelegatedTokens = {
  create(maker: StoredToken, request: DelegatedCreateRequest): Promise<CreateAnswer>;
  get(maker: StoredToken, id: string): Promise<Token>;
  /** Looks on until the page is full or nothing is left, however long that takes: give a signal to end it. */
  list(maker: StoredToken, request: DelegatedListRequest, signal: AbortSignal): Promise<DelegatedListAnswer>;
  revoke(maker: StoredToken, id: string, reason: string): Promise<RevokeAnswer>;
  rotate(maker: StoredToken, request: RotateRequest): Promise<RotateAnswer>;
  endRotation(maker: StoredToken, id: string, end: RotationEnd): Promise<EndRotationAnswer>;
  /** Needs no permission. */
  revokeSelf(maker: StoredToken, reason: string): Promise<RevokeAnswer>;
};

export type DelegatedTokensOptions = {
  readonly authority: Pick<TokenAuthority, "create" | "revoke" | "rotateKey" | "endRotation">;
  readonly store: Pick<TokenStore, "get" | "list">;
  readonly clock: Clock;
};

export function createDelegatedTokens({ authority, store, clock }: DelegatedTokensOptions): DelegatedTokens {
  async function create(maker: StoredToken, request: DelegatedCreateRequest): Promise<CreateAnswer> {
    requireDelegableType(request.type);
    const whole = { ...request, account: maker.account, livemode: maker.livemode };
    // What makes no sense is told before what is not granted.
    requireCreation(whole);
    requireGrantable(maker, request);
    return await authority.create(callerOf(maker), whole);
  }

  async function get(maker: StoredToken, id: string): Promise<Token> {
    const token = await find(maker, id);
    if (token === null) {
      throw tokenNotFound();
    }
    return token;
  }

  /** Whatever is no id names no token. */
  async function find(maker: StoredToken, id: string): Promise<Token | null> {
    const token = isTokenId(id) ? await store.get(id) : null;
    return token !== null && isVisible(maker, token) ? token : null;
  }

  async function list(
    maker: StoredToken,
    request: DelegatedListRequest,
    signal: AbortSignal,
  ): Promise<DelegatedListAnswer> {
    signal.throwIfAborted();
    const direction = request.from?.direction ?? "older";
    const filter = filterOf(maker, request);
    const tokens: Token[] = [];
    let after = await placeOf(maker, request.from);
    for (;;) {
      // One more than asked for tells whether there is more: a page that ended at the scan limit does not.
      const limit = request.limit + 1 - tokens.length;
      const page = await store.list({ filter, direction, after, limit, ...pageBounds, nowMs: clock() });
      tokens.push(...page.tokens);
      if (tokens.length > request.limit || page.next === null) {
        break;
      }
      after = page.next;
      signal.throwIfAborted();
    }
    const wanted = tokens.slice(0, request.limit);
    return { tokens: direction === "older" ? wanted : wanted.toReversed(), hasMore: tokens.length > request.limit };
  }

  async function placeOf(maker: StoredToken, from: DelegatedListRequest["from"]): Promise<number | null> {
    if (from === null) {
      return null;
    }
    const token = await find(maker, from.tokenId);
    if (token === null) {
      throw fieldInvalid(from.direction, "must be the id of a token that this key can see");
    }
    return token.createRevision;
  }

  async function revoke(maker: StoredToken, id: string, reason: string): Promise<RevokeAnswer> {
    // What makes no sense is told before what is not granted.
    toReason(reason);
    // What the rule looks at never changes, so the token may be read before.
    requireRevocable(maker, await get(maker, id));
    return await authority.revoke(callerOf(maker), id, reason);
  }

  async function revokeSelf(maker: StoredToken, reason: string): Promise<RevokeAnswer> {
    toReason(reason);
    requireSelfRevocable(maker);
    return await authority.revoke(callerOf(maker), maker.id, reason);
  }

  async function rotate(maker: StoredToken, request: RotateRequest): Promise<RotateAnswer> {
    if (request.overlapMs === 0 && request.id === maker.id) {
      throw fieldInvalid(
        "overlapMs",
        "must not be 0 for the key's own token: with a lost answer nobody could ask again",
      );
    }
    requireRotatable(maker, await get(maker, request.id));
    return await authority.rotateKey(callerOf(maker), request);
  }

  async function endRotation(maker: StoredToken, id: string, end: RotationEnd): Promise<EndRotationAnswer> {
    requireRotationEndable(maker, await get(maker, id));
    return await authority.endRotation(callerOf(maker), id, end);
  }

  return { create, get, list, revoke, rotate, endRotation, revokeSelf };
}

/** What logs, journal and `createdBy` name. */
export function callerOf(maker: StoredToken): Caller {
  return { identity: maker.id, role: "bearer", key: maker.issueRevision };
}

function filterOf(maker: StoredToken, request: DelegatedListRequest): TokenFilter {
  return {
    account: maker.account,
    livemode: maker.livemode,
    types: request.types,
    states: request.states,
    permission: null,
    createdFromMs: request.createdFromMs,
    createdBeforeMs: request.createdBeforeMs,
    expiresFromMs: request.expiresFromMs,
    expiresBeforeMs: request.expiresBeforeMs,
    unusedSinceMs: null,
    nameContains: null,
    keyHint: null,
    createdBy: null,
    held: null,
    rotating: null,
  };
}
