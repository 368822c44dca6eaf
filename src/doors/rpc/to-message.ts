import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type KeySchema,
  type Token as TokenMessage,
  TokenSchema,
  TokenType as TokenTypeNumber,
} from "#gen/casapay/token/v1/token_pb.ts";
import {
  type Account as AccountMessage,
  AccountSchema,
  type AuthenticateResponse,
  AuthenticateResponseSchema,
  type Change as ChangeMessage,
  ChangeSchema,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Change } from "../../authority/journal.ts";
import type { Outcome } from "../../authority/judge.ts";
import { keyPrefix } from "../../authority/key.ts";
import { shownKeys } from "../../authority/rotation.ts";
import { endOfKey, type Key, stateOf, type Token } from "../../authority/token.ts";
import type { Account } from "../../authority/token-store.ts";
import { numberOfAccountState, numberOfAction, numberOfReason, numberOfState, numberOfType } from "./numbers.ts";
import { toTimestamp } from "./timestamp.ts";

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
    keys: shownKeys(token, nowMs).map(toKeyMessage),
    held: token.held,
    accountState: numberOfAccountState[token.accountState],
  });
}

function toKeyMessage({ hint, issuedAtMs, endsAtMs, lastUsedAtMs }: Key): MessageInitShape<typeof KeySchema> {
  return {
    hint,
    issueTime: toTimestamp(issuedAtMs),
    endTime: toTimestamp(endsAtMs),
    lastUseTime: toTimestamp(lastUsedAtMs),
  };
}

/** A change as the wire has it. */
export function toChangeMessage(change: Change): ChangeMessage {
  return create(ChangeSchema, {
    revision: BigInt(change.revision),
    action: numberOfAction[change.action],
    tokenId: change.subject !== null && "tokenId" in change.subject ? change.subject.tokenId : "",
    caller: change.caller,
    changeTime: toTimestamp(change.atMs),
    hash: change.hash,
    account: change.account,
    tokenName: change.tokenName,
    revokeReason: change.action === "revoke" ? change.reason : "",
    tokenType: change.tokenType === null ? TokenTypeNumber.UNSPECIFIED : numberOfType[change.tokenType],
    reason: change.reason,
    facts: change.facts,
  });
}

/** An account as the wire has it. */
export function toAccountMessage({ account, state, active, expired, revoked }: Account): AccountMessage {
  return create(AccountSchema, {
    account,
    activeCount: active,
    expiredCount: expired,
    revokedCount: revoked,
    state: numberOfAccountState[state],
  });
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
        expireTime: toTimestamp(endOfKey(token)),
      },
    },
  });
}
