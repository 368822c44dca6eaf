import { randomBytes } from "node:crypto";
import type { RefusalReason } from "../authority/judge.ts";

/** An error as bearers of keys see it, at every door that speaks HTTP to them. */
export type PublicError = {
  readonly status: number;
  readonly type:
    | "authentication_error"
    | "permission_error"
    | "invalid_request_error"
    | "rate_limit_error"
    | "api_error";
  /** Lower-case words, for programs. */
  readonly code: string;
  /** A sentence, for people. Never holds a key. */
  readonly message: string;
  /** The parameter that is at fault, or null. */
  readonly param: string | null;
  /** What the key must have, where that is why it is refused: as Authenticate was asked, 1 to 16 permissions. */
  readonly requiredPermissions?: readonly string[];
};

/** The request presents no key. */
export const keyMissing: PublicError = {
  status: 401,
  type: "authentication_error",
  code: "key_missing",
  message: "No API key was presented: send it as Authorization: Bearer KEY.",
  param: null,
};

/** The request presents more than one key, or a key beside something else. */
export const keysConflict: PublicError = {
  status: 401,
  type: "authentication_error",
  code: "keys_conflict",
  message: "More than one credential was presented: send one API key, as Authorization: Bearer KEY.",
  param: null,
};

const refusals = {
  KEY_MALFORMED: [401, "The API key is not a key: check that it was copied whole."],
  KEY_UNKNOWN: [401, "There is no such API key."],
  TOKEN_REVOKED: [401, "The API key was revoked."],
  KEY_RETIRED: [401, "The API key was replaced by a newer one of the same token, and has ended."],
  TOKEN_EXPIRED: [401, "The API key has expired."],
  LIVEMODE_MISMATCH: [403, "The API key is of the other mode: live keys and test keys are not exchangeable."],
  TYPE_NOT_ALLOWED: [403, "API keys of this type may not do this."],
  INSUFFICIENT_PERMISSIONS: [403, "The API key lacks a permission that this needs."],
  TOKEN_HELD: [403, "The API key is on hold: it is not bad, and may work again."],
  ACCOUNT_HELD: [403, "The account of this API key is on hold: the key is not bad, and may work again."],
  ACCOUNT_CLOSED: [401, "The account of this API key is closed."],
} satisfies Record<RefusalReason, readonly [status: 401 | 403, message: string]>;

/**
 * How a refused key is told to its bearer: `requiredPermissions` are those that Authenticate was asked for. The codes
 * are the reasons in lower case.
 */
export function publicRefusal(reason: RefusalReason, requiredPermissions: readonly string[]): PublicError {
  const [status, message] = refusals[reason];
  const type = status === 401 ? "authentication_error" : "permission_error";
  const error = { status, type, code: reason.toLowerCase(), message, param: null } as const;
  return reason === "INSUFFICIENT_PERMISSIONS" ? { ...error, requiredPermissions } : error;
}

/** The header of the request is larger than is read: to try again does not help. */
export const headerTooLarge: PublicError = {
  status: 431,
  type: "invalid_request_error",
  code: "header_too_large",
  message: "The header of the request is too large: send at most 16 KiB and 128 fields.",
  param: null,
};

/** Nothing was decided: an outage, never a bad key. */
export const undecided: PublicError = {
  status: 503,
  type: "api_error",
  code: "unavailable",
  message: "The API key could not be checked just now: try again.",
  param: null,
};

/** What an answer to the bearer of a key is found by in the log. */
export function createRequestId(): string {
  return `req_${randomBytes(12).toString("hex")}`;
}

/** The body that every error has. */
export function publicErrorBody(error: PublicError, requestId: string): string {
  const { type, code, message, param, requiredPermissions } = error;
  // JSON leaves out what is undefined.
  const members = { type, code, message, param, required_permissions: requiredPermissions, request_id: requestId };
  return JSON.stringify({ error: members });
}

/** The WWW-Authenticate header of a 401 or 403 (RFC 6750 section 3), or null. */
export function challengeOf({ status, code, requiredPermissions }: PublicError): string | null {
  if (status === 401) {
    return code === keyMissing.code ? 'Bearer realm="CasaPay"' : 'Bearer realm="CasaPay", error="invalid_token"';
  }
  // Permissions need no quoting: Authenticate has refused a question with any other character in them.
  return requiredPermissions === undefined
    ? null
    : `Bearer realm="CasaPay", error="insufficient_scope", scope="${requiredPermissions.join(" ")}"`;
}
