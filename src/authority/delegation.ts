import { missingPermissions } from "./permission.ts";
import { type HoldRefusal, holdRefusal, isExpired, isRetired, type StoredToken, type TokenType } from "./token.ts";

/**
 * What a key lets its bearer do with the tokens of its own account and mode. Whether the key may be used at all, and
 * has `tokens:read` or `tokens:write`, Authenticate says before.
 */

/** Why a bearer may not do what it asks for. */
export type DelegationReason =
  | "TYPE_MANAGED_IN_DASHBOARD"
  | "PERMISSION_OF_TOKENS"
  | "PERMISSION_NOT_COVERED"
  | "EXPIRES_AFTER_MAKER"
  | "TOKEN_OUTLIVES_MAKER"
  | "TOKEN_MANAGED_IN_DASHBOARD"
  | "TOKEN_NOT_COVERED"
  | "KEY_IS_PUBLIC";

/** Why the key that makes a change may not make it: as Authenticate would refuse it now. */
export type MakerRefusal =
  | "KEY_UNKNOWN"
  | "TOKEN_REVOKED"
  | "KEY_RETIRED"
  | "TOKEN_EXPIRED"
  | HoldRefusal
  | "INSUFFICIENT_PERMISSIONS";

/**
 * A key that Authenticate accepted when the request came, and that is not good any more now that its change is to be
 * made.
 */
export class MakerRefusedError extends Error {
  override readonly name = "MakerRefusedError";
  readonly reason: MakerRefusal;

  constructor(reason: MakerRefusal) {
    super(reason);
    this.reason = reason;
  }
}

/** A refusal that the bearer of the key can understand. */
export class DelegationError extends Error {
  override readonly name = "DelegationError";
  readonly reason: DelegationReason;

  constructor(reason: DelegationReason) {
    super(reason);
    this.reason = reason;
  }
}

/** Throws unless keys of this type are made by keys: the other types are made by people. */
export function requireDelegableType(type: TokenType): void {
  if (type !== "restricted") {
    throw new DelegationError("TYPE_MANAGED_IN_DASHBOARD");
  }
}

export type Grant = {
  readonly permissions: readonly string[];
  /** Null means never. */
  readonly expiresAtMs: number | null;
};

/**
 * Throws unless the bearer of this token may give as much to a restricted key: a restricted key gives no more, and for
 * no longer, than it has itself, and nothing of `tokens:`.
 */
export function requireGrantable(maker: StoredToken, grant: Grant): void {
  const objection = objectionToGrant(maker, grant);
  if (objection !== null) {
    throw new DelegationError(objection);
  }
}

function objectionToGrant(maker: StoredToken, grant: Grant): DelegationReason | null {
  if (maker.type === "secret") {
    return null;
  }
  if (grant.permissions.some((permission) => permission.startsWith("tokens:"))) {
    return "PERMISSION_OF_TOKENS";
  }
  if (missingPermissions(maker.type, maker.permissions, grant.permissions).length > 0) {
    return "PERMISSION_NOT_COVERED";
  }
  if (maker.expiresAtMs !== null && (grant.expiresAtMs === null || grant.expiresAtMs > maker.expiresAtMs)) {
    return "EXPIRES_AFTER_MAKER";
  }
  return null;
}

/**
 * Throws unless the bearer of this token may revoke the other: a secret key any, a restricted key a restricted one that
 * it covers.
 */
export function requireRevocable(maker: StoredToken, token: StoredToken): void {
  if (!isRevocable(maker, token)) {
    throw new DelegationError("TOKEN_NOT_COVERED");
  }
}

function isRevocable(maker: StoredToken, token: Pick<StoredToken, "type" | "permissions">): boolean {
  return (
    maker.type === "secret" ||
    (token.type === "restricted" && missingPermissions(maker.type, maker.permissions, token.permissions).length === 0)
  );
}

/** Throws unless the bearer of this token may revoke it: everybody who sees a page holds its publishable key. */
export function requireSelfRevocable(maker: StoredToken): void {
  if (!isSelfRevocable(maker)) {
    throw new DelegationError("KEY_IS_PUBLIC");
  }
}

function isSelfRevocable({ type }: StoredToken): boolean {
  return type !== "publishable";
}

/**
 * Whether the bearer of this token may know of the other: tokens of another account or mode do not exist for the
 * bearer.
 */
export function isVisible(maker: StoredToken, token: Pick<StoredToken, "account" | "livemode">): boolean {
  return token.account === maker.account && token.livemode === maker.livemode;
}

/**
 * Throws unless the bearer of this token may give the other a new key, which the bearer is shown: a restricted token
 * that it covers, and that does not outlive its own token.
 */
export function requireRotatable(maker: StoredToken, token: StoredToken): void {
  requireRotationEndable(maker, token);
  if (!isWithinLifeOf(maker, token)) {
    throw new DelegationError("TOKEN_OUTLIVES_MAKER");
  }
}

/** Throws unless the bearer of this token may end a rotation of the other: of a restricted token that it covers. */
export function requireRotationEndable(maker: StoredToken, token: StoredToken): void {
  if (token.type !== "restricted") {
    throw new DelegationError("TOKEN_MANAGED_IN_DASHBOARD");
  }
  requireRevocable(maker, token);
}

/** A restricted key is shown no key that may live longer than itself. A new key of its own token ends with it. */
function isWithinLifeOf(maker: StoredToken, token: Pick<StoredToken, "expiresAtMs">): boolean {
  return (
    maker.type === "secret" ||
    maker.expiresAtMs === null ||
    (token.expiresAtMs !== null && token.expiresAtMs <= maker.expiresAtMs)
  );
}

/** What a bearer may ask a store for. */
type DelegatedAction = "create" | "revoke" | "rotate" | "end_rotation";

function mayDo(action: DelegatedAction, maker: StoredToken, subject: Subject): boolean {
  switch (action) {
    case "create":
      return subject.type === "restricted" && objectionToGrant(maker, subject) === null;
    case "revoke":
      return isRevocable(maker, subject);
    case "rotate":
      return subject.type === "restricted" && isRevocable(maker, subject) && isWithinLifeOf(maker, subject);
    case "end_rotation":
      return subject.type === "restricted" && isRevocable(maker, subject);
  }
}

/** What a bearer makes or revokes, as far as it must be covered. */
type Subject = Pick<StoredToken, "id" | "account" | "livemode" | "type" | "permissions" | "expiresAtMs">;

/**
 * Why the bearer of this token may not do this to the other at this time, or null when it may. A bearer may always
 * revoke its own token, whatever its permissions. The maker is the token as the bearer's key finds it; null means that
 * there is no such key. A store asks it within the transaction that makes the change: what was true when the request
 * came may not be true any more.
 */
export function makerRefusal(
  action: DelegatedAction,
  maker: StoredToken | null,
  subject: Subject,
  nowMs: number,
): MakerRefusal | null {
  if (maker === null) {
    return "KEY_UNKNOWN";
  }
  if (maker.revokedAtMs !== null) {
    return "TOKEN_REVOKED";
  }
  if (isRetired(maker, nowMs)) {
    return "KEY_RETIRED";
  }
  if (isExpired(maker, nowMs)) {
    return "TOKEN_EXPIRED";
  }
  const hold = holdRefusal(maker);
  if (hold !== null) {
    return hold;
  }
  if (action === "revoke" && subject.id === maker.id) {
    return isSelfRevocable(maker) ? null : "INSUFFICIENT_PERMISSIONS";
  }
  const isCovered =
    isVisible(maker, subject) &&
    missingPermissions(maker.type, maker.permissions, ["tokens:write"]).length === 0 &&
    mayDo(action, maker, subject);
  return isCovered ? null : "INSUFFICIENT_PERMISSIONS";
}
