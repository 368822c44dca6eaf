import type { Principal } from "./key-index.ts";
import { missingPermissions } from "./permission.ts";
import { type HoldRefusal, holdRefusal, isExpired, isRetired, type StoredToken, type TokenType } from "./token.ts";

const typesAllowedByDefault: readonly TokenType[] = ["secret", "restricted"];

export type AuthenticateRequest = {
  readonly key: string;
  readonly requiredPermissions: readonly string[];
  /** Null means both modes. */
  readonly livemode: boolean | null;
  /** Empty means secret and restricted. */
  readonly allowedTypes: readonly TokenType[];
};

export type RefusalReason =
  | "KEY_MALFORMED"
  | "KEY_UNKNOWN"
  | "TOKEN_REVOKED"
  | "KEY_RETIRED"
  | "TOKEN_EXPIRED"
  | "LIVEMODE_MISMATCH"
  | "TYPE_NOT_ALLOWED"
  | "INSUFFICIENT_PERMISSIONS"
  | HoldRefusal;

/** A decision: `token` is null in a refusal for as long as no token is known to have the key. */
export type Outcome =
  | Principal
  | {
      readonly kind: "refusal";
      readonly reason: RefusalReason;
      readonly token: StoredToken | null;
      readonly missingPermissions: readonly string[];
    };

/** The checks once the key is proven, in the order that token_service.proto promises. Hot path. */
export function judge(request: AuthenticateRequest, found: Principal, nowMs: number): Outcome {
  const { token } = found;
  if (token.revokedAtMs !== null) {
    return refusal("TOKEN_REVOKED", token);
  }
  if (isRetired(token, nowMs)) {
    return refusal("KEY_RETIRED", token);
  }
  if (isExpired(token, nowMs)) {
    return refusal("TOKEN_EXPIRED", token);
  }
  const hold = holdRefusal(token);
  if (hold !== null) {
    return refusal(hold, token);
  }
  if (request.livemode !== null && request.livemode !== token.livemode) {
    return refusal("LIVEMODE_MISMATCH", token);
  }
  const allowedTypes = request.allowedTypes.length === 0 ? typesAllowedByDefault : request.allowedTypes;
  if (!allowedTypes.includes(token.type)) {
    return refusal("TYPE_NOT_ALLOWED", token);
  }
  const missing = missingPermissions(token.type, token.permissions, request.requiredPermissions);
  if (missing.length > 0) {
    return refusal("INSUFFICIENT_PERMISSIONS", token, missing);
  }
  return found;
}

/** A decided no; `token` is the one that the key is known to be of. */
export function refusal(reason: RefusalReason, token: StoredToken | null, missing: readonly string[] = []): Outcome {
  return { kind: "refusal", reason, token, missingPermissions: missing };
}
