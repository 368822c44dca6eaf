import { createHash, randomInt } from "node:crypto";
import { create, type JsonValue, toJson } from "@bufbuild/protobuf";
import { durationMs, timestampDate, timestampFromDate, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import {
  AccountState,
  type Key,
  KeySchema,
  type Token,
  TokenSchema,
  TokenState,
  TokenType,
} from "../gen/casapay/token/v1/token_pb.ts";
import {
  AccountSchema,
  type Change,
  ChangeAction,
  ChangeSchema,
  type CreateRequest,
  type EndRotationRequest,
  ListChangesRequestSchema,
  type ListRequest,
  ListRequestSchema,
  RefusalReason,
  type RotateKeyRequest,
  TokenFilterSchema,
  type TokenService,
} from "../gen/casapay/token/v1/token_service_pb.ts";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { checksum } from "./checksum.ts";

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(read|write)$/;
const accountPattern = /^[0-9A-Za-z_-]{1,64}$/;
const prefixes = { [TokenType.SECRET]: "sk", [TokenType.PUBLISHABLE]: "pk", [TokenType.RESTRICTED]: "rk" };

const maxOverlapMs = 7 * 86_400_000;
const filters = ["account", "types", "livemode", "states", "permission", "held", "rotating"];

/** What is known of a key, and the key itself with the change that ended it, for whoever asks again. */
type KeptKey = { readonly facts: Key; readonly key: string; readonly digest: string; endRevision: bigint };
type Kept = { readonly token: Token; readonly keys: KeptKey[]; readonly revision: bigint };
type Replay = { readonly body: string; readonly kept: Kept; readonly key: KeptKey; readonly revision: bigint };
type Filter = Pick<ListRequest, "account" | "types" | "livemode" | "states" | "permission" | "held" | "rotating">;

/** The contract in memory, as far as fake.ts says. */
export function createFakeService(
  now: () => Date,
  isDown: () => boolean,
): Omit<ServiceImpl<typeof TokenService>, "watch"> {
  const tokens: Kept[] = [];
  const changes: Change[] = [];
  const replays = new Map<string, Replay>();
  /** Those that are not active, with the change that made them so. */
  const accounts = new Map<string, { readonly state: AccountState; readonly revision: bigint }>();
  /** The change of the last hold or release of a token. */
  const holds = new Map<string, bigint>();

  function answer<Response>(respond: () => Response): Response {
    if (isDown()) {
      throw new ConnectError("the fake is down", Code.Unavailable);
    }
    return respond();
  }

  function find(field: string, wanted: (kept: Kept) => boolean): Kept {
    const kept = tokens.find(wanted);
    if (kept === undefined) {
      throw refused(Code.NotFound, "TOKEN_NOT_FOUND", "no such token", { field });
    }
    return kept;
  }

  function note(action: ChangeAction, subject: { token: Token } | { account: string }, reason = ""): bigint {
    const revision = BigInt(changes.length + 1);
    const {
      id: tokenId = "",
      account,
      name: tokenName = "",
      type: tokenType = TokenType.UNSPECIFIED,
    } = "token" in subject ? subject.token : create(TokenSchema, { account: subject.account });
    const revokeReason = action === ChangeAction.REVOKE ? reason : "";
    const common = { revision, action, tokenId, account, tokenName, tokenType, reason, revokeReason };
    changes.push(create(ChangeSchema, { ...common, caller: "local", changeTime: timestampFromDate(now()) }));
    return revision;
  }

  function accountState(account: string): AccountState {
    return accounts.get(account)?.state ?? AccountState.ACTIVE;
  }

  /** The token as it is now. */
  function shown({ token, keys }: Kept): Token {
    const expired = token.expireTime !== undefined && now() >= timestampDate(token.expireTime);
    const living = expired ? TokenState.EXPIRED : TokenState.ACTIVE;
    const uses = keys.flatMap(({ facts }) => facts.lastUseTime ?? []);
    const [lastUseTime] = uses.toSorted((a, b) => timestampMs(b) - timestampMs(a));
    const live = liveKeys(keys);
    return {
      ...token,
      state: token.revokeTime === undefined ? living : TokenState.REVOKED,
      keyHint: keys.find(({ facts }) => facts.endTime === undefined)?.facts.hint ?? token.keyHint,
      keys: [...live, ...keys.filter((key) => !live.includes(key))].slice(0, 10).map(({ facts }) => facts),
      accountState: accountState(token.account),
      ...(lastUseTime === undefined ? {} : { lastUseTime }),
    };
  }

  function shownAccount(account: string) {
    const owned = tokens.map(shown).filter((token) => token.account === account);
    const count = (state: TokenState) => owned.filter((token) => token.state === state).length;
    return create(AccountSchema, {
      account,
      activeCount: count(TokenState.ACTIVE),
      expiredCount: count(TokenState.EXPIRED),
      revokedCount: count(TokenState.REVOKED),
      state: accountState(account),
    });
  }

  /** Newest first, as all keys are. */
  function liveKeys(keys: readonly KeptKey[]): readonly KeptKey[] {
    return keys.filter(({ facts: { endTime } }) => endTime === undefined || now() < timestampDate(endTime));
  }

  function mint({ keyPrefix }: Token): KeptKey {
    const unchecked = `${keyPrefix}${randomText(32)}`;
    const key = `${unchecked}${checksum(unchecked)}`;
    const facts = create(KeySchema, { hint: key.slice(-4), issueTime: timestampFromDate(now()) });
    return { facts, key, digest: digestOf(key), endRevision: 0n };
  }

  /** Ends a key then, or with its token where that is earlier. Without a time, the key goes on. */
  function end({ token }: Kept, key: KeptKey, time: Date | null, revision: bigint): void {
    const expireMs = token.expireTime === undefined ? Number.POSITIVE_INFINITY : timestampMs(token.expireTime);
    if (time === null) {
      delete key.facts.endTime;
    } else {
      key.facts.endTime = timestampFromMs(Math.min(time.getTime(), expireMs));
    }
    key.endRevision = revision;
  }

  function issue(request: CreateRequest): Replay {
    checkCreate(request, now());
    checkOpen(request.account);
    const { account, name, type, livemode, expireTime } = request;
    const keyPrefix = `${prefixes[type as keyof typeof prefixes]}_${livemode ? "live" : "test"}_`;
    const token = create(TokenSchema, {
      ...{ account, name, type, livemode, keyPrefix, permissions: [...new Set(request.permissions)].toSorted() },
      ...(expireTime === undefined ? {} : { expireTime }),
      ...{ id: `tok_${randomText(20)}`, createTime: timestampFromDate(now()) },
      createdBy: "local",
    });
    const key = mint(token);
    const kept = { token, keys: [key], revision: note(ChangeAction.CREATE, { token }) };
    tokens.push(kept);
    return { body: bodyOf(request), kept, key, revision: kept.revision };
  }

  function rotate({ id, overlap, requestId }: RotateKeyRequest): Replay {
    const overlapMs = overlap === undefined ? 0 : durationMs(overlap);
    checkField(overlapMs >= 0 && overlapMs <= maxOverlapMs, "overlap", "must be 0 to 7 days");
    checkField(requestId !== "" || overlapMs > 0, "request_id", "must be given without an overlap");
    const kept = find("id", ({ token }) => token.id === id);
    checkOpen(kept.token.account);
    checkActive(kept);
    const [newest, old] = liveKeys(kept.keys);
    if (old !== undefined && newest?.facts.lastUseTime !== undefined) {
      throw refused(Code.FailedPrecondition, "ROTATION_UNDER_WAY", "two keys live, and the new one is in use");
    }
    const key = mint(kept.token);
    const revision = note(ChangeAction.ROTATE_KEY, kept);
    const oldEnd = new Date(now().getTime() + overlapMs);
    if (newest !== undefined) {
      end(kept, newest, old === undefined ? oldEnd : now(), revision);
    }
    if (old !== undefined) {
      end(kept, old, oldEnd, revision);
    }
    kept.keys.unshift(key);
    return { body: bodyOfRotation(id, overlapMs), kept, key, revision };
  }

  /** Answers a request that was sent before as it was answered then. */
  function issued(requestId: string, body: string, make: () => Replay) {
    const made = replays.get(requestId) ?? make();
    if (made.body !== body) {
      throw refused(Code.AlreadyExists, "REQUEST_ID_REUSED", "the request_id was used with another body", {
        field: "request_id",
      });
    }
    if (requestId !== "") {
      replays.set(requestId, made);
    }
    const token = shown(made.kept);
    const isOver = token.state === TokenState.REVOKED || !liveKeys(made.kept.keys).includes(made.key);
    return { token, key: isOver ? "" : made.key.key, revision: made.revision };
  }

  function endRotation({ id, what }: EndRotationRequest): { token: Token; revision: bigint } {
    const kept = find("id", ({ token }) => token.id === id);
    checkActive(kept);
    const live = liveKeys(kept.keys);
    const old = live.find(({ facts }) => facts.endTime !== undefined);
    const current = live.find(({ facts }) => facts.endTime === undefined);
    checkField(what.case !== undefined && what.value !== false, "what", "must say what is done");
    const change = (action: ChangeAction, ends: (revision: bigint) => void) => {
      const revision = note(action, kept);
      ends(revision);
      return { token: shown(kept), revision };
    };
    if (old === undefined) {
      // Again: the last key that has ended tells when.
      const isAgain = what.case !== "moveEnd" && (current === kept.keys[0]) === (what.case === "cutOldNow");
      const ended = kept.keys.filter((key) => key !== current).map(({ endRevision }) => endRevision);
      if (!isAgain || ended.length === 0) {
        throw refused(Code.FailedPrecondition, "ROTATION_NOT_UNDER_WAY", "no old key is still to end");
      }
      return { token: shown(kept), revision: ended.toSorted().at(-1) ?? 0n };
    }
    if (what.case === "moveEnd") {
      const time = timestampDate(what.value);
      const latestMs =
        (current?.facts.issueTime === undefined ? 0 : timestampMs(current.facts.issueTime)) + maxOverlapMs;
      checkField(time >= now() && time.getTime() <= latestMs, "move_end", "must not be before now, nor after 7 days");
      return change(ChangeAction.END_KEY, (revision) => end(kept, old, time, revision));
    }
    if (what.case === "cutOldNow") {
      return change(ChangeAction.END_KEY, (revision) => end(kept, old, now(), revision));
    }
    return change(ChangeAction.CANCEL_ROTATION, (revision) => {
      end(kept, old, null, revision);
      if (current !== undefined) {
        end(kept, current, now(), revision);
      }
    });
  }

  function revoke(kept: Kept, reason: string): void {
    kept.token.revokeTime = timestampFromDate(now());
    kept.token.revokeReason = reason;
    note(ChangeAction.REVOKE, kept, reason);
  }

  function checkOpen(account: string): void {
    if (accountState(account) === AccountState.CLOSED) {
      throw refused(Code.FailedPrecondition, "ACCOUNT_CLOSED", "the account is closed for good", { field: "account" });
    }
  }

  function checkActive(kept: Kept): void {
    if (shown(kept).state !== TokenState.ACTIVE) {
      throw refused(Code.FailedPrecondition, "TOKEN_NOT_ACTIVE", "the token is revoked or has expired");
    }
  }

  function matches(kept: Kept, { account, types, livemode, states, permission, held, rotating }: Filter): boolean {
    const token = shown(kept);
    const isHeld = token.held || token.accountState === AccountState.HELD;
    const isRotating = token.state === TokenState.ACTIVE && liveKeys(kept.keys).length > 1;
    return (
      (account === "" || token.account === account) &&
      (types.length === 0 || types.includes(token.type)) &&
      (livemode === undefined || token.livemode === livemode) &&
      (states.length === 0 || states.includes(token.state)) &&
      (permission === "" || covers(token, permission)) &&
      (held === undefined || isHeld === held) &&
      (rotating === undefined || isRotating === rotating)
    );
  }

  return {
    create: (request) => answer(() => issued(request.requestId, bodyOf(request), () => issue(request))),

    rotateKey: (request) =>
      answer(() => {
        const { id, overlap, requestId } = request;
        const body = bodyOfRotation(id, overlap === undefined ? 0 : durationMs(overlap));
        return issued(requestId, body, () => rotate(request));
      }),

    endRotation: (request) => answer(() => endRotation(request)),

    setHold: ({ subject, held, reason }) =>
      answer(() => {
        const action = held ? ChangeAction.HOLD : ChangeAction.RESUME;
        if (subject.case === "tokenId") {
          const kept = find("token_id", ({ token }) => token.id === subject.value);
          if (kept.token.held !== held) {
            kept.token.held = held;
            holds.set(kept.token.id, note(action, kept, reason));
          }
          return { subject: { case: "token", value: shown(kept) }, revision: holds.get(kept.token.id) ?? 0n };
        }
        checkField(subject.case === "account", "subject", "must be a token_id or an account");
        const account = subject.value ?? "";
        checkField(accountPattern.test(account), "account", "must be a name of an account");
        checkOpen(account);
        const state = held ? AccountState.HELD : AccountState.ACTIVE;
        if (accountState(account) !== state) {
          accounts.set(account, { state, revision: note(action, { account }, reason) });
        }
        const revision = accounts.get(account)?.revision ?? 0n;
        return { subject: { case: "account", value: shownAccount(account) }, revision };
      }),

    closeAccount: ({ account, reason }) =>
      answer(() => {
        checkField(accountPattern.test(account), "account", "must be a name of an account");
        if (accountState(account) !== AccountState.CLOSED) {
          const revision = note(ChangeAction.CLOSE, { account }, reason);
          accounts.set(account, { state: AccountState.CLOSED, revision });
        }
        return { account: shownAccount(account), revision: accounts.get(account)?.revision ?? 0n };
      }),

    revokeTokens: ({ filter, force, upToRevision, reason }) =>
      answer(() => {
        const given = filter === undefined ? {} : toJson(TokenFilterSchema, filter);
        checkField(filter !== undefined && Object.keys(given ?? {}).length > 0, "filter", "must have a filter");
        knowsOnly(filters, given);
        const newest = BigInt(changes.length);
        const upTo = force ? upToRevision : newest;
        checkField(!force || (upTo >= 1n && upTo <= newest), "up_to_revision", "must be that of the dry run");
        const found = tokens.filter(
          (kept) => kept.revision <= upTo && kept.token.revokeTime === undefined && filter && matches(kept, filter),
        );
        if (!force) {
          const sampleIds = found
            .map(({ token }) => token.id)
            .toReversed()
            .slice(0, 100);
          return { matched: found.length, sampleIds, upToRevision: newest };
        }
        for (const kept of found.toReversed()) {
          revoke(kept, reason);
        }
        return { revoked: found.length, upToRevision, done: true };
      }),

    authenticate: ({ key, requiredPermissions, livemode, allowedTypes }) =>
      answer(() => {
        requiredPermissions.forEach((permission) => {
          checkField(
            permissionPattern.test(permission),
            "required_permissions",
            "must be resource:read or resource:write",
          );
        });
        const refuse = (reason: RefusalReason, token?: Token, missingPermissions: string[] = []) => ({
          outcome: {
            case: "refusal" as const,
            value: { reason, missingPermissions, tokenId: token?.id ?? "", account: token?.account ?? "" },
          },
        });
        if (!/^(sk|pk|rk)_(live|test)_[0-9A-Za-z]{38}$/.test(key) || checksum(key.slice(0, -6)) !== key.slice(-6)) {
          return refuse(RefusalReason.KEY_MALFORMED);
        }
        const digest = digestOf(key);
        const kept = tokens.find(({ keys }) => keys.some((each) => each.digest === digest));
        const presented = kept?.keys.find((each) => each.digest === digest);
        if (kept === undefined || presented === undefined) {
          return refuse(RefusalReason.KEY_UNKNOWN);
        }
        const token = shown(kept);
        const missing = requiredPermissions.filter((permission) => !covers(token, permission));
        const allowed = allowedTypes.length === 0 ? [TokenType.SECRET, TokenType.RESTRICTED] : allowedTypes;
        if (token.state === TokenState.REVOKED) {
          return refuse(RefusalReason.TOKEN_REVOKED, token);
        }
        if (!liveKeys(kept.keys).includes(presented)) {
          return refuse(RefusalReason.KEY_RETIRED, token);
        }
        if (token.state === TokenState.EXPIRED) {
          return refuse(RefusalReason.TOKEN_EXPIRED, token);
        }
        if (token.accountState === AccountState.CLOSED) {
          return refuse(RefusalReason.ACCOUNT_CLOSED, token);
        }
        if (token.held) {
          return refuse(RefusalReason.TOKEN_HELD, token);
        }
        if (token.accountState === AccountState.HELD) {
          return refuse(RefusalReason.ACCOUNT_HELD, token);
        }
        if (livemode !== undefined && livemode !== token.livemode) {
          return refuse(RefusalReason.LIVEMODE_MISMATCH, token);
        }
        if (!allowed.includes(token.type)) {
          return refuse(RefusalReason.TYPE_NOT_ALLOWED, token);
        }
        if (missing.length > 0) {
          return refuse(RefusalReason.INSUFFICIENT_PERMISSIONS, token, missing);
        }
        presented.facts.lastUseTime = timestampFromDate(now());
        const { id: tokenId, account, type, permissions } = token;
        const expireTime = presented.facts.endTime ?? token.expireTime;
        const value = { tokenId, account, type, livemode: token.livemode, permissions };
        return {
          outcome: { case: "principal", value: expireTime === undefined ? value : { ...value, expireTime } },
        };
      }),

    get: ({ id }) => answer(() => ({ token: shown(find("id", ({ token }) => token.id === id)) })),

    findByDigest: ({ digest }) =>
      answer(() => ({
        token: shown(
          find("digest", ({ keys }) => keys.some((key) => key.digest === Buffer.from(digest).toString("hex"))),
        ),
      })),

    revoke: ({ id, reason }) =>
      answer(() => {
        const kept = find("id", ({ token }) => token.id === id);
        if (kept.token.revokeTime === undefined) {
          revoke(kept, reason);
        }
        const change = changes.find(({ tokenId, action }) => tokenId === id && action === ChangeAction.REVOKE);
        return { token: shown(kept), revision: change?.revision ?? 0n };
      }),

    list: (request) =>
      answer(() => {
        knowsOnly(filters, toJson(ListRequestSchema, request));
        return {
          tokens: tokens
            .filter((kept) => matches(kept, request))
            .map(shown)
            .toReversed(),
        };
      }),

    listChanges: (request) =>
      answer(() => {
        knowsOnly(["tokenId", "afterRevision", "oldestFirst"], toJson(ListChangesRequestSchema, request));
        const { tokenId, afterRevision, oldestFirst } = request;
        const newest = BigInt(changes.length);
        checkField(afterRevision <= newest, "after_revision", "must not be beyond the newest change");
        const found = changes.filter(
          (change) => change.revision > afterRevision && (tokenId === "" || change.tokenId === tokenId),
        );
        return oldestFirst ? { changes: found, reachedRevision: newest } : { changes: found.toReversed() };
      }),

    listAccounts: ({ prefix }) =>
      answer(() => {
        const names = new Set([...tokens.map(({ token }) => token.account), ...accounts.keys()]);
        const isListed = (account: string) =>
          account.startsWith(prefix) &&
          (accountState(account) !== AccountState.ACTIVE || tokens.some(({ token }) => token.account === account));
        return { accounts: [...names].filter(isListed).toSorted().map(shownAccount) };
      }),
  };
}

function checkCreate({ account, name, type, permissions, expireTime }: CreateRequest, now: Date): void {
  checkField(/^[\x21-\x7e]{1,255}$/.test(account), "account", "must be printable ASCII");
  checkField(name.trim() !== "", "name", "must not be empty");
  checkField(Object.hasOwn(prefixes, type), "type", "must be one of its values");
  checkField(
    permissions.every((each) => permissionPattern.test(each)),
    "permissions",
    "must be resource:read or :write",
  );
  checkField((type === TokenType.RESTRICTED) === permissions.length > 0, "permissions", "are for restricted keys");
  checkField(expireTime === undefined || timestampDate(expireTime) > now, "expire_time", "must be in the future");
}

function checkField(holds: boolean, field: string, rule: string): void {
  if (!holds) {
    throw refused(Code.InvalidArgument, "FIELD_INVALID", `${field} ${rule}`, { field });
  }
}

/** As the authority says it. What comes from it has a header. */
function refused(code: Code, reason: string, message: string, metadata: Record<string, string> = {}): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { domain: "token.casapay.com", reason, metadata } };
  return new ConnectError(message, code, { "x-fake": "1" }, [info]);
}

/** A filter that would be passed over finds too much. `given` is the request as JSON, which has what is set. */
function knowsOnly(known: readonly string[], given: JsonValue): void {
  const unknown = Object.keys(given ?? {}).find((name) => name !== "pageSize" && !known.includes(name));
  if (unknown !== undefined) {
    throw refused(Code.Unimplemented, "REQUEST_NOT_SUPPORTED", `the fake has no filter ${unknown}`);
  }
}

function covers({ type, permissions }: Token, permission: string): boolean {
  const write = permission.replace(/:read$/, ":write");
  return type === TokenType.SECRET || permissions.includes(permission) || permissions.includes(write);
}

function bodyOf({ account, name, type, livemode, permissions, expireTime }: CreateRequest): string {
  return JSON.stringify([account, name, type, livemode, permissions.toSorted(), String(expireTime?.seconds ?? "")]);
}

function bodyOfRotation(id: string, overlapMs: number): string {
  return JSON.stringify(["rotate", id, overlapMs]);
}

function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function randomText(length: number): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join("");
}
