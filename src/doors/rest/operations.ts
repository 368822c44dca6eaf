import type { Clock } from "../../authority/clock.ts";
import type { DelegatedListRequest, DelegatedTokens } from "../../authority/delegated-tokens.ts";
import { type StoredToken, type Token, type TokenType, tokenStates, tokenTypes } from "../../authority/token.ts";
import { maxOverlapMs } from "../../authority/token-store.ts";
import type { PublicError } from "../../calls/public-error.ts";
import { tokenRpcs } from "../../calls/rpcs.ts";
import { createAccountPlaces } from "./account-places.ts";
import { type AccountRate, createAccountRate } from "./account-rate.ts";
import {
  creationsLimited,
  parameterInvalid,
  parameterMissing,
  RestError,
  readsLimited,
  selfReadsLimited,
} from "./errors.ts";
import { requestIdOf } from "./idempotency.ts";
import {
  integerOf,
  type Parameters,
  requiredTextOf,
  requiredTextsOf,
  requireKnown,
  secondsOf,
  textOf,
  wordOf,
} from "./parameters.ts";
import { toTokenJson } from "./token-json.ts";

/** A request whose key was accepted, just now. */
export type BearerRequest = {
  readonly bearer: StoredToken;
  /** The token that the path names; empty where it names none. */
  readonly id: string;
  readonly query: Parameters;
  readonly body: Parameters;
  readonly header: Headers;
  readonly signal: AbortSignal;
};

export type OperationAnswer = {
  readonly json: object;
  readonly tokenId: string | null;
  readonly revision: number | null;
};

/** One operation of this API. */
export type Operation = {
  /** The RPC that does the same, for logs and metrics. */
  readonly rpc: string;
  /** Its path, as HTTP knows it. */
  readonly route: string;
  /** What the key must have. Null: nothing, every key that is good may ask, publishable ones too. */
  readonly permission: "tokens:read" | "tokens:write" | null;
  /**
   * Whose places the request takes. A key has some of its own: however much another key of the account asks, and a
   * publishable key is everybody's, this key can be revoked and the account managed.
   */
  readonly places: "account" | "key";
  readonly run: (request: BearerRequest) => Promise<OperationAnswer>;
};

export type OperationsOptions = {
  readonly tokens: DelegatedTokens;
  readonly clock: Clock;
};

export type Operations = Readonly<
  Record<"create" | "get" | "getSelf" | "list" | "revoke" | "revokeSelf" | "rotate" | "endRotation", Operation>
>;

const overlapParameter = "expire_current_key_in_minutes";
const minuteMs = 60_000;
// For one account. A rotation counts as a creation. Revocations and ends are not counted: a leaked key must go, however
// often its holder has asked.
const creationsPerSecond = 25;
const readsPerSecond = 100;
// More than the requests of one account that may be under way.
const maxWaitingLists = 100;

export function createOperations({ tokens, clock }: OperationsOptions): Operations {
  const creations = createAccountRate(creationsPerSecond);
  const reads = createAccountRate(readsPerSecond);
  const selfReads = createAccountRate(readsPerSecond);
  // A list may have to look at many tokens: an account that asks for much at once waits for itself.
  const lists = createAccountPlaces(1, maxWaitingLists);

  async function create({ bearer, query, body, header }: BearerRequest): Promise<OperationAnswer> {
    requireKnown(query, []);
    requireKnown(body, ["name", "type", "permissions", "expires_at"]);
    const type = typeToCreate(body);
    const request = {
      name: requiredTextOf(body, "name"),
      type,
      // Keys of the other types, which are refused, have none.
      permissions: type === "restricted" ? requiredTextsOf(body, "permissions") : [],
      expiresAtMs: toMs(secondsOf(body, "expires_at")),
      requestId: requestIdOf(header),
    };
    spend(creations, bearer.account, creationsLimited);
    const { token, key, revision } = await tokens.create(bearer, request);
    // Sent again, and revoked since: there is no key to show.
    const json = toTokenJson(token, clock(), { key: key === "" ? null : key });
    return { json, tokenId: token.id, revision };
  }

  async function get({ bearer, id, query }: BearerRequest): Promise<OperationAnswer> {
    requireKnown(query, []);
    spend(reads, bearer.account, readsLimited);
    return shown(await tokens.get(bearer, id));
  }

  async function getSelf({ bearer, query }: BearerRequest): Promise<OperationAnswer> {
    requireKnown(query, []);
    spend(selfReads, bearer.id, selfReadsLimited);
    return shown(await tokens.get(bearer, bearer.id));
  }

  function shown(token: Token, revision: number | null = null): OperationAnswer {
    return { json: toTokenJson(token, clock()), tokenId: token.id, revision };
  }

  async function list({ bearer, query, signal }: BearerRequest): Promise<OperationAnswer> {
    const request = listRequestOf(query);
    spend(reads, bearer.account, readsLimited);
    const { tokens: data, hasMore } = await listInTurn(bearer, request, signal);
    const nowMs = clock();
    const json = {
      object: "list",
      url: "/v1/tokens",
      has_more: hasMore,
      data: data.map((token) => toTokenJson(token, nowMs)),
    };
    return { json, tokenId: null, revision: null };
  }

  async function listInTurn(bearer: StoredToken, request: DelegatedListRequest, signal: AbortSignal) {
    const leave = await lists.take(bearer.account, signal);
    try {
      return await tokens.list(bearer, request, signal);
    } finally {
      leave();
    }
  }

  async function revoke({ bearer, id, query, body }: BearerRequest): Promise<OperationAnswer> {
    const { token, revision } = await tokens.revoke(bearer, id, reasonOf(query, body));
    return shown(token, revision);
  }

  async function rotate({ bearer, id, query, body, header }: BearerRequest): Promise<OperationAnswer> {
    requireKnown(query, []);
    requireKnown(body, [overlapParameter]);
    const overlapMinutes = integerOf(body, overlapParameter, { min: 0, max: maxOverlapMs / minuteMs });
    if (overlapMinutes === null) {
      throw parameterMissing(overlapParameter);
    }
    const requestId = requestIdOf(header);
    spend(creations, bearer.account, creationsLimited);
    const answer = await tokens.rotate(bearer, { id, overlapMs: overlapMinutes * minuteMs, requestId });
    const { token, key, revision } = answer;
    // Sent again, and over since: there is no key to show.
    const json = toTokenJson(token, clock(), { key: key === "" ? null : key });
    return { json, tokenId: token.id, revision };
  }

  async function endRotation({ bearer, id, query, body }: BearerRequest): Promise<OperationAnswer> {
    requireKnown(query, []);
    requireKnown(body, ["keep"]);
    const keep = wordOf(body, "keep", ["new", "old"]);
    if (keep === null) {
      throw parameterMissing("keep");
    }
    const { token, revision } = await tokens.endRotation(bearer, id, { kind: keep === "new" ? "cut" : "cancel" });
    return shown(token, revision);
  }

  async function revokeSelf({ bearer, query, body }: BearerRequest): Promise<OperationAnswer> {
    const { token, revision } = await tokens.revokeSelf(bearer, reasonOf(query, body));
    return shown(token, revision);
  }

  return {
    create: { rpc: tokenRpcs.create, route: "/v1/tokens", permission: "tokens:write", places: "account", run: create },
    get: { rpc: tokenRpcs.get, route: "/v1/tokens/{id}", permission: "tokens:read", places: "account", run: get },
    getSelf: { rpc: tokenRpcs.get, route: "/v1/tokens/self", permission: null, places: "key", run: getSelf },
    list: { rpc: tokenRpcs.list, route: "/v1/tokens", permission: "tokens:read", places: "account", run: list },
    revoke: {
      rpc: tokenRpcs.revoke,
      route: "/v1/tokens/{id}/revoke",
      permission: "tokens:write",
      places: "key",
      run: revoke,
    },
    rotate: {
      rpc: tokenRpcs.rotateKey,
      route: "/v1/tokens/{id}/rotate",
      permission: "tokens:write",
      places: "account",
      run: rotate,
    },
    endRotation: {
      rpc: tokenRpcs.endRotation,
      route: "/v1/tokens/{id}/rotate/end",
      permission: "tokens:write",
      places: "key",
      run: endRotation,
    },
    revokeSelf: {
      rpc: tokenRpcs.revoke,
      route: "/v1/tokens/self/revoke",
      permission: null,
      places: "key",
      run: revokeSelf,
    },
  };
}

/** Why a token is revoked; empty where the request does not say. */
function reasonOf(query: Parameters, body: Parameters): string {
  requireKnown(query, []);
  requireKnown(body, ["reason"]);
  return textOf(body, "reason") ?? "";
}

function spend(rate: AccountRate, holder: string, tooMany: PublicError): void {
  const retryAfterSeconds = rate(holder);
  if (retryAfterSeconds > 0) {
    throw new RestError(tooMany, { retryAfterSeconds });
  }
}

/** Types that cannot be created here are types all the same: the domain says why they are refused. */
function typeToCreate(body: Parameters): TokenType {
  const text = textOf(body, "type") ?? "restricted";
  const type = tokenTypes.find((one) => one === text);
  if (type === undefined) {
    throw parameterInvalid("type", "must be restricted");
  }
  return type;
}

function listRequestOf(query: Parameters): DelegatedListRequest {
  requireKnown(query, [
    "limit",
    "starting_after",
    "ending_before",
    "type",
    "status",
    ...boundsOf("created"),
    ...boundsOf("expires_at"),
  ]);
  const type = wordOf(query, "type", tokenTypes);
  const status = wordOf(query, "status", tokenStates);
  const created = rangeOf(query, "created");
  const expires = rangeOf(query, "expires_at");
  return {
    limit: integerOf(query, "limit", { min: 1, max: 100 }) ?? 10,
    from: placeOf(query),
    types: type === null ? [] : [type],
    states: status === null ? [] : [status],
    createdFromMs: created.fromMs,
    createdBeforeMs: created.beforeMs,
    expiresFromMs: expires.fromMs,
    expiresBeforeMs: expires.beforeMs,
  };
}

const bounds = ["gte", "gt", "lt", "lte"] as const;

function boundsOf(name: string): readonly string[] {
  return bounds.map((bound) => `${name}[${bound}]`);
}

/** Times are shown in whole seconds: all of a second is after what is less than it, and before what is greater. */
function rangeOf(
  query: Parameters,
  name: string,
): { readonly fromMs: number | null; readonly beforeMs: number | null } {
  const [gte, gt, lt, lte] = boundsOf(name).map((bound) => secondsOf(query, bound));
  return {
    fromMs: greatest(toMs(gte ?? null), toMs(next(gt ?? null))),
    beforeMs: least(toMs(lt ?? null), toMs(next(lte ?? null))),
  };
}

function placeOf(query: Parameters): DelegatedListRequest["from"] {
  const after = textOf(query, "starting_after");
  const before = textOf(query, "ending_before");
  if (after !== null && before !== null) {
    throw parameterInvalid("ending_before", "cannot go with starting_after");
  }
  if (before !== null) {
    return { direction: "newer", tokenId: before };
  }
  return after === null ? null : { direction: "older", tokenId: after };
}

function toMs(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}

function next(seconds: number | null): number | null {
  return seconds === null ? null : seconds + 1;
}

function greatest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.max(one, other);
}

function least(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}
