import { missingPermissions } from "./permission.ts";
import type { StoredToken, TokenType } from "./token.ts";

/**
 * What a key lets its bearer do with the tokens of its own account and mode. Whether the key may be used at all, and has
 * `tokens:read` or `tokens:write`, Authenticate says before.
 */

/** Why a bearer may not do what it asks for. */
export type DelegationReason =
  | "TYPE_MANAGED_IN_DASHBOARD"
  | "PERMISSION_OF_TOKENS"
  | "PERMISSION_NOT_COVERED"
  | "EXPIRES_AFTER_MAKER"
  | "TOKEN_NOT_COVERED";

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
 * Throws unless the bearer of this token may give as much to a restricted key: a restricted key gives no more, and for no longer,
 * than it has itself, and nothing of `tokens:`.
 */
export function requireGrantable(maker: StoredToken, grant: Grant): void {
  if (maker.type === "secret") {
    return;
  }
  if (grant.permissions.some((permission) => permission.startsWith("tokens:"))) {
    throw new DelegationError("PERMISSION_OF_TOKENS");
  }
  if (missingPermissions(maker.type, maker.permissions, grant.permissions).length > 0) {
    throw new DelegationError("PERMISSION_NOT_COVERED");
  }
  if (maker.expiresAtMs !== null && (grant.expiresAtMs === null || grant.expiresAtMs > maker.expiresAtMs)) {
    throw new DelegationError("EXPIRES_AFTER_MAKER");
  }
}

/** Throws unless the bearer of this token may revoke the other: a secret key any, a restricted key a restricted one that it covers. */
export function requireRevocable(maker: StoredToken, token: StoredToken): void {
  if (maker.type === "secret") {
    return;
  }
  if (token.type !== "restricted" || missingPermissions(maker.type, maker.permissions, token.permissions).length > 0) {
    throw new DelegationError("TOKEN_NOT_COVERED");
  }
}

/** Whether the bearer of this token may know of the other: those of another account or mode are not there for it. */
export function isVisible(maker: StoredToken, token: StoredToken): boolean {
  return token.account === maker.account && token.livemode === maker.livemode;
}
