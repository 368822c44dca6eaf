import { setTimeout as pause } from "node:timers/promises";
import type { Caller } from "./caller.ts";
import { AuthorityError, fieldInvalid } from "./errors.ts";
import type { ChangeContext, MadeChange } from "./journal.ts";
import { type FilterRequest, filterOf } from "./lists.ts";
import { newestRevision } from "./newest-revision.ts";
import type { Token } from "./token.ts";
import { pageBounds, type TokenFilter, type TokenQuery, type TokenStore } from "./token-store.ts";
import { toReason } from "./validation.ts";

export type RevokeTokensRequest = {
  readonly filter: FilterRequest;
  /** False only counts. */
  readonly force: boolean;
  /** What the dry run answered. 0 means none. */
  readonly upToRevision: number;
  readonly reason: string;
};

export type RevokeTokensAnswer = {
  /** How many would be revoked; `maxCounted` stands for that many or more. 0 with force. */
  readonly matched: number;
  /** The newest of them. */
  readonly sampleIds: readonly string[];
  /** What a call with force may reach: no token that was created later. */
  readonly upToRevision: number;
  readonly revoked: number;
  /** Whether no matching token is left that was created up to the revision that was asked for. */
  readonly done: boolean;
  /**
   * With force, a change up to which all that was revoked is: the newest that this call made, or one from before. Else
   * null.
   */
  readonly revision: number | null;
};

export type BulkRevocationOptions = {
  readonly store: Pick<TokenStore, "list" | "listChanges" | "revokeMatching" | "head">;
  readonly contextOf: (caller: Caller) => ChangeContext;
  readonly onChange: (change: MadeChange) => void;
};

const maxCounted = 10_000;
const maxSampleIds = 100;
const maxRevokedPerCall = 1000;
/** A call with force ends after so many pages that had room left, each of 10 000 tokens that were looked at. */
const maxShortPagesPerCall = 30;
/**
 * How many are revoked in one transaction, and how long after one begins the next. Authenticate waits some tenths of a
 * millisecond for the list, the look at what has changed and the log lines of each: that seldom, it is less than one
 * call in a hundred, and 10 000 tokens take seven seconds.
 */
const chunkTokens = 64;
const chunkEveryMs = 45;
const pageTokens = 1000;

/** Revokes by filter, after a dry run. */
export function createBulkRevocation({ store, contextOf, onChange }: BulkRevocationOptions) {
  async function revokeTokens(
    caller: Caller,
    { filter: asked, force, upToRevision, reason: said }: RevokeTokensRequest,
    signal: AbortSignal,
  ): Promise<RevokeTokensAnswer> {
    const filter = filterIn(caller, asked);
    // A dry run refuses what the call with force would refuse.
    const reason = toReason(said);
    const newest = await newestRevision(store, force ? upToRevision : 0);
    if (!force) {
      return await count(caller, unrevoked(filter), newest, signal);
    }
    if (upToRevision < 1 || upToRevision > newest) {
      throw fieldInvalid("upToRevision", "must be what a call without force answered to the same filter");
    }
    const answer = await revoke(caller, unrevoked(filter), upToRevision, reason, signal);
    // An earlier call may have revoked them, at another machine, and not been answered. What was listed is known now.
    return { ...answer, revision: answer.revision ?? store.head().revision };
  }

  async function count(
    caller: Caller,
    filter: TokenFilter | null,
    newest: number,
    signal: AbortSignal,
  ): Promise<RevokeTokensAnswer> {
    let matched = 0;
    const sampleIds: string[] = [];
    let query = filter === null ? null : firstPage(caller, filter, newest);
    while (query !== null && matched < maxCounted && !signal.aborted) {
      const page = await store.list({ ...query, limit: Math.min(pageTokens, maxCounted - matched) });
      matched += page.tokens.length;
      sampleIds.push(...page.tokens.slice(0, maxSampleIds - sampleIds.length).map(({ id }) => id));
      query = page.next === null ? null : { ...query, after: page.next };
    }
    return { matched, sampleIds, upToRevision: newest, revoked: 0, done: false, revision: null };
  }

  async function revoke(
    caller: Caller,
    filter: TokenFilter | null,
    upToRevision: number,
    reason: string,
    signal: AbortSignal,
  ): Promise<RevokeTokensAnswer> {
    let revoked = 0;
    let revision: number | null = null;
    let shortPages = 0;
    let left = upToRevision;
    let isDone = filter === null;
    let nextAtMs = 0;
    while (filter !== null && !isDone && revoked < maxRevokedPerCall && shortPages < maxShortPagesPerCall) {
      await pause(Math.max(0, nextAtMs - performance.now()));
      nextAtMs = performance.now() + chunkEveryMs;
      if (signal.aborted) {
        break;
      }
      const limit = Math.min(chunkTokens, maxRevokedPerCall - revoked);
      const page = await store.list({ ...firstPage(caller, filter, left), limit });
      shortPages += page.tokens.length < limit ? 1 : 0;
      const made = page.tokens.length === 0 ? [] : await revokeChunk(caller, page.tokens, filter, reason);
      revoked += made.length;
      revision = made.at(-1)?.revision ?? revision;
      isDone = page.next === null;
      left = page.next === null ? left : page.next - 1;
    }
    return { matched: 0, sampleIds: [], upToRevision: left, revoked, done: isDone, revision };
  }

  async function revokeChunk(
    caller: Caller,
    tokens: readonly Token[],
    filter: TokenFilter,
    reason: string,
  ): Promise<readonly MadeChange[]> {
    const revisions = tokens.map(({ createRevision }) => createRevision);
    const changes = await store.revokeMatching(revisions, filter, reason, contextOf(caller));
    for (const change of changes) {
      onChange(change);
    }
    return changes;
  }

  /** Of the tokens that were created up to this revision, newest first. */
  function firstPage(caller: Caller, filter: TokenFilter, upToRevision: number): Omit<TokenQuery, "limit"> {
    return { filter, direction: "older", after: upToRevision + 1, ...pageBounds, nowMs: contextOf(caller).atMs };
  }

  return revokeTokens;
}

/** The filters, in the words of a message that holds them. An empty filter would revoke everything there is. */
function filterIn(caller: Caller, asked: FilterRequest): TokenFilter {
  let filter: TokenFilter;
  try {
    filter = filterOf(caller, asked);
  } catch (error) {
    if (error instanceof AuthorityError && error.field !== null) {
      throw fieldInvalid(`filter.${error.field}`, error.rule);
    }
    throw error;
  }
  if (Object.values(filter).every((one) => one === null || (Array.isArray(one) && one.length === 0))) {
    throw fieldInvalid("filter", "must have at least one filter: an empty one would be every token");
  }
  return filter;
}

/** Without what is revoked already; null where nothing can be left. */
function unrevoked(filter: TokenFilter): TokenFilter | null {
  const states = filter.states.length === 0 ? (["active", "expired"] as const) : filter.states;
  const left = states.filter((state) => state !== "revoked");
  return left.length === 0 ? null : { ...filter, states: left };
}
