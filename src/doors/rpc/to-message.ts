import { create } from "@bufbuild/protobuf";
import {
  type Token as TokenMessage,
  TokenSchema,
  TokenState as TokenStateNumber,
  TokenType as TokenTypeNumber,
} from "#gen/casapay/token/v1/token_pb.ts";
import {
  type Account as AccountMessage,
  AccountSchema,
  type AuthenticateResponse,
  AuthenticateResponseSchema,
  ChangeAction as ChangeActionNumber,
  type Change as ChangeMessage,
  ChangeSchema,
  RefusalReason as RefusalReasonNumber,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Action, Change } from "../../authority/journal.ts";
import type { Outcome, RefusalReason } from "../../authority/judge.ts";
import { keyPrefix } from "../../authority/key.ts";
import { stateOf, type Token, type TokenState, type TokenType } from "../../authority/token.ts";
import type { Account } from "../../authority/token-store.ts";
import { toTimestamp } from "./timestamp.ts";

const numberOfType = {
  secret: TokenTypeNumber.SECRET,
  publishable: TokenTypeNumber.PUBLISHABLE,
  restricted: TokenTypeNumber.RESTRICTED,
} satisfies Record<TokenType, TokenTypeNumber>;

const numberOfState = {
  active: TokenStateNumber.ACTIVE,
  expired: TokenStateNumber.EXPIRED,
  revoked: TokenStateNumber.REVOKED,
} satisfies Record<TokenState, TokenStateNumber>;

const numberOfAction = {
  create: ChangeActionNumber.CREATE,
  revoke: ChangeActionNumber.REVOKE,
} satisfies Record<Action, ChangeActionNumber>;

const numberOfReason = {
  KEY_MALFORMED: RefusalReasonNumber.KEY_MALFORMED,
  KEY_UNKNOWN: RefusalReasonNumber.KEY_UNKNOWN,
  TOKEN_REVOKED: RefusalReasonNumber.TOKEN_REVOKED,
  TOKEN_EXPIRED: RefusalReasonNumber.TOKEN_EXPIRED,
  LIVEMODE_MISMATCH: RefusalReasonNumber.LIVEMODE_MISMATCH,
  TYPE_NOT_ALLOWED: RefusalReasonNumber.TYPE_NOT_ALLOWED,
  INSUFFICIENT_PERMISSIONS: RefusalReasonNumber.INSUFFICIENT_PERMISSIONS,
} satisfies Record<RefusalReason, RefusalReasonNumber>;

/** A token as the wire has it, in the state it has now. */
export function toTokenMessage(token: Token, nowMs: number): TokenMessage {
  return create(TokenSchema, {
    id: token.id,
    account: token.account,
    name: token.name,
    type: numberOfType[token.type],
    livemode: token.livemode,
    keyPrefix: keyPrefix(token.type, token.livemode),
    keyHint: token.keyHint,
    permissions: [...token.permissions],
    state: numberOfState[stateOf(token, nowMs)],
    createTime: toTimestamp(token.createdAtMs),
    expireTime: toTimestamp(token.expiresAtMs),
    lastUseTime: toTimestamp(token.lastUsedAtMs),
    revokeTime: toTimestamp(token.revokedAtMs),
    revokeReason: token.revokeReason,
    createdBy: token.createdBy,
  });
}

/** A change as the wire has it. */
export function toChangeMessage(change: Change): ChangeMessage {
  return create(ChangeSchema, {
    revision: BigInt(change.revision),
    action: numberOfAction[change.action],
    tokenId: change.tokenId,
    caller: change.caller,
    changeTime: toTimestamp(change.atMs),
    hash: change.hash,
    account: change.account,
    tokenName: change.tokenName,
    revokeReason: change.revokeReason,
  });
}

/** An account as the wire has it. */
export function toAccountMessage({ account, active, expired, revoked }: Account): AccountMessage {
  return create(AccountSchema, { account, activeCount: active, expiredCount: expired, revokedCount: revoked });
}

/** A decision as the wire has it. */
export function toAuthenticateResponse(outcome: Outcome): AuthenticateResponse {
  if (outcome.kind === "refusal") {
    return create(AuthenticateResponseSchema, {
      outcome: {
        case: "refusal",
        value: {
          reason: numberOfReason[outcome.reason],
          missingPermissions: [...outcome.missingPermissions],
          tokenId: outcome.token?.id ?? "",
          account: outcome.token?.account ?? "",
        },
      },
    });
  }
  const { token } = outcome;
  return create(AuthenticateResponseSchema, {
    outcome: {
      case: "principal",
      value: {
        tokenId: token.id,
        account: token.account,
        type: numberOfType[token.type],
        livemode: token.livemode,
        permissions: [...token.permissions],
        expireTime: toTimestamp(token.expiresAtMs),
      },
    },
  });
}
