import { createHash } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { createBulkRevocation, type RevokeTokensAnswer, type RevokeTokensRequest } from "./bulk-revocation.ts";
import { type CacheDecision, type CacheQuestion, cacheForMs, requireCacheQuestion } from "./cache-decision.ts";
import { type Caller, mayCreate } from "./caller.ts";
import type { Clock } from "./clock.ts";
import { MakerRefusedError } from "./delegation.ts";
import {
  type AuthorityError,
  accountClosed,
  fieldInvalid,
  journalWentBack,
  keyLimitReached,
  replayUnreadable,
  requestIdReused,
  rotationNotUnderWay,
  rotationUnderWay,
  sealingSecretMissing,
  storageLow,
  tokenLimitReached,
  tokenNotActive,
  tokenNotFound,
  typeNotGranted,
  undecided,
} from "./errors.ts";
import type { Holder } from "./freshness.ts";
import type { ChangeContext, MadeChange, Subject } from "./journal.ts";
import { type AuthenticateRequest, judge, type Outcome, refusal } from "./judge.ts";
import { digestKey, keyHint, mintKey, mintTokenId } from "./key.ts";
import type { Found, KeyIndex } from "./key-index.ts";
import type { LastUseRecorder } from "./last-use-recorder.ts";
import { leaseMs } from "./lease.ts";
import { createLists, type Lists } from "./lists.ts";
import { createReportedUses } from "./reported-uses.ts";
import type { Sealer } from "./sealer.ts";
import { createSettling, type Settled, type SettleReadings, type WaitedOut } from "./settling.ts";
import { asUnused, type Token, type TokenType } from "./token.ts";
import {
  type Account,
  accountPageBounds,
  type CreateRequestRecord,
  maxKeysOfToken,
  type Replayed,
  type RotationEnd,
  type TokenStore,
} from "./token-store.ts";
import {
  requireAccount,
  requireCreation,
  requireDigest,
  requirePermissions,
  requireRotation,
  requireTokenId,
  toReason,
  toTokenName,
} from "./validation.ts";
import { createWatching, type Watch, type WatchReadings } from "./watching.ts";

/** How many permissions one Authenticate may require. */
export const maxRequiredPermissions = 16;
// A little less than the deadline of an Authenticate.
const maxWaitForRevisionMs = 900;
const lookForRevisionMs = 25;
const dayMs = 24 * 60 * 60 * 1000;

export type CreateRequest = {
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode: boolean;
  readonly permissions: readonly string[];
  /** Null means never. */
  readonly expiresAtMs: number | null;
  /** Empty means none. */
  readonly requestId: string;
};

export type CreateAnswer = {
  readonly token: Token;
  /** Empty when a request was sent again and its token has been revoked since. */
  readonly key: string;
  readonly revision: number;
};

export type RotateRequest = {
  readonly id: string;
  /** How long the old key lives on. */
  readonly overlapMs: number;
  /** Empty means none. */
  readonly requestId: string;
};

export type RotateAnswer = {
  readonly token: Token;
  /** Empty when a request was sent again and its key is over since. */
  readonly key: string;
  readonly revision: number;
};

export type EndRotationAnswer = {
  readonly token: Token;
  readonly revision: number;
};

export type HoldAnswer = {
  /** As it is now. */
  readonly subject: Token | Account;
  /** 0 where a hold was to be lifted that was never set. */
  readonly revision: number;
};

export type CloseAnswer = {
  readonly account: Account;
  readonly revision: number;
};

export type RevokeAnswer = {
  readonly token: Token;
  readonly revision: number;
};

/**
 * The operations of TokenService, apart from any wire. Each refuses by throwing an AuthorityError; a bearer also by a
 * MakerRefusedError.
 */
export type TokenAuthority = Lists & {
  create(caller: Caller, request: CreateRequest): Promise<CreateAnswer>;
  get(id: string): Promise<Token>;
  findByDigest(digest: Uint8Array): Promise<Token>;
  revoke(caller: Caller, id: string, reason: string): Promise<Settled<RevokeAnswer>>;
  setHold(caller: Caller, subject: Subject, held: boolean, reason: string): Promise<Settled<HoldAnswer>>;
  closeAccount(caller: Caller, account: string, reason: string): Promise<Settled<CloseAnswer>>;
  rotateKey(caller: Caller, request: RotateRequest): Promise<Settled<RotateAnswer>>;
  endRotation(caller: Caller, id: string, end: RotationEnd): Promise<Settled<EndRotationAnswer>>;
  /**
   * Counts the tokens that match the filter, or revokes them, a thousand a call at the most. Ends early when the signal
   * aborts: what was revoked is revoked.
   */
  revokeTokens(caller: Caller, request: RevokeTokensRequest, signal: AbortSignal): Promise<Settled<RevokeTokensAnswer>>;
  /**
   * Throws for a bad request, never for a bad key. A rejection or any other error means that nothing was decided.
   * Hot path.
   */
  authenticate(request: AuthenticateRequest): Outcome | Promise<Outcome>;
  /**
   * The same for a caller that keeps the answer, or knows of a revision. It notes no use with `cacheRules`: the caller
   * may refuse what is accepted here, and reports uses itself.
   */
  authenticateForCache(request: AuthenticateRequest & CacheQuestion): Promise<CacheDecision>;
  /**
   * Tells the caller of changes, and grants it leases. Null when too many watch already. `wake` is called when there
   * may be something to tell.
   */
  watch(caller: Caller, wake: () => void): Watch | null;
  holders(): HolderReadings;
};

/** What the authority tells of those who decide from memory elsewhere. */
export type HolderReadings = WatchReadings & SettleReadings & { readonly reportedUses: number };

export type TokenAuthorityOptions = {
  readonly store: TokenStore;
  readonly keys: KeyIndex;
  readonly clock: Clock;
  readonly lastUse: LastUseRecorder;
  /** Null when there is no sealing secret: then request ids are refused. */
  readonly sealer: Sealer | null;
  readonly maxTokensPerAccount: number;
  /** How long new live secret and restricted tokens may live at the most; null means no limit. */
  readonly maxLifetimeDays: number | null;
  /** Told of each change once it is made, whether or not anybody waits for its answer. */
  readonly onChange: (change: MadeChange) => void;
  /** Told of each holder of a lease that does not acknowledge in time, and of each change that waited for it. */
  readonly onSilent: (holder: Holder) => void;
  readonly onWaitedOut: (waited: WaitedOut) => void;
};

/** The authority over the tokens of one store. */
export function createTokenAuthority(options: TokenAuthorityOptions): TokenAuthority {
  const { store, keys, clock, lastUse, sealer, maxTokensPerAccount, maxLifetimeDays, onChange, onSilent } = options;
  const monotonicMs = () => performance.now();
  const settling = createSettling(store.freshness, options.onWaitedOut, monotonicMs);
  const uses = createReportedUses(store.findByDigest, lastUse, clock);
  const watching = createWatching({ freshness: store.freshness, uses, onSilent, monotonicMs, wallMs: clock });

  async function create(caller: Caller, asked: CreateRequest): Promise<CreateAnswer> {
    requireCreatable(caller, asked);
    const request = { ...asked, name: toTokenName(asked.name) };
    const overdue = lifetimeObjection(request);
    if (overdue !== null && request.requestId === "") {
      throw overdue;
    }
    const key = mintKey(request.type, request.livemode);
    const outcome = await store.create(
      newToken(request, key),
      request.requestId === "" ? null : sealedRequest(caller, request, digestBody(request), key),
      // The limit may have been lowered since the first answer: without room, the store answers only what was created.
      overdue === null ? maxTokensPerAccount : 0,
      contextOf(caller),
    );
    switch (outcome.kind) {
      case "created":
        onChange(outcome.change);
        return { token: asUnused(outcome.token), key, revision: outcome.change.revision };
      case "replayed":
        return {
          token: outcome.token,
          key: openKey(caller, request, outcome),
          revision: outcome.token.createRevision,
        };
      case "maker_refused":
        throw new MakerRefusedError(outcome.reason);
      case "account_closed":
        throw accountClosed();
      case "request_id_reused":
        throw requestIdReused();
      case "already_expired":
        throw fieldInvalid("expiresAtMs", "must lie in the future");
      case "limit_reached":
        throw overdue ?? tokenLimitReached(maxTokensPerAccount);
      case "storage_low":
        throw storageLow();
    }
  }

  /** Null where the token does not live too long. */
  function lifetimeObjection({ type, livemode, expiresAtMs }: CreateRequest): AuthorityError | null {
    const isFree = maxLifetimeDays === null || type === "publishable" || !livemode;
    if (isFree || (expiresAtMs !== null && expiresAtMs <= clock() + maxLifetimeDays * dayMs)) {
      return null;
    }
    return fieldInvalid(
      "expiresAtMs",
      `must be given, and at most ${maxLifetimeDays} days ahead: live ${type} keys live no longer here`,
    );
  }

  function tell(change: MadeChange | null): void {
    if (change !== null) {
      onChange(change);
    }
  }

  function contextOf(caller: Caller): ChangeContext {
    return { caller: caller.identity, atMs: clock(), bearerKey: caller.role === "bearer" ? caller.key : null };
  }

  function sealedRequest(
    caller: Caller,
    request: IdentifiedRequest,
    bodyDigest: Uint8Array,
    key: string,
  ): CreateRequestRecord {
    if (sealer === null) {
      throw sealingSecretMissing();
    }
    return {
      id: request.requestId.toLowerCase(),
      bodyDigest,
      sealedKey: sealer.seal(key, sealingContext(caller, request)),
    };
  }

  function openKey(caller: Caller, request: IdentifiedRequest, replay: Replayed): string {
    if (replay.sealedKey === null) {
      // A backup holds no sealed keys: a restored store has lost the sealed keys of live tokens too.
      if (!replay.isOver) {
        throw replayUnreadable(replay.token.id);
      }
      return "";
    }
    const key = sealer?.open(replay.sealedKey, sealingContext(caller, request)) ?? null;
    if (key === null) {
      throw replayUnreadable(replay.token.id);
    }
    return key;
  }

  async function get(id: string): Promise<Token> {
    requireTokenId("id", id);
    const token = await store.get(id);
    if (token === null) {
      throw tokenNotFound();
    }
    return token;
  }

  async function findByDigest(digest: Uint8Array): Promise<Token> {
    requireDigest(digest);
    const found = await store.findByDigest(digest);
    if (found === null) {
      throw tokenNotFound("digest");
    }
    // Read again for its last use.
    return await get(found.id);
  }

  async function revoke(caller: Caller, id: string, reason: string): Promise<RevokeAnswer> {
    requireTokenId("id", id);
    const outcome = await store.revoke(id, toReason(reason), contextOf(caller));
    if (outcome === null) {
      throw tokenNotFound();
    }
    if (outcome.kind === "maker_refused") {
      throw new MakerRefusedError(outcome.reason);
    }
    tell(outcome.change);
    const revision = outcome.token.revokeRevision;
    if (revision === null) {
      throw new Error(`the store answered to the revocation of ${id} with a token that is not revoked`);
    }
    return { token: outcome.token, revision };
  }

  async function rotateKey(caller: Caller, request: RotateRequest): Promise<RotateAnswer> {
    requireRotation(request);
    const { account, type, livemode } = await getToRotate(caller, request.id);
    const key = mintKey(type, livemode);
    const identified = { account, requestId: request.requestId };
    const outcome = await store.rotateKey(
      request.id,
      { digest: digestKey(key), keyHint: keyHint(key) },
      request.overlapMs,
      request.requestId === "" ? null : sealedRequest(caller, identified, digestRotation(request), key),
      contextOf(caller),
    );
    if (outcome === null) {
      throw tokenNotFound();
    }
    switch (outcome.kind) {
      case "rotated":
        onChange(outcome.change);
        return { token: outcome.token, key, revision: outcome.change.revision };
      case "replayed":
        return {
          token: outcome.token,
          key: openKey(caller, identified, outcome),
          revision: outcome.issueRevision,
        };
      case "maker_refused":
        throw new MakerRefusedError(outcome.reason);
      case "request_id_reused":
        throw requestIdReused();
      case "account_closed":
        throw accountClosed();
      case "token_not_active":
        throw tokenNotActive();
      case "rotation_under_way":
        throw rotationUnderWay();
      case "key_limit_reached":
        throw keyLimitReached(maxKeysOfToken);
      case "storage_low":
        throw storageLow();
    }
  }

  /** What the type of a token allows never changes, so that it may be looked at before. */
  async function getToRotate(caller: Caller, id: string): Promise<Token> {
    const token = await get(id);
    if (!mayCreate(caller.role, token.type)) {
      throw typeNotGranted(caller.role, token.type, "rotate");
    }
    return token;
  }

  async function endRotation(caller: Caller, id: string, end: RotationEnd): Promise<EndRotationAnswer> {
    await getToRotate(caller, id);
    const outcome = await store.endRotation(id, end, contextOf(caller));
    if (outcome === null) {
      throw tokenNotFound();
    }
    switch (outcome.kind) {
      case "ended":
        tell(outcome.change);
        return { token: outcome.token, revision: outcome.revision };
      case "maker_refused":
        throw new MakerRefusedError(outcome.reason);
      case "token_not_active":
        throw tokenNotActive();
      case "rotation_not_under_way":
        throw rotationNotUnderWay();
      case "end_out_of_range":
        throw fieldInvalid("moveEnd", "must not lie before now, nor more than 7 days after the rotation");
    }
  }

  async function setHold(caller: Caller, subject: Subject, held: boolean, reason: string): Promise<HoldAnswer> {
    if ("tokenId" in subject) {
      requireTokenId("tokenId", subject.tokenId);
    } else {
      requireAccount(subject.account);
    }
    const outcome = await store.setHold(subject, held, toReason(reason), contextOf(caller));
    if (outcome === null) {
      throw tokenNotFound("tokenId");
    }
    if (outcome.kind === "account_closed") {
      throw accountClosed();
    }
    tell(outcome.change);
    const now = "tokenId" in subject ? await get(subject.tokenId) : await getAccount(subject.account);
    return { subject: now, revision: outcome.revision };
  }

  async function closeAccount(caller: Caller, account: string, reason: string): Promise<CloseAnswer> {
    requireAccount(account);
    const { change, revision } = await store.closeAccount(account, toReason(reason), contextOf(caller));
    tell(change);
    return { account: await getAccount(account), revision };
  }

  function getAccount(account: string): Promise<Account> {
    return store.getAccount(account, { countTo: accountPageBounds.countTo, nowMs: clock() });
  }

  function authenticate(request: AuthenticateRequest): Outcome | Promise<Outcome> {
    requirePermissions("requiredPermissions", request.requiredPermissions, maxRequiredPermissions);
    const found = keys.find(request.key);
    return found instanceof Promise ? found.then((late) => decide(request, late)) : decide(request, found);
  }

  function decide(request: AuthenticateRequest, found: Found): Outcome {
    if (found === undefined) {
      return keyMalformed;
    }
    if (found === null) {
      return keyUnknown;
    }
    const nowMs = clock();
    const outcome = judge(request, found, nowMs);
    if (outcome.kind === "principal") {
      lastUse.record(outcome.token.issueRevision, nowMs);
    }
    return outcome;
  }

  async function authenticateForCache(request: AuthenticateRequest & CacheQuestion): Promise<CacheDecision> {
    requirePermissions("requiredPermissions", request.requiredPermissions, maxRequiredPermissions);
    requireCacheQuestion(request);
    // Before the key is looked for: what is found then may be newer than the revision, and never older.
    const revision = await reach(request.minRevision);
    if (request.cacheRules === 0) {
      return { outcome: await authenticate(request), revision, cacheForMs: null };
    }
    const found = await keys.find(request.key);
    const nowMs = clock();
    const outcome = found === undefined ? keyMalformed : found === null ? keyUnknown : judge(request, found, nowMs);
    return { outcome, revision, cacheForMs: cacheForMs(outcome, nowMs) };
  }

  /** Waits for a revision that was answered elsewhere, and not long: this store may never have had it. */
  async function reach(minRevision: number): Promise<number> {
    const endMs = monotonicMs() + maxWaitForRevisionMs;
    for (;;) {
      const revision = keys.reach();
      if (revision >= minRevision) {
        return revision;
      }
      const leftMs = endMs - monotonicMs();
      if (leftMs <= 0) {
        throw isNewest()
          ? journalWentBack(revision)
          : undecided(new Error(`revision ${minRevision} was asked for, and ${revision} is the newest known`));
      }
      // Looked at now and then: a wait for the change signal could not be given up.
      await pause(Math.min(leftMs, lookForRevisionMs));
    }
  }

  /** Whether the newest change that is known was the newest at some time since a wait for a revision began. */
  function isNewest(): boolean {
    return store.freshness.leaseMs() > leaseMs - maxWaitForRevisionMs;
  }

  return {
    create,
    get,
    findByDigest,
    // What takes away or gives back: answered when nobody decides by what was before.
    revoke: settling.settled(revoke),
    rotateKey: settling.settled(rotateKey),
    endRotation: settling.settled(endRotation),
    setHold: settling.settled(setHold),
    closeAccount: settling.settled(closeAccount),
    revokeTokens: settling.settled(createBulkRevocation({ store, contextOf, onChange })),
    authenticate,
    authenticateForCache,
    watch: ({ identity }, wake) => watching.watch(identity, wake),
    holders: () => ({ ...watching.readings(), ...settling.readings(), reportedUses: uses.accepted() }),
    ...createLists(store, clock),
  };
}

const keyMalformed = refusal("KEY_MALFORMED", null);
const keyUnknown = refusal("KEY_UNKNOWN", null);

function requireCreatable(caller: Caller, request: CreateRequest): void {
  requireCreation(request);
  if (!mayCreate(caller.role, request.type)) {
    throw typeNotGranted(caller.role, request.type);
  }
}

function newToken(request: CreateRequest, key: string) {
  return {
    id: mintTokenId(),
    digest: digestKey(key),
    account: request.account,
    name: request.name,
    type: request.type,
    livemode: request.livemode,
    keyHint: keyHint(key),
    permissions: request.permissions,
    expiresAtMs: request.expiresAtMs,
  };
}

/** What a request id is bound to. */
type IdentifiedRequest = { readonly account: string; readonly requestId: string };

function digestRotation({ id, overlapMs }: RotateRequest): Uint8Array {
  return createHash("sha256")
    .update(JSON.stringify(["rotate", id, overlapMs]), "utf8")
    .digest();
}

function digestBody(request: CreateRequest): Uint8Array {
  const body = JSON.stringify([
    request.account,
    request.name,
    request.type,
    request.livemode,
    request.permissions,
    request.expiresAtMs,
  ]);
  return createHash("sha256").update(body, "utf8").digest();
}

function sealingContext(caller: Caller, request: IdentifiedRequest): string {
  return JSON.stringify([caller.identity, request.account, request.requestId.toLowerCase()]);
}
