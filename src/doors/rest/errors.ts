import type { DelegationReason } from "../../authority/delegation.ts";
import type { AuthorityError, Reason } from "../../authority/errors.ts";
import { holdsKey } from "../../authority/key.ts";
import type { PublicError } from "../../calls/public-error.ts";

/** Ends a request with an error that its bearer is told. */
export class RestError extends Error {
  override readonly name = "RestError";
  readonly told: PublicError;
  /** After how many seconds to ask again; null when there is no saying. */
  readonly retryAfterSeconds: number | null;

  constructor(told: PublicError, options: ErrorOptions & { readonly retryAfterSeconds?: number } = {}) {
    super(told.message, options);
    this.told = told;
    this.retryAfterSeconds = options.retryAfterSeconds ?? null;
  }
}

/** The header's name as errors and documents have it. */
export const idempotencyHeader = "Idempotency-Key";

export const notFound = invalid(404, "not_found", "There is nothing at this path: see /v1/openapi.json.");

export const methodNotAllowed = invalid(
  405,
  "method_not_allowed",
  "This path does not have this method: see the Allow header.",
);

export const bodyTooLarge = invalid(413, "body_too_large", "The body must be at most 64 KiB.");

export const bodyIncomplete = invalid(400, "body_incomplete", "The body ended before its end.");

export const bodyLate = invalid(408, "body_late", "The body took too long.");

/** Nobody is left to be told: for logs and metrics, in nginx's number. */
export const clientGone = invalid(499, "client_gone", "The client went away.");

export const mediaTypeUnsupported = invalid(
  415,
  "media_type_unsupported",
  "The body must be application/json or application/x-www-form-urlencoded, in UTF-8 and without compression.",
);

export const creationsLimited = rateLimited("account creates and rotates more than 25 keys a second");

export const readsLimited = rateLimited("account gets and lists tokens more than 100 times a second");

export const selfReadsLimited = rateLimited("key asks for its own token more than 100 times a second");

export const tooManyAtOnce = rateLimited("account or its key has too many requests under way");

/** For what is asked after the key was checked. */
export const unavailable: PublicError = {
  status: 503,
  type: "api_error",
  code: "unavailable",
  message: "The request could not be answered just now. A change may have happened all the same: ask again.",
  param: null,
};

export const internal: PublicError = {
  status: 500,
  type: "api_error",
  code: "internal",
  message: "Something is wrong on our side.",
  param: null,
};

function rateLimited(what: string): PublicError {
  return {
    status: 429,
    type: "rate_limit_error",
    code: "rate_limited",
    message: `The ${what}: wait as long as Retry-After says.`,
    param: null,
  };
}

/** A body that cannot be read as what it says it is. */
export function bodyMalformed(rule: string): PublicError {
  return invalid(400, "body_malformed", `The body ${rule}.`);
}

/** `rule` says what must hold: "must be a whole number". */
export function parameterInvalid(name: string, rule: string): RestError {
  const { param, called } = sayable(name);
  return new RestError(invalid(400, "parameter_invalid", `${called} ${rule}.`, param));
}

export function parameterMissing(name: string): RestError {
  return new RestError(invalid(400, "parameter_missing", `${name} is required.`, name));
}

export function parameterUnknown(name: string): RestError {
  const { param } = sayable(name);
  return new RestError(
    invalid(400, "parameter_unknown", `There is no parameter ${param ?? "of that name"} here.`, param),
  );
}

function invalid(status: number, code: string, message: string, param: string | null = null): PublicError {
  return { status, type: "invalid_request_error", code, message, param };
}

/** A name that the client chose may be long, unprintable, or a key in the wrong place: then it is not repeated. */
function sayable(name: string): { readonly param: string | null; readonly called: string } {
  return /^[\w.[\]-]{1,64}$/.test(name) && !holdsKey(name)
    ? { param: name, called: name }
    : { param: null, called: "A parameter" };
}

const delegation = {
  TYPE_MANAGED_IN_DASHBOARD: [400, "type", "type must be restricted: other keys are managed in the Dashboard."],
  PERMISSION_OF_TOKENS: [403, "permissions", "A restricted key cannot give permissions of tokens."],
  PERMISSION_NOT_COVERED: [403, "permissions", "A restricted key can only give permissions that it covers itself."],
  EXPIRES_AFTER_MAKER: [
    403,
    "expires_at",
    "A restricted key cannot make a key that outlives it: give an earlier expires_at.",
  ],
  TOKEN_OUTLIVES_MAKER: [403, null, "A restricted key cannot rotate a token that outlives its own."],
  TOKEN_MANAGED_IN_DASHBOARD: [403, null, "Only restricted keys are rotated here: others are in the Dashboard."],
  TOKEN_NOT_COVERED: [
    403,
    null,
    "A restricted key can only revoke and rotate restricted keys whose permissions it covers.",
  ],
  KEY_IS_PUBLIC: [
    403,
    null,
    "A publishable key is public, so that it cannot revoke itself: use a secret key, or the Dashboard.",
  ],
} satisfies Record<DelegationReason, readonly [status: 400 | 403, param: string | null, message: string]>;

/** Why a key may not do this to tokens. The codes are the reasons in lower case. */
export function fromDelegation(reason: DelegationReason): PublicError {
  const [status, param, message] = delegation[reason];
  const type = status === 400 ? "invalid_request_error" : "permission_error";
  return { status, type, code: reason.toLowerCase(), message, param };
}

/** Null where only a fault of ours can be the cause: this API asks for nothing of the kind. */
const refusals: Readonly<Record<Reason, PublicError | null>> = {
  // Told by its field; without one there is nothing that the bearer could mend.
  FIELD_INVALID: null,
  PAGE_TOKEN_INVALID: null,
  TYPE_NOT_GRANTED: null,
  REQUEST_NOT_SUPPORTED: null,
  JOURNAL_WENT_BACK: null,
  // The bearer's key is of the account, and is refused before.
  ACCOUNT_CLOSED: null,
  TOKEN_NOT_FOUND: invalid(404, "token_not_found", "There is no such token."),
  TOKEN_LIMIT_REACHED: invalid(
    400,
    "token_limit_reached",
    "The account has as many live tokens as it may have: revoke some first.",
  ),
  REQUEST_ID_REUSED: invalid(
    409,
    "idempotency_key_reused",
    "This Idempotency-Key was used within 24 hours with another body.",
    idempotencyHeader,
  ),
  SEALING_SECRET_MISSING: invalid(
    400,
    "idempotency_unsupported",
    "Idempotency-Key is not supported here: send none.",
    idempotencyHeader,
  ),
  REPLAY_UNREADABLE: invalid(
    409,
    "idempotency_key_unreadable",
    "The key that was made under this Idempotency-Key cannot be shown again: revoke its token and make another.",
    idempotencyHeader,
  ),
  TOKEN_NOT_ACTIVE: invalid(409, "token_not_active", "The token is revoked or has expired: create another."),
  ROTATION_UNDER_WAY: invalid(
    409,
    "rotation_under_way",
    "The new key is in use while the key before it still works: end that one first, with rotate/end.",
  ),
  ROTATION_NOT_UNDER_WAY: invalid(
    409,
    "rotation_not_under_way",
    "The token has no previous key that still works: there is nothing to end.",
  ),
  KEY_LIMIT_REACHED: invalid(
    409,
    "key_limit_reached",
    "The token has had as many keys as a token may have: create another.",
  ),
  STORAGE_LOW: {
    ...unavailable,
    code: "storage_low",
    message: "No tokens are created just now, other calls are answered: try again later.",
  },
  UNDECIDED: unavailable,
};

/** The parameters that have another name in the domain. */
const publicNames: Readonly<Record<string, string>> = {
  expiresAtMs: "expires_at",
  overlapMs: "expire_current_key_in_minutes",
  requestId: idempotencyHeader,
  older: "starting_after",
  newer: "ending_before",
};

/** The domain's refusal, in the words of this API. Null for one that can only come of a fault of ours. */
export function fromAuthority({ reason, field, rule }: AuthorityError): PublicError | null {
  if (reason === "FIELD_INVALID" && field !== null) {
    return parameterInvalid(publicNames[field] ?? field, rule).told;
  }
  return refusals[reason];
}
