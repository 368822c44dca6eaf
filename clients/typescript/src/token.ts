import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  AccountState as AccountStateCode,
  TokenState as StateCode,
  type Token as TokenMessage,
  TokenType as TypeCode,
} from "../gen/casapay/token/v1/token_pb.ts";
import {
  type Account as AccountMessage,
  ChangeAction as ActionCode,
  type Change as ChangeMessage,
} from "../gen/casapay/token/v1/token_service_pb.ts";
import type { Holder, Settlement } from "./settlement.ts";

export type TokenType = "secret" | "publishable" | "restricted";
export type TokenState = "active" | "expired" | "revoked";
export type ChangeAction =
  | "create"
  | "revoke"
  | "rotate_key"
  | "end_key"
  | "cancel_rotation"
  | "hold"
  | "resume"
  | "close"
  | "attest";
export type AccountState = "active" | "held" | "closed";

/** What is known of a key beside itself. */
export type TokenKey = {
  /** The last 4 characters. */
  readonly hint: string;
  readonly issueTime: Date;
  /** From then on the key is refused as KEY_RETIRED. Null while no rotation has given it an end. */
  readonly endTime: Date | null;
  readonly lastUseTime: Date | null;
};

/**
 * The record of one API key. It never holds the key. What is `unknown` is something that this client does not know yet.
 */
export type Token = {
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType | "unknown";
  readonly livemode: boolean;
  /** The first 8 characters of the key, such as `sk_live_`. */
  readonly keyPrefix: string;
  /** Its last 4 characters. */
  readonly keyHint: string;
  readonly permissions: readonly string[];
  readonly state: TokenState | "unknown";
  readonly createTime: Date;
  readonly expireTime: Date | null;
  readonly lastUseTime: Date | null;
  readonly revokeTime: Date | null;
  /** Empty when none was given. */
  readonly revokeReason: string;
  readonly createdBy: string;
  /** Those that live first, then those that have ended, each newest first: at most ten. */
  readonly keys: readonly TokenKey[];
  /** By a hold of its own: TOKEN_HELD. */
  readonly held: boolean;
  readonly accountState: AccountState | "unknown";
};

/** One row of the journal. */
export type Change = {
  readonly revision: number;
  readonly action: ChangeAction | "unknown";
  /** Empty when an account was changed, or nothing. */
  readonly tokenId: string;
  readonly caller: string;
  readonly changeTime: Date;
  readonly hash: Uint8Array;
  readonly account: string;
  readonly tokenName: string;
  /** Null when no token was changed. */
  readonly tokenType: TokenType | "unknown" | null;
  /** Why, in the words of the caller. Empty when none was given. */
  readonly reason: string;
  /** @deprecated Use `reason`, which every action has. */
  readonly revokeReason: string;
  /** JSON of what was done, which the hash covers. Empty for old changes. */
  readonly facts: string;
};

/** An owner of tokens. A count of 10,000 stands for that many or more. */
export type Account = {
  readonly account: string;
  readonly activeCount: number;
  readonly expiredCount: number;
  readonly revokedCount: number;
  readonly state: AccountState | "unknown";
};

export const typeCodes = {
  secret: TypeCode.SECRET,
  publishable: TypeCode.PUBLISHABLE,
  restricted: TypeCode.RESTRICTED,
} as const satisfies Record<TokenType, TypeCode>;

export const stateCodes = {
  active: StateCode.ACTIVE,
  expired: StateCode.EXPIRED,
  revoked: StateCode.REVOKED,
} as const satisfies Record<TokenState, StateCode>;

export const actionCodes = {
  create: ActionCode.CREATE,
  revoke: ActionCode.REVOKE,
  rotate_key: ActionCode.ROTATE_KEY,
  end_key: ActionCode.END_KEY,
  cancel_rotation: ActionCode.CANCEL_ROTATION,
  hold: ActionCode.HOLD,
  resume: ActionCode.RESUME,
  close: ActionCode.CLOSE,
  attest: ActionCode.ATTEST,
} as const satisfies Record<ChangeAction, ActionCode>;

const accountStateCodes = {
  active: AccountStateCode.ACTIVE,
  held: AccountStateCode.HELD,
  closed: AccountStateCode.CLOSED,
} as const satisfies Record<AccountState, AccountStateCode>;

export function tokenTypeOf(code: number): TokenType | "unknown" {
  return nameOf(typeCodes, code);
}

function nameOf<Name extends string>(codes: Readonly<Record<Name, number>>, code: number): Name | "unknown" {
  return (Object.keys(codes) as Name[]).find((name) => codes[name] === code) ?? "unknown";
}

export function tokenOf(message: TokenMessage): Token {
  const { id, account, name, livemode, keyPrefix, keyHint, permissions, revokeReason, createdBy, held } = message;
  return {
    id,
    account,
    name,
    type: tokenTypeOf(message.type),
    livemode,
    keyPrefix,
    keyHint,
    permissions,
    state: nameOf(stateCodes, message.state),
    createTime: dateOf(message.createTime) ?? new Date(0),
    expireTime: dateOf(message.expireTime),
    lastUseTime: dateOf(message.lastUseTime),
    revokeTime: dateOf(message.revokeTime),
    revokeReason,
    createdBy,
    keys: message.keys.map(({ hint, issueTime, endTime, lastUseTime }) => ({
      hint,
      issueTime: dateOf(issueTime) ?? new Date(0),
      endTime: dateOf(endTime),
      lastUseTime: dateOf(lastUseTime),
    })),
    held,
    accountState: nameOf(accountStateCodes, message.accountState),
  };
}

export function accountOf(message: AccountMessage): Account {
  const { account, activeCount, expiredCount, revokedCount, state } = message;
  return { account, activeCount, expiredCount, revokedCount, state: nameOf(accountStateCodes, state) };
}

export function changeOf(message: ChangeMessage): Change {
  const { tokenId, caller, hash, account, tokenName, tokenType, reason, revokeReason, facts } = message;
  return {
    revision: Number(message.revision),
    action: nameOf(actionCodes, message.action),
    tokenId,
    caller,
    changeTime: dateOf(message.changeTime) ?? new Date(0),
    hash,
    account,
    tokenName,
    tokenType: tokenType === TypeCode.UNSPECIFIED ? null : tokenTypeOf(tokenType),
    reason,
    revokeReason,
    facts,
  };
}

function dateOf(timestamp: Timestamp | undefined): Date | null {
  return timestamp === undefined ? null : timestampDate(timestamp);
}

/** A token and its new key, which is shown this once. Printed or made JSON, it is without the key. */
export class CreatedToken implements Settlement {
  readonly token: Token;
  /** The number of this change in the journal. */
  readonly revision: number;
  readonly acknowledgedCount: number;
  readonly silent: readonly Holder[];
  readonly unconfirmed: readonly Holder[];
  readonly #key: string;

  /** The settlement is of an old key that a rotation ended; of a creation it is empty. */
  constructor(token: Token, { key, revision }: { readonly key: string; readonly revision: bigint }, of: Settlement) {
    this.token = token;
    this.revision = Number(revision);
    this.acknowledgedCount = of.acknowledgedCount;
    this.silent = of.silent;
    this.unconfirmed = of.unconfirmed;
    this.#key = key;
  }

  /** Empty only when a request id was used again, and the token was revoked or the key has ended since. */
  get key(): string {
    return this.#key;
  }
}
