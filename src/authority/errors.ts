/** Why a management call is refused. Each is documented in token_service.proto. */
export type Reason =
  | "FIELD_INVALID"
  | "PAGE_TOKEN_INVALID"
  | "TYPE_NOT_GRANTED"
  | "TOKEN_NOT_FOUND"
  | "TOKEN_LIMIT_REACHED"
  | "STORAGE_LOW"
  | "REQUEST_ID_REUSED"
  | "SEALING_SECRET_MISSING"
  | "REPLAY_UNREADABLE"
  | "UNDECIDED";

/** A refusal of a call that its caller can understand. The message never holds a value that came with the request. */
export class AuthorityError extends Error {
  readonly reason: Reason;
  readonly metadata: Readonly<Record<string, string>>;
  /** What the log has beside it, for whoever is to mend it. Not told to the caller; never a key. */
  readonly details: Readonly<Record<string, string>> | null;

  constructor(
    reason: Reason,
    message: string,
    metadata: Record<string, string> = {},
    options: ErrorOptions & { readonly details?: Readonly<Record<string, string>> | null } = {},
  ) {
    super(message, options);
    this.details = options.details ?? null;
    this.name = "AuthorityError";
    this.reason = reason;
    this.metadata = metadata;
  }
}

/**
 * `field` has its name in the proto, `rule` says what must hold: "must be 1 to 64 characters of …". `details` are for
 * the log alone.
 */
export function fieldInvalid(
  field: string,
  rule: string,
  details: Readonly<Record<string, string>> | null = null,
): AuthorityError {
  return new AuthorityError("FIELD_INVALID", `${field} ${rule}`, { field }, { details });
}

export function pageTokenInvalid(): AuthorityError {
  return new AuthorityError(
    "PAGE_TOKEN_INVALID",
    "page_token is not one that was answered to these filters: start again without it",
    { field: "page_token" },
  );
}

export function typeNotGranted(role: string, type: string): AuthorityError {
  return new AuthorityError("TYPE_NOT_GRANTED", `the role ${role} may not create ${type} tokens`, { field: "type" });
}

/** `field` says by what the token was looked up. */
export function tokenNotFound(field: "id" | "token_id" | "digest" = "id"): AuthorityError {
  const rule = field === "digest" ? "no token's key has this digest" : "no token has this id";
  return new AuthorityError("TOKEN_NOT_FOUND", rule, { field });
}

export function tokenLimitReached(limit: number): AuthorityError {
  return new AuthorityError(
    "TOKEN_LIMIT_REACHED",
    `the account has ${limit} unrevoked, unexpired tokens, as many as it may have: revoke some first`,
    { field: "account" },
  );
}

export function storageLow(): AuthorityError {
  return new AuthorityError("STORAGE_LOW", "the disk is nearly full: no tokens are created until there is room");
}

export function requestIdReused(): AuthorityError {
  return new AuthorityError("REQUEST_ID_REUSED", "request_id was used within 24 hours with another request", {
    field: "request_id",
  });
}

export function sealingSecretMissing(): AuthorityError {
  return new AuthorityError(
    "SEALING_SECRET_MISSING",
    "request_id needs a sealing secret, and this authority has none: set TOKEN_AUTHORITY_SEALING_SECRET",
    { field: "request_id" },
  );
}

export function replayUnreadable(tokenId: string): AuthorityError {
  return new AuthorityError(
    "REPLAY_UNREADABLE",
    "the key was sealed under another secret, or before a restore, and cannot be shown again: revoke the token and create another",
    { field: "request_id", token_id: tokenId },
  );
}

/** Could not decide, or for a change: the outcome is unknown. The caller may ask again. */
export function undecided(cause: unknown): AuthorityError {
  return new AuthorityError("UNDECIDED", "the authority cannot answer now: ask again", {}, { cause });
}

/**
 * What Authenticate failed with, as it is told: a bad question in its own words; anything else is an outage, and never
 * like a bad key.
 */
export function asUndecided(error: unknown): AuthorityError {
  const isTold = error instanceof AuthorityError && (error.reason === "FIELD_INVALID" || error.reason === "UNDECIDED");
  return isTold ? error : undecided(error);
}
