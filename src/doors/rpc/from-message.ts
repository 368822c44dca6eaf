import { create } from "@bufbuild/protobuf";
import type { TokenState as TokenStateNumber, TokenType as TokenTypeNumber } from "#gen/casapay/token/v1/token_pb.ts";
import {
  type AuthenticateRequest as AuthenticateRequestMessage,
  ChangeAction as ChangeActionNumber,
  type CreateRequest as CreateRequestMessage,
  type EndRotationRequest as EndRotationRequestMessage,
  type ListChangesRequest as ListChangesRequestMessage,
  type ListRequest as ListRequestMessage,
  type RevokeTokensRequest as RevokeTokensRequestMessage,
  type RotateKeyRequest as RotateKeyRequestMessage,
  type SetHoldRequest as SetHoldRequestMessage,
  type TokenFilter as TokenFilterMessage,
  TokenFilterSchema,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { RevokeTokensRequest } from "../../authority/bulk-revocation.ts";
import type { CacheQuestion } from "../../authority/cache-decision.ts";
import { type AuthorityError, fieldInvalid } from "../../authority/errors.ts";
import type { Action, Subject } from "../../authority/journal.ts";
import type { AuthenticateRequest } from "../../authority/judge.ts";
import type { FilterRequest, ListChangesRequest, ListRequest } from "../../authority/lists.ts";
import type { TokenState, TokenType } from "../../authority/token.ts";
import type { CreateRequest, RotateRequest } from "../../authority/token-authority.ts";
import type { RotationEnd } from "../../authority/token-store.ts";
import { fromDuration } from "./duration.ts";
import { actionOfNumber, stateOfNumber, typeOfNumber } from "./numbers.ts";
import { fromTimestamp } from "./timestamp.ts";

/** What Create is asked for. Throws FIELD_INVALID for an invalid type or time. */
export function fromCreateRequest(message: CreateRequestMessage): CreateRequest {
  return {
    account: message.account,
    name: message.name,
    type: requireType("type", message.type),
    livemode: message.livemode,
    permissions: message.permissions,
    expiresAtMs: fromTimestamp("expire_time", message.expireTime),
    requestId: message.requestId,
  };
}

/** What RotateKey is asked for. */
export function fromRotateKeyRequest({ id, overlap, requestId }: RotateKeyRequestMessage): RotateRequest {
  return { id, overlapMs: Math.floor(fromDuration(overlap)), requestId };
}

/** What EndRotation is asked for. Throws FIELD_INVALID for an invalid time, and when it is not said. */
export function fromEndRotationRequest({ what }: EndRotationRequestMessage): RotationEnd {
  if (what.case === "moveEnd") {
    return { kind: "move", endsAtMs: fromTimestamp("move_end", what.value) };
  }
  if (what.case === undefined) {
    throw fieldInvalid("what", "must be one of cut_old_now, move_end and cancel");
  }
  if (!what.value) {
    throw fieldInvalid(what.case, "must be true: leave the rotation alone instead of saying false");
  }
  return { kind: what.case === "cutOldNow" ? "cut" : "cancel" };
}

/** What List is asked for. Throws FIELD_INVALID for an invalid type, state or time. */
export function fromListRequest(message: ListRequestMessage): ListRequest {
  return { pageSize: message.pageSize, pageToken: message.pageToken, ...fromFilter(message, "") };
}

/** What RevokeTokens is asked for. Throws FIELD_INVALID for a filter with an invalid type, state or time. */
export function fromRevokeTokensRequest(message: RevokeTokensRequestMessage): RevokeTokensRequest {
  return {
    filter: fromFilter(message.filter ?? create(TokenFilterSchema), "filter."),
    force: message.force,
    upToRevision: Number(message.upToRevision),
    reason: message.reason,
  };
}

/** The filters that every message with filters for tokens has, by the same names; `within` stands before these. */
function fromFilter(message: Omit<TokenFilterMessage, "$typeName">, within: string): FilterRequest {
  return {
    account: message.account,
    types: requireTypes(`${within}types`, message.types),
    livemode: message.livemode ?? null,
    states: requireStates(`${within}states`, message.states),
    permission: message.permission,
    createdFromMs: fromTimestamp(`${within}created_from`, message.createdFrom),
    createdBeforeMs: fromTimestamp(`${within}created_before`, message.createdBefore),
    expiresFromMs: fromTimestamp(`${within}expires_from`, message.expiresFrom),
    expiresBeforeMs: fromTimestamp(`${within}expires_before`, message.expiresBefore),
    unusedSinceMs: fromTimestamp(`${within}unused_since`, message.unusedSince),
    nameContains: message.nameContains,
    keyHint: message.keyHint,
    createdBy: message.createdBy,
    held: message.held ?? null,
    rotating: message.rotating ?? null,
  };
}

/** What ListChanges is asked for. Throws FIELD_INVALID for an invalid action or time. */
export function fromListChangesRequest(message: ListChangesRequestMessage): ListChangesRequest {
  return {
    pageSize: message.pageSize,
    pageToken: message.pageToken,
    tokenId: message.tokenId,
    caller: message.caller,
    action: message.action === ChangeActionNumber.UNSPECIFIED ? null : requireAction("action", message.action),
    account: message.account,
    changedFromMs: fromTimestamp("changed_from", message.changedFrom),
    changedBeforeMs: fromTimestamp("changed_before", message.changedBefore),
    afterRevision: Number(message.afterRevision),
    oldestFirst: message.oldestFirst,
  };
}

/** What is to be held, or not any more. Throws FIELD_INVALID where nothing is named. */
export function fromSubject({ subject }: SetHoldRequestMessage): Subject {
  switch (subject.case) {
    case "tokenId":
      return { tokenId: subject.value };
    case "account":
      return { account: subject.value };
    default:
      throw fieldInvalid("subject", "must be a token_id or an account");
  }
}

/** What Authenticate is asked for. Throws FIELD_INVALID for an invalid type. */
export function fromAuthenticateRequest(message: AuthenticateRequestMessage): AuthenticateRequest & CacheQuestion {
  return {
    key: message.key,
    requiredPermissions: message.requiredPermissions,
    livemode: message.livemode ?? null,
    allowedTypes: requireTypes("allowed_types", message.allowedTypes),
    cacheRules: message.cacheRules,
    minRevision: Number(message.minRevision),
  };
}

/** An invalid type. */
export function typesInvalid(field: string): AuthorityError {
  return fieldInvalid(field, "must be TOKEN_TYPE_SECRET, TOKEN_TYPE_PUBLISHABLE or TOKEN_TYPE_RESTRICTED");
}

function requireType(field: string, number: TokenTypeNumber): TokenType {
  const type = typeOfNumber[number];
  if (type === undefined) {
    throw typesInvalid(field);
  }
  return type;
}

function requireTypes(field: string, numbers: readonly TokenTypeNumber[]): readonly TokenType[] {
  return [...new Set(numbers)].map((number) => requireType(field, number));
}

function requireAction(field: string, number: ChangeActionNumber): Action {
  const action = actionOfNumber[number];
  if (action === undefined) {
    throw fieldInvalid(field, "must be a ChangeAction");
  }
  return action;
}

function requireStates(field: string, numbers: readonly TokenStateNumber[]): readonly TokenState[] {
  return [...new Set(numbers)].map((number) => {
    const state = stateOfNumber[number];
    if (state === undefined) {
      throw fieldInvalid(field, "must be TOKEN_STATE_ACTIVE, TOKEN_STATE_EXPIRED or TOKEN_STATE_REVOKED");
    }
    return state;
  });
}
