import type { Decision, Principal, Question, Refusal } from "./decision.ts";
import { UndecidedError } from "./errors.ts";
import { presentedKey } from "./presented-key.ts";

/** What a route asks of the key, and who hears when nothing could be decided. */
export type RouteOptions = Question & {
  /** Must be said, so that a forgotten word opens no route: `[]` lets any key of the allowed types and mode pass. */
  readonly requiredPermissions: readonly string[];
  /** In place of the client's deadline for Authenticate. */
  readonly timeoutMs?: number;
  /** Told of each request that was answered with 503 or 500, and why. For the log. */
  readonly onUndecided?: (error: unknown) => void;
};

/** What decides: the client, or whatever stands in for it. */
export type Authenticator = {
  authenticate(key: string, question: Question, options: { readonly timeoutMs?: number }): Promise<Decision>;
};

/** As much of a request as is looked at. A header that came several times is its values joined by commas. */
export type Credentials = {
  readonly authorization: string | null;
  readonly apiKey: string | null;
  readonly requestId: string | null;
};

/** What to answer in place of the handler. */
export type Answer = {
  readonly kind: "answer";
  readonly status: 401 | 403 | 500 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
};

// Also of one that was cut off where it was copied: what is missing can be computed or guessed.
const keyAnywhere = /(?:sk|pk|rk)_(?:live|test)_[0-9A-Za-z]{24}/;

const permissionPattern = /^[a-z][a-z0-9_]{0,62}:(?:read|write)$/;

/** The headers that carry a key, which end at the guard. */
export const credentialHeaders = ["authorization", "x-api-key"] as const;

type PublicError = {
  readonly status: Answer["status"];
  readonly type: "authentication_error" | "permission_error" | "api_error";
  readonly code: string;
  readonly message: string;
  /** Those that the key must have, where that is why it is refused. */
  readonly requiredPermissions?: readonly string[];
};

const refusals: Readonly<Record<Refusal["reason"], readonly [status: 401 | 403, message: string]>> = {
  KEY_MALFORMED: [401, "The API key is not a key: check that it was copied whole."],
  KEY_UNKNOWN: [401, "There is no such API key."],
  TOKEN_REVOKED: [401, "The API key was revoked."],
  TOKEN_EXPIRED: [401, "The API key has expired."],
  KEY_RETIRED: [401, "The API key was replaced by a newer one of the same token, and has ended."],
  ACCOUNT_CLOSED: [401, "The account of this API key is closed."],
  TOKEN_HELD: [403, "The API key is on hold: it is not bad, and may work again."],
  ACCOUNT_HELD: [403, "The account of this API key is on hold: the key is not bad, and may work again."],
  LIVEMODE_MISMATCH: [403, "The API key is of the other mode: live keys and test keys are not exchangeable."],
  TYPE_NOT_ALLOWED: [403, "API keys of this type may not do this."],
  INSUFFICIENT_PERMISSIONS: [403, "The API key lacks a permission that this needs."],
  UNKNOWN: [403, "The API key may not do this."],
};

const withoutKey = {
  key_missing: "No API key was presented: send it as Authorization: Bearer KEY.",
  keys_conflict: "More than one credential was presented: send one API key, as Authorization: Bearer KEY.",
} as const;

/** An outage, never a bad key. */
const unavailable: PublicError = {
  status: 503,
  type: "api_error",
  code: "unavailable",
  message: "The API key could not be checked just now: try again.",
};

const misconfigured: PublicError = {
  status: 500,
  type: "api_error",
  code: "gateway_misconfigured",
  message: "The API key could not be checked: this service is not set up for it.",
};

/**
 * Guards routes that ask this. Throws a TypeError when they say no permissions. Never rejects: whatever goes wrong is
 * an answer.
 */
export function createGuard(
  authority: Authenticator,
  options: RouteOptions,
): (credentials: Credentials) => Promise<Principal | Answer> {
  const { requiredPermissions, livemode, allowedTypes, timeoutMs, onUndecided = () => {} } = options;
  if (!Array.isArray(requiredPermissions)) {
    throw new TypeError("requiredPermissions must be said by the route: [] when any key may pass");
  }
  const question: Question = {
    requiredPermissions,
    ...(livemode === undefined ? {} : { livemode }),
    ...(allowedTypes === undefined ? {} : { allowedTypes }),
  };
  const callOptions = timeoutMs === undefined ? {} : { timeoutMs };

  return async ({ authorization, apiKey, requestId }) => {
    const presented = presentedKey(authorization, apiKey);
    if (typeof presented === "string") {
      return answer(
        { status: 401, type: "authentication_error", code: presented, message: withoutKey[presented] },
        requestId,
      );
    }
    try {
      const decision = await authority.authenticate(presented.key, question, callOptions);
      return decision.kind === "principal" ? decision : answer(told(decision, requiredPermissions), requestId);
    } catch (error) {
      tell(onUndecided, error);
      return answer(error instanceof UndecidedError && !error.isMistake ? unavailable : misconfigured, requestId);
    }
  };
}

/** A log that fails is no reason to leave a request without an answer. */
function tell(onUndecided: (error: unknown) => void, error: unknown): void {
  try {
    onUndecided(error);
  } catch (failure) {
    process.emitWarning(failure instanceof Error ? failure : new Error("onUndecided threw what is no Error"));
  }
}

function told({ reason }: Refusal, requiredPermissions: readonly string[]): PublicError {
  const [status, message] = refusals[reason];
  const type = status === 401 ? "authentication_error" : "permission_error";
  const error = { status, type, code: reason.toLowerCase(), message } as const;
  return reason === "INSUFFICIENT_PERMISSIONS" ? { ...error, requiredPermissions } : error;
}

function answer(error: PublicError, requestId: string | null): Answer {
  const { status, type, code, message, requiredPermissions } = error;
  const challenge = challengeOf(error);
  const members = {
    ...{ type, code, message, param: null },
    // JSON leaves out what is undefined.
    required_permissions: requiredPermissions,
    request_id: usableRequestId(requestId),
  };
  return {
    kind: "answer",
    status,
    headers: {
      "content-type": "application/json",
      "cache-control": "no-store",
      ...(challenge === null ? {} : { "www-authenticate": challenge }),
      ...(status === 503 ? { "retry-after": "1" } : {}),
    },
    body: JSON.stringify({ error: members }),
  };
}

/** RFC 6750 section 3. */
function challengeOf({ status, code, requiredPermissions }: PublicError): string | null {
  if (status === 401) {
    return code === "key_missing" ? 'Bearer realm="CasaPay"' : 'Bearer realm="CasaPay", error="invalid_token"';
  }
  return requiredPermissions === undefined
    ? null
    : `Bearer realm="CasaPay", error="insufficient_scope"${scopeOf(requiredPermissions)}`;
}

/**
 * The permissions in a challenge. What stands in for the client may not have looked at them, and what is no permission
 * could end the header.
 */
function scopeOf(requiredPermissions: readonly string[]): string {
  const scope = requiredPermissions.filter((permission) => permissionPattern.test(permission)).join(" ");
  return scope === "" ? "" : `, scope="${scope}"`;
}

/** The request's own name, or a new one where that could be anything: a key, sent in the wrong header. */
function usableRequestId(requestId: string | null): string {
  return requestId !== null && /^[\w.-]{1,64}$/.test(requestId) && !keyAnywhere.test(requestId)
    ? requestId
    : `req_${crypto.randomUUID()}`;
}
