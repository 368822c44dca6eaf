import { randomUUID } from "node:crypto";
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { durationFromMs, type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { Token as TokenMessage } from "../gen/casapay/token/v1/token_pb.ts";
import { type RotateKeyResponse, TokenService } from "../gen/casapay/token/v1/token_service_pb.ts";
import { attempt, type Outcome } from "./attempts.ts";
import { machineClocks } from "./cache/clocks.ts";
import { cacheRules } from "./cache/decide.ts";
import { answerOf, widestQuestion } from "./cache/facts.ts";
import { type Fill, KeyCache } from "./cache/key-cache.ts";
import { QuestionsUnderWay } from "./cache/questions-under-way.ts";
import { Watch } from "./cache/watch.ts";
import { type Decision, decisionOf, keyMalformed, mayBeKey, type Question } from "./decision.ts";
import { AuthorityError, failure, UndecidedError } from "./errors.ts";
import { type Settlement, settlementOf } from "./settlement.ts";
import {
  type Account,
  accountOf,
  actionCodes,
  type Change,
  type ChangeAction,
  CreatedToken,
  changeOf,
  stateCodes,
  type Token,
  type TokenState,
  type TokenType,
  tokenOf,
  typeCodes,
} from "./token.ts";
import { type Connection, openConnection, type TransportOptions } from "./transport.ts";

export type CallDefaults = {
  /** What an Authenticate may take, connecting and repeating included. Default: 3,000. */
  readonly authenticateTimeoutMs?: number;
  /** What any other call may take. Default: 10,000. */
  readonly timeoutMs?: number;
  /**
   * Whether Create and RotateKey get a request id, without which they are never repeated. Default: true. False for an
   * authority without a sealing secret.
   */
  readonly requestIds?: boolean;
  /**
   * Turns the cache on: decisions from memory, without a call, for as long as the authority lets this client hold a
   * lease. `maxMiB` bounds the memory, and is at least 1. Default: no cache.
   */
  readonly cache?: { readonly maxMiB: number };
};

export type ConnectOptions = TransportOptions & CallDefaults;

export type CallOptions = {
  /** In place of the client's. */
  readonly timeoutMs?: number;
  /** Ends the call. A change may have happened all the same. */
  readonly signal?: AbortSignal;
};

export type NewToken = {
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode?: boolean;
  readonly permissions?: readonly string[];
  readonly expireTime?: Date;
  /** A UUID. With the same one, a Create that is sent again answers the same token and key. Default: a new one. */
  readonly requestId?: string;
};

export type Paging = { readonly pageSize?: number; readonly pageToken?: string };

/** Filters that are given must all hold. */
export type TokenFilter = {
  readonly account?: string;
  readonly types?: readonly TokenType[];
  readonly livemode?: boolean;
  readonly states?: readonly TokenState[];
  readonly permission?: string;
  readonly createdFrom?: Date;
  readonly createdBefore?: Date;
  readonly expiresFrom?: Date;
  readonly expiresBefore?: Date;
  readonly unusedSince?: Date;
  readonly nameContains?: string;
  readonly keyHint?: string;
  /** The identity of a service, or the id of a token whose key made them over REST. */
  readonly createdBy?: string;
  /** Held by a hold of their own or of their account. */
  readonly held?: boolean;
  /** Two keys live now. */
  readonly rotating?: boolean;
};

/** Filters that are given must all hold. */
export type ChangeFilter = {
  readonly tokenId?: string;
  readonly caller?: string;
  readonly action?: ChangeAction;
  readonly account?: string;
  readonly changedFrom?: Date;
  readonly changedBefore?: Date;
  /** Only changes after this one: for a tail, the last page's `reachedRevision`. */
  readonly afterRevision?: number;
  readonly oldestFirst?: boolean;
};

export type Rotation = {
  /** How long the old key lives on. Default: 0, not at all. At most 7 days. */
  readonly overlapMs?: number;
  /** A UUID. With the same one, a RotateKey that is sent again answers the same key. Default: a new one. */
  readonly requestId?: string;
};

/** What ends a rotation: the old key now, or at another time, or the new key now (`cancel`). */
export type RotationEnd = "cut" | "cancel" | { readonly moveTo: Date };

/** What is held. */
export type HoldSubject = { readonly tokenId: string } | { readonly account: string };

/** What was named, as it is now; the other is null. */
export type Hold = Settlement & {
  readonly token: Token | null;
  readonly account: Account | null;
  readonly revision: number;
};

export type BulkRevocation = {
  /** False, the default, is a dry run, which only counts. */
  readonly force?: boolean;
  /** Of the dry run, or of the call before: what was created later is not revoked. Required with `force`. */
  readonly upToRevision?: number;
  readonly reason?: string;
};

export type BulkRevoked = Settlement & {
  /** Of a dry run: how many tokens match. 10,000 stands for that many or more. */
  readonly matched: number;
  /** Of a dry run: the newest of them, 100 at the most. */
  readonly sampleIds: readonly string[];
  /** What the next call is sent with. */
  readonly upToRevision: number;
  /** How many this call has revoked. */
  readonly revoked: number;
  /** With `force`: whether none is left. Else call again. */
  readonly done: boolean;
};

/** A page may be empty and have another after it. */
export type TokenPage = {
  readonly tokens: readonly Token[];
  /** Empty when there is none. */
  readonly nextPageToken: string;
  readonly previousPageToken: string;
};

export type ChangePage = {
  readonly changes: readonly Change[];
  readonly nextPageToken: string;
  /** With `oldestFirst`: no change up to this one that passes the filters comes after this page. Else 0. */
  readonly reachedRevision: number;
};
export type AccountPage = { readonly accounts: readonly Account[]; readonly nextPageToken: string };

/** A revocation that counts everywhere, but for who is `unconfirmed`. */
export type Revocation = Settlement & { readonly token: Token; readonly revision: number };

/** A token whose rotation was ended. */
export type RotationEnded = Settlement & { readonly token: Token; readonly revision: number };

/** An account that was closed. */
export type Closure = Settlement & { readonly account: Account; readonly revision: number };

/** The token authority, as a caller sees it. Calls reject with an AuthorityError, and with nothing else. */
export type Authority = Disposable & {
  /** Decides on a key. Rejects with an UndecidedError when there is no decision. */
  authenticate(key: string, question?: Question, options?: CallOptions): Promise<Decision>;
  create(token: NewToken, options?: CallOptions): Promise<CreatedToken>;
  get(id: string, options?: CallOptions): Promise<Token>;
  /** One page, newest first. */
  list(filter?: TokenFilter & Paging, options?: CallOptions): Promise<TokenPage>;
  /** All pages. */
  eachToken(filter?: TokenFilter, options?: CallOptions): AsyncGenerator<Token, void>;
  revoke(id: string, reason?: string, options?: CallOptions): Promise<Revocation>;
  /** Gives a token a new key; the old one lives on for the overlap. */
  rotateKey(id: string, rotation?: Rotation, options?: CallOptions): Promise<CreatedToken>;
  endRotation(id: string, end: RotationEnd, options?: CallOptions): Promise<RotationEnded>;
  /** Holds a token or an account, or lifts the hold again. */
  setHold(subject: HoldSubject, held: boolean, reason?: string, options?: CallOptions): Promise<Hold>;
  /** Ends an account for good. */
  closeAccount(account: string, reason?: string, options?: CallOptions): Promise<Closure>;
  /** Ends the tokens that match, after a dry run: with `force` again and again, until it is `done`. */
  revokeTokens(filter: TokenFilter, revocation?: BulkRevocation, options?: CallOptions): Promise<BulkRevoked>;
  /** The token whose key has this SHA-256. */
  findByDigest(digest: Uint8Array, options?: CallOptions): Promise<Token>;
  /** One page of the journal, newest first or oldest first. */
  listChanges(filter?: ChangeFilter & Paging, options?: CallOptions): Promise<ChangePage>;
  eachChange(filter?: ChangeFilter, options?: CallOptions): AsyncGenerator<Change, void>;
  /** One page of accounts, by name. */
  listAccounts(filter?: { readonly prefix?: string } & Paging, options?: CallOptions): Promise<AccountPage>;
  eachAccount(filter?: { readonly prefix?: string }, options?: CallOptions): AsyncGenerator<Account, void>;
  /** Ends the connection and the calls on it. Calls made after it fail. */
  close(): void;
};

/** What V8's maps hold. */
const maxCacheMiB = 8_192;

/** Opens nothing yet: the first call does. `address` is HOST:PORT or unix:/PATH. */
export function connect(address: string, options: ConnectOptions): Authority {
  return authorityOver(openConnection(address, options), options);
}

/** All that a client does, over whatever carries its calls. */
export function authorityOver(connection: Connection, options: CallDefaults): Authority {
  const { transport } = connection;
  const { authenticateTimeoutMs = 3_000, timeoutMs: defaultTimeoutMs = 10_000, requestIds = true } = options;
  const { method: rpc } = TokenService;
  const cached = options.cache === undefined ? null : openCache(connection, options.cache);
  let isClosed = false;

  function close(): void {
    isClosed = true;
    void cached?.watch.close();
    connection.close();
  }

  async function ask<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    write: () => MessageInitShape<Input>,
    { timeoutMs = defaultTimeoutMs, signal }: CallOptions,
    mayRepeat = true,
  ): Promise<Outcome<MessageShape<Output>>> {
    let request: MessageShape<Input>;
    try {
      request = create(method.input, write());
      // The error that the transport would make of it quotes the value.
      toBinary(method.input, request);
    } catch {
      return {
        failure: failure("INVALID_ARGUMENT", `the request to ${method.name} has a value that is not of its type`),
      };
    }
    const call = async (leftMs: number) =>
      (await transport.unary(method, signal, leftMs, undefined, request as MessageInitShape<Input>)).message;
    return await attempt(call, { timeoutMs, signal, mayRepeat, isClosed: () => isClosed });
  }

  async function manage<Input extends DescMessage, Output extends DescMessage>(
    ...call: Parameters<typeof ask<Input, Output>>
  ): Promise<MessageShape<Output>> {
    const outcome = await ask(...call);
    if ("failure" in outcome) {
      throw new AuthorityError(outcome.failure);
    }
    return outcome.response;
  }

  async function askAbout(key: string, question: Question, callOptions: CallOptions): Promise<Decision> {
    if (!mayBeKey(key)) {
      return keyMalformed;
    }
    const limits = { timeoutMs: authenticateTimeoutMs, ...callOptions };
    cached?.watch.start();
    const fill = cached?.cache.beginFill(key, question) ?? null;
    if (cached === null) {
      return await askAsItIs(key, question, limits);
    }
    if (fill === null) {
      const decision = await askAsItIs(key, question, limits);
      cached.cache.overrule(key);
      return decision;
    }
    const { cache, underWay } = cached;
    const startMs = performance.now();
    const left = () => ({ ...limits, timeoutMs: Math.max(limits.timeoutMs - (performance.now() - startMs), 1) });
    const another = underWay.wait(fill.digest, limits.timeoutMs, limits.signal);
    if (another !== null) {
      await another;
      const decision = cache.decide(key, question);
      if (decision !== null) {
        return decision;
      }
    }
    const decision = await underWay.ask(fill.digest, () => askForFacts(cache, fill, key, question, left()));
    return decision ?? (await askAsItIs(key, question, left()));
  }

  async function askAsItIs(
    key: string,
    { requiredPermissions = [], livemode, allowedTypes = [] }: Question,
    limits: CallOptions,
  ): Promise<Decision> {
    const write = () => ({
      key,
      requiredPermissions: [...requiredPermissions],
      ...(livemode === undefined ? {} : { livemode }),
      allowedTypes: codesOf(allowedTypes, typeCodes),
    });
    const outcome = await ask(rpc.authenticate, write, limits);
    if ("failure" in outcome) {
      throw new UndecidedError(outcome.failure);
    }
    const decision = decisionOf(outcome.response);
    if (decision === null) {
      throw new UndecidedError(failure("INTERNAL", "the answer has neither principal nor refusal"));
    }
    return decision;
  }

  /** Null when the answer is not one to decide by: then the question must be asked as it is. */
  async function askForFacts(
    cache: KeyCache,
    fill: Fill,
    key: string,
    question: Question,
    limits: CallOptions,
  ): Promise<Decision | null> {
    const outcome = await ask(rpc.authenticate, () => ({ key, ...widestQuestion, cacheRules }), limits);
    if ("failure" in outcome) {
      // An authority that is older than the one that granted the lease knows no such question.
      if (outcome.failure.code === "INVALID_ARGUMENT") {
        return null;
      }
      throw new UndecidedError(outcome.failure);
    }
    const answer = answerOf(outcome.response, cache.standings);
    return answer === null ? null : cache.endFill(fill, answer, question);
  }

  const authority: Authority = {
    async authenticate(key, question = {}, callOptions = {}) {
      return cached?.cache.decide(key, question) ?? (await askAbout(key, question, callOptions));
    },

    async create(
      { permissions = [], expireTime, type, requestId = requestIds ? randomUUID() : "", ...rest },
      callOptions = {},
    ) {
      const write = () => ({
        ...rest,
        type: codeOf(type, typeCodes),
        permissions: [...permissions],
        ...timesOf({ expireTime }),
        requestId,
      });
      return createdOf(await ask(rpc.create, write, callOptions, requestId !== ""), requestId);
    },

    async get(id, callOptions = {}) {
      return tokenIn(await manage(rpc.get, () => ({ id }), callOptions));
    },

    async list({ pageSize = 0, pageToken = "", ...filter } = {}, callOptions = {}) {
      const write = () => ({ pageSize, pageToken, ...filterOf(filter) });
      const { tokens, nextPageToken, previousPageToken } = await manage(rpc.list, write, callOptions);
      return { tokens: tokens.map(tokenOf), nextPageToken, previousPageToken };
    },

    async *eachToken(filter = {}, callOptions = {}) {
      yield* all(async (pageToken) => {
        const { tokens, nextPageToken } = await authority.list({ pageSize: 1_000, ...filter, pageToken }, callOptions);
        return { items: tokens, nextPageToken };
      });
    },

    async revoke(id, reason = "", callOptions = {}) {
      const response = await manage(rpc.revoke, () => ({ id, reason }), callOptions);
      return { token: tokenIn(response), revision: Number(response.revision), ...settlementOf(response) };
    },

    async rotateKey(id, { overlapMs = 0, requestId = requestIds ? randomUUID() : "" } = {}, callOptions = {}) {
      const write = () => ({ id, overlap: durationFromMs(overlapMs), requestId });
      return createdOf(await ask(rpc.rotateKey, write, callOptions, requestId !== ""), requestId);
    },

    async endRotation(id, end, callOptions = {}) {
      const write = () => ({ id, what: endOf(end) });
      const response = await manage(rpc.endRotation, write, callOptions);
      return { token: tokenIn(response), revision: Number(response.revision), ...settlementOf(response) };
    },

    async setHold(subject, held, reason = "", callOptions = {}) {
      const write = () => ({ subject: subjectOf(subject), held, reason });
      const response = await manage(rpc.setHold, write, callOptions);
      const { subject: now, revision } = response;
      return {
        token: now.case === "token" ? tokenOf(now.value) : null,
        account: now.case === "account" ? accountOf(now.value) : null,
        revision: Number(revision),
        ...settlementOf(response),
      };
    },

    async closeAccount(account, reason = "", callOptions = {}) {
      const response = await manage(rpc.closeAccount, () => ({ account, reason }), callOptions);
      if (response.account === undefined) {
        throw new AuthorityError(failure("INTERNAL", "the answer has no account"));
      }
      const { account: closed, revision } = response;
      return { account: accountOf(closed), revision: Number(revision), ...settlementOf(response) };
    },

    async revokeTokens(filter, { force = false, upToRevision = 0, reason = "" } = {}, callOptions = {}) {
      const write = () => ({ filter: filterOf(filter), force, upToRevision: BigInt(upToRevision), reason });
      const response = await manage(rpc.revokeTokens, write, callOptions);
      const { matched, sampleIds, revoked, done } = response;
      const counted = { matched, sampleIds, upToRevision: Number(response.upToRevision) };
      return { ...counted, revoked, done, ...settlementOf(response) };
    },

    async findByDigest(digest, callOptions = {}) {
      return tokenIn(await manage(rpc.findByDigest, () => ({ digest: new Uint8Array(digest) }), callOptions));
    },

    async listChanges({ action, changedFrom, changedBefore, afterRevision = 0, ...rest } = {}, callOptions = {}) {
      const write = () => ({
        ...rest,
        afterRevision: BigInt(afterRevision),
        ...(action === undefined ? {} : { action: codeOf(action, actionCodes) }),
        ...timesOf({ changedFrom, changedBefore }),
      });
      const { changes, nextPageToken, reachedRevision } = await manage(rpc.listChanges, write, callOptions);
      return { changes: changes.map(changeOf), nextPageToken, reachedRevision: Number(reachedRevision) };
    },

    async *eachChange(filter = {}, callOptions = {}) {
      yield* all(async (pageToken) => {
        const { changes, nextPageToken } = await authority.listChanges(
          { pageSize: 1_000, ...filter, pageToken },
          callOptions,
        );
        return { items: changes, nextPageToken };
      });
    },

    async listAccounts(filter = {}, callOptions = {}) {
      const { accounts, nextPageToken } = await manage(rpc.listAccounts, () => filter, callOptions);
      return { accounts: accounts.map(accountOf), nextPageToken };
    },

    async *eachAccount(filter = {}, callOptions = {}) {
      yield* all(async (pageToken) => {
        const { accounts, nextPageToken } = await authority.listAccounts(
          { pageSize: 1_000, ...filter, pageToken },
          callOptions,
        );
        return { items: accounts, nextPageToken };
      });
    },

    close,
    [Symbol.dispose]: close,
  };
  return authority;
}

function openCache({ transport, onLeave }: Connection, { maxMiB }: { readonly maxMiB: number }) {
  if (!(maxMiB >= 1 && maxMiB <= maxCacheMiB)) {
    throw new TypeError(`cache.maxMiB must be 1 to ${maxCacheMiB}`);
  }
  const cache = new KeyCache(maxMiB * 2 ** 20, machineClocks);
  const watch = new Watch({ transport, cache, clocks: machineClocks });
  onLeave(() => watch.moveOn());
  return { cache, watch, underWay: new QuestionsUnderWay() };
}

/** Goes through pages to the last: an empty one may have another after it. */
async function* all<Item>(
  fetchPage: (pageToken: string) => Promise<{ readonly items: readonly Item[]; readonly nextPageToken: string }>,
): AsyncGenerator<Item, void> {
  let pageToken = "";
  do {
    const { items, nextPageToken } = await fetchPage(pageToken);
    yield* items;
    pageToken = nextPageToken;
  } while (pageToken !== "");
}

type Issued = {
  readonly token?: TokenMessage | undefined;
  readonly key: string;
  readonly revision: bigint;
} & Partial<Pick<RotateKeyResponse, "acknowledgedCount" | "silent" | "unconfirmed">>;

function createdOf(outcome: Outcome<Issued>, requestId: string): CreatedToken {
  if ("failure" in outcome) {
    throw new AuthorityError(outcome.failure, requestId === "" ? null : requestId);
  }
  // A creation takes nothing away: nobody is waited for.
  const { acknowledgedCount = 0, silent = [], unconfirmed = [] } = outcome.response;
  const settlement = settlementOf({ acknowledgedCount, silent, unconfirmed });
  return new CreatedToken(tokenIn(outcome.response), outcome.response, settlement);
}

/** As List and RevokeTokens have it. */
function filterOf({ types = [], states = [], ...rest }: TokenFilter) {
  const { createdFrom, createdBefore, expiresFrom, expiresBefore, unusedSince, ...plain } = rest;
  return {
    ...plain,
    types: codesOf(types, typeCodes),
    states: codesOf(states, stateCodes),
    ...timesOf({ createdFrom, createdBefore, expiresFrom, expiresBefore, unusedSince }),
  };
}

function endOf(end: RotationEnd) {
  if (typeof end === "object") {
    return { case: "moveEnd" as const, value: timestampFromDate(end.moveTo) };
  }
  return { case: codeOf(end, { cut: "cutOldNow", cancel: "cancel" } as const), value: true };
}

function subjectOf(subject: HoldSubject) {
  return "tokenId" in subject
    ? { case: "tokenId" as const, value: subject.tokenId }
    : { case: "account" as const, value: subject.account };
}

function tokenIn({ token }: { readonly token?: TokenMessage | undefined }): Token {
  if (token === undefined) {
    throw new AuthorityError(failure("INTERNAL", "the answer has no token"));
  }
  return tokenOf(token);
}

function codeOf<Name extends string, Value>(name: Name, codes: Readonly<Record<Name, Value>>): Value {
  if (!Object.hasOwn(codes, name)) {
    throw new TypeError("not one of its values");
  }
  return codes[name];
}

function codesOf<Name extends string, Value>(names: readonly Name[], codes: Readonly<Record<Name, Value>>): Value[] {
  return names.map((name) => codeOf(name, codes));
}

function timesOf<Name extends string>(
  dates: Readonly<Record<Name, Date | undefined>>,
): Partial<Record<Name, Timestamp>> {
  const times: Partial<Record<Name, Timestamp>> = {};
  for (const name of Object.keys(dates) as Name[]) {
    const date = dates[name];
    if (date !== undefined) {
      times[name] = timestampFromDate(date);
    }
  }
  return times;
}
