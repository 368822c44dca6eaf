import { createHash, randomInt } from "node:crypto";
import { create, type JsonValue, toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { type Token, TokenSchema, TokenState, TokenType } from "../gen/casapay/token/v1/token_pb.ts";
import {
  type Change,
  ChangeAction,
  ChangeSchema,
  type CreateRequest,
  ListChangesRequestSchema,
  ListRequestSchema,
  RefusalReason,
  type TokenService,
} from "../gen/casapay/token/v1/token_service_pb.ts";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { checksum } from "./checksum.ts";

const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(read|write)$/;
const prefixes = { [TokenType.SECRET]: "sk", [TokenType.PUBLISHABLE]: "pk", [TokenType.RESTRICTED]: "rk" };

type Kept = { readonly token: Token; readonly digest: string; readonly revision: bigint };
type Replay = { readonly body: string; readonly kept: Kept; readonly key: string };

/** The contract in memory, as far as fake.ts says. */
export function createFakeService(
  now: () => Date,
  isDown: () => boolean,
): Omit<ServiceImpl<typeof TokenService>, "watch"> {
  const tokens: Kept[] = [];
  const changes: Change[] = [];
  const replays = new Map<string, Replay>();

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

  function note(action: ChangeAction, token: Token): bigint {
    const revision = BigInt(changes.length + 1);
    const { account, name: tokenName, type: tokenType, revokeReason, id: tokenId } = token;
    const changeTime = timestampFromDate(now());
    changes.push(
      create(ChangeSchema, {
        revision,
        action,
        tokenId,
        account,
        tokenName,
        tokenType,
        reason: revokeReason,
        revokeReason,
        caller: "local",
        changeTime,
      }),
    );
    return revision;
  }

  /** The token as it is now. */
  function shown({ token }: Kept): Token {
    const expired = token.expireTime !== undefined && now() >= timestampDate(token.expireTime);
    const living = expired ? TokenState.EXPIRED : TokenState.ACTIVE;
    return { ...token, state: token.revokeTime === undefined ? living : TokenState.REVOKED };
  }

  function issue(request: CreateRequest): Replay {
    checkCreate(request, now());
    const { account, name, type, livemode, expireTime } = request;
    const keyPrefix = `${prefixes[type as keyof typeof prefixes]}_${livemode ? "live" : "test"}_`;
    const unchecked = `${keyPrefix}${randomText(32)}`;
    const key = `${unchecked}${checksum(unchecked)}`;
    const token = create(TokenSchema, {
      ...{ account, name, type, livemode, keyPrefix, permissions: [...new Set(request.permissions)].toSorted() },
      ...(expireTime === undefined ? {} : { expireTime }),
      ...{ id: `tok_${randomText(20)}`, keyHint: key.slice(-4), createTime: timestampFromDate(now()) },
      createdBy: "local",
    });
    const kept = { token, digest: digestOf(key), revision: note(ChangeAction.CREATE, token) };
    tokens.push(kept);
    return { body: bodyOf(request), kept, key };
  }

  return {
    create: (request) =>
      answer(() => {
        const made = replays.get(request.requestId) ?? issue(request);
        if (made.body !== bodyOf(request)) {
          throw refused(Code.AlreadyExists, "REQUEST_ID_REUSED", "the request_id was used with another body", {
            field: "request_id",
          });
        }
        if (request.requestId !== "") {
          replays.set(request.requestId, made);
        }
        const token = shown(made.kept);
        return { token, key: token.state === TokenState.REVOKED ? "" : made.key, revision: made.kept.revision };
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
        const kept = tokens.find((each) => each.digest === digest);
        if (kept === undefined) {
          return refuse(RefusalReason.KEY_UNKNOWN);
        }
        const token = shown(kept);
        const missing = requiredPermissions.filter((permission) => !covers(token, permission));
        const allowed = allowedTypes.length === 0 ? [TokenType.SECRET, TokenType.RESTRICTED] : allowedTypes;
        if (token.state === TokenState.REVOKED) {
          return refuse(RefusalReason.TOKEN_REVOKED, token);
        }
        if (token.state === TokenState.EXPIRED) {
          return refuse(RefusalReason.TOKEN_EXPIRED, token);
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
        kept.token.lastUseTime = timestampFromDate(now());
        const { id: tokenId, account, type, permissions, expireTime } = token;
        const value = { tokenId, account, type, livemode: token.livemode, permissions };
        return {
          outcome: { case: "principal", value: expireTime === undefined ? value : { ...value, expireTime } },
        };
      }),

    get: ({ id }) => answer(() => ({ token: shown(find("id", ({ token }) => token.id === id)) })),

    findByDigest: ({ digest }) =>
      answer(() => ({ token: shown(find("digest", (kept) => kept.digest === Buffer.from(digest).toString("hex"))) })),

    revoke: ({ id, reason }) =>
      answer(() => {
        const kept = find("id", ({ token }) => token.id === id);
        if (kept.token.revokeTime === undefined) {
          kept.token.revokeTime = timestampFromDate(now());
          kept.token.revokeReason = reason;
          note(ChangeAction.REVOKE, kept.token);
        }
        const change = changes.find(({ tokenId, action }) => tokenId === id && action === ChangeAction.REVOKE);
        return { token: shown(kept), revision: change?.revision ?? 0n };
      }),

    list: (request) =>
      answer(() => {
        knowsOnly(["account", "types", "livemode", "states", "permission"], toJson(ListRequestSchema, request));
        const { account, types, livemode, states, permission } = request;
        const found = tokens
          .map(shown)
          .filter(
            (token) =>
              (account === "" || token.account === account) &&
              (types.length === 0 || types.includes(token.type)) &&
              (livemode === undefined || token.livemode === livemode) &&
              (states.length === 0 || states.includes(token.state)) &&
              (permission === "" || covers(token, permission)),
          );
        return { tokens: found.toReversed() };
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
        const all = tokens.map(shown).filter(({ account }) => account.startsWith(prefix));
        const names = [...new Set(all.map(({ account }) => account))].toSorted();
        const count = (name: string, state: TokenState) =>
          all.filter((token) => token.account === name && token.state === state).length;
        return {
          accounts: names.map((account) => ({
            account,
            activeCount: count(account, TokenState.ACTIVE),
            expiredCount: count(account, TokenState.EXPIRED),
            revokedCount: count(account, TokenState.REVOKED),
          })),
        };
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

function digestOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function randomText(length: number): string {
  return Array.from({ length }, () => letters[randomInt(letters.length)]).join("");
}
