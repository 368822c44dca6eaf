import { createHash } from "node:crypto";
import { type Caller, mayCreate, mayListAllAccounts } from "./caller.ts";
import type { Clock } from "./clock.ts";
import {
  fieldInvalid,
  pageTokenInvalid,
  replayUnreadable,
  requestIdReused,
  sealingSecretMissing,
  storageLow,
  tokenLimitReached,
  tokenNotFound,
  typeNotGranted,
} from "./errors.ts";
import type { JournalHead } from "./journal.ts";
import { digestKey, isKey, keyHint, mintKey, mintTokenId } from "./key.ts";
import type { KeyIndex, Principal } from "./key-index.ts";
import type { LastUseRecorder } from "./last-use-recorder.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { missingPermissions } from "./permission.ts";
import type { Sealer } from "./sealer.ts";
import { isExpired, type StoredToken, type Token, type TokenState, type TokenType } from "./token.ts";
import { type CreateRequestRecord, pageBounds, type TokenFilter, type TokenStore } from "./token-store.ts";
import { requireAccount, requireCreation, requirePermissions, requireReason, requireTokenId } from "./validation.ts";

/** A gRPC client takes 4 MiB by default. */
const defaultPageSize = 50;
const maxPageSize = 1000;
const maxRequiredPermissions = 16;
const typesAllowedByDefault: readonly TokenType[] = ["secret", "restricted"];

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
  /** Null when nothing changed. */
  readonly head: JournalHead | null;
};

export type ListRequest = {
  /** 0 means the default. */
  readonly pageSize: number;
  /** Empty means the first page. */
  readonly pageToken: string;
  /** Empty means all accounts. */
  readonly account: string;
  readonly types: readonly TokenType[];
  readonly livemode: boolean | null;
  readonly states: readonly TokenState[];
  /** Empty means any. */
  readonly permission: string;
  readonly createdFromMs: number | null;
  readonly createdBeforeMs: number | null;
  readonly expiresBeforeMs: number | null;
  readonly unusedSinceMs: number | null;
};

export type ListAnswer = {
  /** Newest first. */
  readonly tokens: readonly Token[];
  /** Empty means that there is no such page. */
  readonly nextPageToken: string;
  readonly previousPageToken: string;
};

export type RevokeAnswer = {
  readonly token: Token;
  readonly revision: number;
  /** Null when nothing changed. */
  readonly head: JournalHead | null;
};

export type AuthenticateRequest = {
  readonly key: string;
  readonly requiredPermissions: readonly string[];
  /** Null means both modes. */
  readonly livemode: boolean | null;
  /** Empty means secret and restricted. */
  readonly allowedTypes: readonly TokenType[];
};

export type RefusalReason =
  | "KEY_MALFORMED"
  | "KEY_UNKNOWN"
  | "TOKEN_REVOKED"
  | "TOKEN_EXPIRED"
  | "LIVEMODE_MISMATCH"
  | "TYPE_NOT_ALLOWED"
  | "INSUFFICIENT_PERMISSIONS";

/** A decision: `token` is null in a refusal for as long as no token is known to have the key. */
export type Outcome =
  | Principal
  | {
      readonly kind: "refusal";
      readonly reason: RefusalReason;
      readonly token: StoredToken | null;
      readonly missingPermissions: readonly string[];
    };

/** The five operations of TokenService, apart from any wire. Each refuses by throwing an AuthorityError. */
export type TokenAuthority = {
  create(caller: Caller, request: CreateRequest): Promise<CreateAnswer>;
  get(id: string): Promise<Token>;
  list(caller: Caller, request: ListRequest): Promise<ListAnswer>;
  revoke(caller: Caller, id: string, reason: string): Promise<RevokeAnswer>;
  /** Throws for a bad request, never for a bad key. A rejection or any other error means that nothing was decided. Hot path. */
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
};

/** The authority over the tokens of one store. */
export function createTokenAuthority(options: TokenAuthorityOptions): TokenAuthority {
  const { store, keys, clock, lastUse, sealer, maxTokensPerAccount } = options;

  async function create(caller: Caller, request: CreateRequest): Promise<CreateAnswer> {
    requireCreatable(caller, request);
    const key = mintKey(request.type, request.livemode);
    const outcome = await store.create(
      newToken(request, key),
      request.requestId === "" ? null : sealedRequest(caller, request, key),
      maxTokensPerAccount,
      { caller: caller.identity, atMs: clock() },
    );
    switch (outcome.kind) {
      case "created":
        return {
          token: { ...outcome.token, lastUsedAtMs: null },
          key,
          revision: outcome.head.revision,
          head: outcome.head,
        };
      case "replayed":
        return {
          token: outcome.token,
          key: openKey(caller, request, outcome),
          revision: outcome.token.createRevision,
          head: null,
        };
      case "request_id_reused":
        throw requestIdReused();
      case "already_expired":
        throw fieldInvalid("expire_time", "must lie in the future");
      case "limit_reached":
        throw tokenLimitReached(maxTokensPerAccount);
      case "storage_low":
        throw storageLow();
    }
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
      // A backup holds no sealed keys: a restored store has lost those of live tokens too.
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
    requireTokenId(id);
    const token = await store.get(id);
    if (token === null) {
      throw tokenNotFound();
    }
    return token;
  }

  async function list(caller: Caller, request: ListRequest): Promise<ListAnswer> {
    const filter = filterOf(caller, request);
    const position = request.pageToken === "" ? null : decodePageToken(request.pageToken, filter);
    if (position === null && request.pageToken !== "") {
      throw pageTokenInvalid();
    }
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

  async function revoke(caller: Caller, id: string, reason: string): Promise<RevokeAnswer> {
    requireTokenId(id);
    requireReason(reason);
    const outcome = await store.revoke(id, reason, { caller: caller.identity, atMs: clock() });
    if (outcome === null) {
      throw tokenNotFound();
    }
    const revision = outcome.token.revokeRevision;
    if (revision === null) {
      throw new Error(`the store answered to the revocation of ${id} with a token that is not revoked`);
    }
    return { token: outcome.token, revision, head: outcome.head };
  }

  /** Hot path. */
  function authenticate(request: AuthenticateRequest): Outcome | Promise<Outcome> {
    requirePermissions("required_permissions", request.requiredPermissions, maxRequiredPermissions);
    if (!isKey(request.key)) {
      return keyMalformed;
    }
    const found = keys.find(request.key);
    return found instanceof Promise ? found.then((principal) => decide(request, principal)) : decide(request, found);
  }

  /** Hot path. */
  function decide(request: AuthenticateRequest, found: Principal | null): Outcome {
    if (found === null) {
      return keyUnknown;
    }
    const nowMs = clock();
    const outcome = judge(request, found, nowMs);
    if (outcome.kind === "principal") {
      lastUse.record(outcome.token.createRevision, nowMs);
    }
    return outcome;
  }

  return { create, get, list, revoke, authenticate };
}

const keyMalformed = refusal("KEY_MALFORMED", null);
const keyUnknown = refusal("KEY_UNKNOWN", null);

/** The checks once the key is proven, in the order that token_service.proto promises. Hot path. */
function judge(request: AuthenticateRequest, found: Principal, nowMs: number): Outcome {
  const { token } = found;
  if (token.revokedAtMs !== null) {
    return refusal("TOKEN_REVOKED", token);
  }
  if (isExpired(token, nowMs)) {
    return refusal("TOKEN_EXPIRED", token);
  }
  if (request.livemode !== null && request.livemode !== token.livemode) {
    return refusal("LIVEMODE_MISMATCH", token);
  }
  const allowedTypes = request.allowedTypes.length === 0 ? typesAllowedByDefault : request.allowedTypes;
  if (!allowedTypes.includes(token.type)) {
    return refusal("TYPE_NOT_ALLOWED", token);
  }
  const missing = missingPermissions(token.type, token.permissions, request.requiredPermissions);
  if (missing.length > 0) {
    return refusal("INSUFFICIENT_PERMISSIONS", token, missing);
  }
  return found;
}

function refusal(reason: RefusalReason, token: StoredToken | null, missing: readonly string[] = []): Outcome {
  return { kind: "refusal", reason, token, missingPermissions: missing };
}

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

function filterOf(caller: Caller, request: ListRequest): TokenFilter {
  if (request.account !== "") {
    requireAccount(request.account);
  } else if (!mayListAllAccounts(caller.role)) {
    throw fieldInvalid("account", `must be named by the role ${caller.role}`);
  }
  if (request.permission !== "") {
    requirePermissions("permission", [request.permission], 1);
  }
  return {
    account: request.account === "" ? null : request.account,
    types: request.types,
    livemode: request.livemode,
    states: request.states,
    permission: request.permission === "" ? null : request.permission,
    createdFromMs: request.createdFromMs,
    createdBeforeMs: request.createdBeforeMs,
    expiresBeforeMs: request.expiresBeforeMs,
    unusedSinceMs: request.unusedSinceMs,
  };
}

function pageSizeOf(request: ListRequest): number {
  if (request.pageSize < 0) {
    throw fieldInvalid("page_size", "must not be negative");
  }
  return request.pageSize === 0 ? defaultPageSize : Math.min(request.pageSize, maxPageSize);
}

/** Where to go on in the other direction: after the first token of this page, or after an empty page, at the position itself. */
function turnedAround(
  position: { readonly direction: "older" | "newer"; readonly after: number },
  tokens: readonly Token[],
): { readonly direction: "older" | "newer"; readonly after: number } {
  const first = tokens[0]?.createRevision;
  return position.direction === "older"
    ? { direction: "newer", after: first ?? Math.max(0, position.after - 1) }
    : { direction: "older", after: first ?? position.after + 1 };
}
