import { createHash } from "node:crypto";
import { type BulkRevocation, createBulkRevocation } from "./bulk-revocation.ts";
import { type Caller, mayCreate } from "./caller.ts";
import type { Clock } from "./clock.ts";
import { MakerRefusedError } from "./delegation.ts";
import {
  type AuthorityError,
  fieldInvalid,
  replayUnreadable,
  requestIdReused,
  sealingSecretMissing,
  storageLow,
  tokenLimitReached,
  tokenNotFound,
  typeNotGranted,
} from "./errors.ts";
import type { ChangeContext, MadeChange } from "./journal.ts";
import { type AuthenticateRequest, judge, type Outcome, refusal } from "./judge.ts";
import { digestKey, keyHint, mintKey, mintTokenId } from "./key.ts";
import type { Found, KeyIndex } from "./key-index.ts";
import type { LastUseRecorder } from "./last-use-recorder.ts";
import { createLists, type Lists } from "./lists.ts";
import type { Sealer } from "./sealer.ts";
import { asUnused, type Token, type TokenType } from "./token.ts";
import type { CreateRequestRecord, TokenStore } from "./token-store.ts";
import {
  requireCreation,
  requireDigest,
  requirePermissions,
  requireTokenId,
  toReason,
  toTokenName,
} from "./validation.ts";

/** How many permissions one Authenticate may require. */
export const maxRequiredPermissions = 16;
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

export type RevokeAnswer = {
  readonly token: Token;
  readonly revision: number;
};

/**
 * The operations of TokenService, apart from any wire. Each refuses by throwing an AuthorityError; a bearer also by a
 * MakerRefusedError.
 */
export type TokenAuthority = Lists &
  BulkRevocation & {
    create(caller: Caller, request: CreateRequest): Promise<CreateAnswer>;
    get(id: string): Promise<Token>;
    findByDigest(digest: Uint8Array): Promise<Token>;
    revoke(caller: Caller, id: string, reason: string): Promise<RevokeAnswer>;
    /**
     * Throws for a bad request, never for a bad key. A rejection or any other error means that nothing was decided.
     * Hot path.
     */
    authenticate(request: AuthenticateRequest): Outcome | Promise<Outcome>;
  };

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
};

/** The authority over the tokens of one store. */
export function createTokenAuthority(options: TokenAuthorityOptions): TokenAuthority {
  const { store, keys, clock, lastUse, sealer, maxTokensPerAccount, maxLifetimeDays, onChange } = options;

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
      request.requestId === "" ? null : sealedRequest(caller, request, key),
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

  function contextOf(caller: Caller): ChangeContext {
    return { caller: caller.identity, atMs: clock(), bearerKey: caller.role === "bearer" ? caller.key : null };
  }

  function sealedRequest(caller: Caller, request: CreateRequest, key: string): CreateRequestRecord {
    if (sealer === null) {
      throw sealingSecretMissing();
    }
    return {
      id: request.requestId.toLowerCase(),
      bodyDigest: digestBody(request),
      sealedKey: sealer.seal(key, sealingContext(caller, request)),
    };
  }

  function openKey(
    caller: Caller,
    request: CreateRequest,
    replay: { readonly token: Token; readonly sealedKey: Uint8Array | null },
  ): string {
    if (replay.sealedKey === null) {
      // A backup holds no sealed keys: a restored store has lost the sealed keys of live tokens too.
      if (replay.token.revokedAtMs === null) {
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
    if (outcome.change !== null) {
      onChange(outcome.change);
    }
    const revision = outcome.token.revokeRevision;
    if (revision === null) {
      throw new Error(`the store answered to the revocation of ${id} with a token that is not revoked`);
    }
    return { token: outcome.token, revision };
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

  return {
    ...{ create, get, findByDigest, revoke, authenticate },
    ...createLists(store, clock),
    ...createBulkRevocation({ store, contextOf, onChange }),
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

function sealingContext(caller: Caller, request: CreateRequest): string {
  return JSON.stringify([caller.identity, request.account, request.requestId.toLowerCase()]);
}
