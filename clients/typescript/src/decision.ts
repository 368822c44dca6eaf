import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type AuthenticateResponse,
  type Principal as PrincipalMessage,
  RefusalReason as ReasonCode,
  type Refusal as RefusalMessage,
} from "../gen/casapay/token/v1/token_service_pb.ts";
import { type TokenType, tokenTypeOf } from "./token.ts";

/** What is asked about a key. */
export type Question = {
  /** `resource:read` or `resource:write`: the key must cover all of them. None when empty or absent. */
  readonly requiredPermissions?: readonly string[];
  /** Keys of the other mode are refused. Both may pass when absent. */
  readonly livemode?: boolean;
  /** Secret and restricted when empty or absent. */
  readonly allowedTypes?: readonly TokenType[];
};

/** Whether the authority was asked, or the client decided from its cache without a call. */
export type DecisionSource = "authority" | "cache";

/** Who acts with an accepted key, and within which bounds. */
export type Principal = {
  readonly kind: "principal";
  readonly tokenId: string;
  readonly account: string;
  /** `unknown` is a type that this client does not know yet. */
  readonly type: TokenType | "unknown";
  readonly livemode: boolean;
  /** What a restricted key was given. Empty for the other types. */
  readonly permissions: readonly string[];
  readonly expireTime: Date | null;
  readonly source: DecisionSource;
};

export type RefusalReason =
  | "KEY_MALFORMED"
  | "KEY_UNKNOWN"
  | "TOKEN_REVOKED"
  | "KEY_RETIRED"
  | "TOKEN_EXPIRED"
  | "ACCOUNT_CLOSED"
  | "TOKEN_HELD"
  | "ACCOUNT_HELD"
  | "LIVEMODE_MISMATCH"
  | "TYPE_NOT_ALLOWED"
  | "INSUFFICIENT_PERMISSIONS";

/** A decided no. */
export type Refusal = {
  readonly kind: "refusal";
  /** `UNKNOWN` is a reason that this client does not know yet. It is a refusal all the same. */
  readonly reason: RefusalReason | "UNKNOWN";
  /** Only with INSUFFICIENT_PERMISSIONS. */
  readonly missingPermissions: readonly string[];
  /** For support. Null with KEY_MALFORMED and KEY_UNKNOWN. */
  readonly tokenId: string | null;
  readonly account: string | null;
  /** `authority` also for a text that cannot be a key, for which no call is made. */
  readonly source: DecisionSource;
};

export type Decision = Principal | Refusal;

const reasonNames = {
  [ReasonCode.UNSPECIFIED]: "UNKNOWN",
  [ReasonCode.KEY_MALFORMED]: "KEY_MALFORMED",
  [ReasonCode.KEY_UNKNOWN]: "KEY_UNKNOWN",
  [ReasonCode.TOKEN_REVOKED]: "TOKEN_REVOKED",
  [ReasonCode.KEY_RETIRED]: "KEY_RETIRED",
  [ReasonCode.TOKEN_EXPIRED]: "TOKEN_EXPIRED",
  [ReasonCode.ACCOUNT_CLOSED]: "ACCOUNT_CLOSED",
  [ReasonCode.TOKEN_HELD]: "TOKEN_HELD",
  [ReasonCode.ACCOUNT_HELD]: "ACCOUNT_HELD",
  [ReasonCode.LIVEMODE_MISMATCH]: "LIVEMODE_MISMATCH",
  [ReasonCode.TYPE_NOT_ALLOWED]: "TYPE_NOT_ALLOWED",
  [ReasonCode.INSUFFICIENT_PERMISSIONS]: "INSUFFICIENT_PERMISSIONS",
} as const;

export const keyMalformed: Refusal = {
  kind: "refusal",
  reason: "KEY_MALFORMED",
  missingPermissions: [],
  tokenId: null,
  account: null,
  source: "authority",
};

/** Whether it is worth a call: what is not printable ASCII, or far longer than any key, is none. */
export function mayBeKey(key: unknown): key is string {
  return typeof key === "string" && /^[ -~]{1,512}$/.test(key);
}

/** Null for an answer with neither outcome, which decides nothing. */
export function decisionOf({ outcome }: AuthenticateResponse): Decision | null {
  switch (outcome.case) {
    case "principal":
      return principalOf(outcome.value);
    case "refusal":
      return refusalOf(outcome.value);
    default:
      return null;
  }
}

function principalOf({ tokenId, account, type, livemode, permissions, expireTime }: PrincipalMessage): Principal {
  return {
    kind: "principal",
    tokenId,
    account,
    type: tokenTypeOf(type),
    livemode,
    permissions,
    expireTime: expireTime === undefined ? null : timestampDate(expireTime),
    source: "authority",
  };
}

function refusalOf({ reason, missingPermissions, tokenId, account }: RefusalMessage): Refusal {
  return {
    kind: "refusal",
    reason: reasonNames[reason as keyof typeof reasonNames] ?? "UNKNOWN",
    missingPermissions,
    tokenId: tokenId === "" ? null : tokenId,
    account: account === "" ? null : account,
    source: "authority",
  };
}
