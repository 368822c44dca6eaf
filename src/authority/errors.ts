/** Why a management call is refused. Each is documented in token_service.proto. */
export type Reason =
  | "FIELD_INVALID"
  | "PAGE_TOKEN_INVALID"
  | "TYPE_NOT_GRANTED"
  | "TOKEN_NOT_FOUND"
  | "ACCOUNT_CLOSED"
  | "TOKEN_LIMIT_REACHED"
  | "STORAGE_LOW"
  | "REQUEST_ID_REUSED"
  | "SEALING_SECRET_MISSING"
  | "REPLAY_UNREADABLE"
  | "TOKEN_NOT_ACTIVE"
  | "ROTATION_UNDER_WAY"
  | "ROTATION_NOT_UNDER_WAY"
  | "KEY_LIMIT_REACHED"
  | "REQUEST_NOT_SUPPORTED"
  | "JOURNAL_WENT_BACK"
  | "UNDECIDED";

/** What an error says beside its reason. */
export type ErrorFacts = {
  /** What the rule is about: a property of the request, or a door's own word where a door found the fault. */
  readonly field?: string;
  /** What must hold: "must be 1 to 64 characters of …". Never holds a value that came with the request. */
  readonly rule: string;
  /** Of the token that the caller is to do something about. */
  readonly tokenId?: string;
  /** What the log has besides, for the person who mends it. Not told to the caller; never a key. */
  readonly details?: Readonly<Record<string, string>> | null;
  readonly cause?: unknown;
};

/** A refusal of a call that its caller can understand. The doors put it into words, with their own names of fields. */
export class AuthorityError extends Error {
  override readonly name = "AuthorityError";
  readonly reason: Reason;
  readonly field: string | null;
  readonly rule: string;
  readonly tokenId: string | null;
  readonly details: Readonly<Record<string, string>> | null;

  constructor(reason: Reason, { field, rule, tokenId, details, cause }: ErrorFacts) {
    super(field === undefined ? rule : `${field}: ${rule}`, { cause });
    this.reason = reason;
    this.field = field ?? null;
    this.rule = rule;
    this.tokenId = tokenId ?? null;
    this.details = details ?? null;
  }
}

/** Why nothing can be decided for now. The log tells of it where it began, and not once more for each call. */
export class KnownOutage extends Error {
  override readonly name = "KnownOutage";
}

export function fieldInvalid(field: string, rule: string, details: ErrorFacts["details"] = null): AuthorityError {
  return new AuthorityError("FIELD_INVALID", { field, rule, details });
}

export function pageTokenInvalid(): AuthorityError {
  return new AuthorityError("PAGE_TOKEN_INVALID", {
    field: "pageToken",
    rule: "is not one that was answered to these filters: start again without it",
  });
}

export function typeNotGranted(role: string, type: string, what: "create" | "rotate" = "create"): AuthorityError {
  return new AuthorityError("TYPE_NOT_GRANTED", {
    ...(what === "create" ? { field: "type" } : {}),
    rule: `the role ${role} may not ${what} ${type} tokens`,
  });
}

/** `field` says by what the token was looked up. */
export function tokenNotFound(field: "id" | "tokenId" | "digest" = "id"): AuthorityError {
  const rule = field === "digest" ? "no token's key has this digest" : "no token has this id";
  return new AuthorityError("TOKEN_NOT_FOUND", { field, rule });
}

export function accountClosed(): AuthorityError {
  return new AuthorityError("ACCOUNT_CLOSED", { field: "account", rule: "the account is closed for good" });
}

export function tokenLimitReached(limit: number): AuthorityError {
  return new AuthorityError("TOKEN_LIMIT_REACHED", {
    field: "account",
    rule: `the account has ${limit} unrevoked, unexpired tokens, as many as it may have: revoke some first`,
  });
}

export function storageLow(): AuthorityError {
  return new AuthorityError("STORAGE_LOW", {
    rule: "the disk is nearly full: no tokens are created until there is room",
  });
}

export function requestIdReused(): AuthorityError {
  return new AuthorityError("REQUEST_ID_REUSED", {
    field: "requestId",
    rule: "was used within 24 hours with another request",
  });
}

export function sealingSecretMissing(): AuthorityError {
  return new AuthorityError("SEALING_SECRET_MISSING", {
    field: "requestId",
    rule: "needs a sealing secret, and this authority has none",
  });
}

export function replayUnreadable(tokenId: string): AuthorityError {
  return new AuthorityError("REPLAY_UNREADABLE", {
    field: "requestId",
    rule: "the key was sealed under another secret, or before a restore, and cannot be shown again: revoke the token and create another",
    tokenId,
  });
}

export function tokenNotActive(): AuthorityError {
  return new AuthorityError("TOKEN_NOT_ACTIVE", {
    rule: "the token is revoked or has expired: its keys are refused for good, create another token",
  });
}

export function rotationUnderWay(): AuthorityError {
  return new AuthorityError("ROTATION_UNDER_WAY", {
    rule: "the token has two keys that live, and the new one is in use: end the old one first",
  });
}

export function rotationNotUnderWay(): AuthorityError {
  return new AuthorityError("ROTATION_NOT_UNDER_WAY", {
    rule: "the token has no old key that is still to end: rotate its key first",
  });
}

export function keyLimitReached(limit: number): AuthorityError {
  return new AuthorityError("KEY_LIMIT_REACHED", {
    rule: `the token has had ${limit} keys, as many as a token may have: create another token`,
  });
}

/** An edge has no tokens of its own. */
export function notAtEdge(): AuthorityError {
  return new AuthorityError("REQUEST_NOT_SUPPORTED", {
    rule: "an edge decides on keys and does nothing else: call the authority that it asks",
  });
}

/** The store has fewer changes than somebody was answered: it would decide by what was true before. */
export function journalWentBack(revision: number): AuthorityError {
  return new AuthorityError("JOURNAL_WENT_BACK", {
    field: "minRevision",
    rule: `is a change that the authority does not have: its newest is ${revision}`,
  });
}

/** Could not decide, or for a change: the outcome is unknown. The caller may ask again. */
export function undecided(cause: unknown): AuthorityError {
  return new AuthorityError("UNDECIDED", { rule: "the authority cannot answer now: ask again", cause });
}

const toldOfDeciding: ReadonlySet<Reason> = new Set(["FIELD_INVALID", "JOURNAL_WENT_BACK", "UNDECIDED"]);

/**
 * What Authenticate failed with, as it is told: a bad question in its own words; anything else is an outage, and never
 * like a bad key.
 */
export function asUndecided(error: unknown): AuthorityError {
  return error instanceof AuthorityError && toldOfDeciding.has(error.reason) ? error : undecided(error);
}
