import { type AuthorityError, fieldInvalid } from "./errors.ts";
import { holdsKey, isTokenId } from "./key.ts";
import { isPermission } from "./permission.ts";
import { hasVisibleCharacter, isPartOfPrintable, isPrintable, withoutOuterBlanks } from "./printable.ts";
import type { TokenType } from "./token.ts";
import { maxOverlapMs } from "./token-store.ts";

const accountPattern = /^[0-9A-Za-z_-]{1,64}$/;
const accountPrefixPattern = /^[0-9A-Za-z_-]{0,64}$/;
const keyHintPattern = /^[0-9A-Za-z]{4}$/;
const callerPattern = /^[\x20-\x7e]{1,2048}$/;
const digestBytes = 32;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;
const uuidsOfNobody = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
const maxGrantedPermissions = 100;

/** Throws FIELD_INVALID unless the text may name an account. */
export function requireAccount(account: string): void {
  if (!isAccount(account)) {
    throw fieldInvalid("account", "must be 1 to 64 characters of [0-9A-Za-z_-]");
  }
}

/** Whether the text may name an account. */
export function isAccount(text: string): boolean {
  return accountPattern.test(text) && !holdsKey(text);
}

/** Throws FIELD_INVALID unless names of accounts may begin with the text. */
export function requireAccountPrefix(prefix: string): void {
  if (!accountPrefixPattern.test(prefix) || holdsKey(prefix)) {
    throw fieldInvalid("prefix", "must be at most 64 characters of [0-9A-Za-z_-]");
  }
}

/** What a creation is judged by, apart from who asks for it. */
export type Creation = {
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly permissions: readonly string[];
  /** Empty means none. */
  readonly requestId: string;
};

/**
 * Throws FIELD_INVALID unless a token may be created so. That its expiry lies in the future is the store's to check,
 * after a replay was looked for.
 */
export function requireCreation({ account, name, type, permissions, requestId }: Creation): void {
  requireAccount(account);
  toTokenName(name);
  if (type === "restricted") {
    requireDistinctPermissions("permissions", permissions);
  } else if (permissions.length > 0) {
    throw fieldInvalid("permissions", `must be empty for a ${type} token`);
  }
  if (requestId !== "") {
    requireUuid("requestId", requestId);
  }
}

/**
 * Throws FIELD_INVALID unless a key may be rotated so. Without an overlap, nobody would have a key if the answer were
 * lost: then the request must be one that can be sent again.
 */
export function requireRotation(request: {
  readonly id: string;
  readonly overlapMs: number;
  readonly requestId: string;
}): void {
  const { id, overlapMs, requestId } = request;
  requireTokenId("id", id);
  if (!Number.isInteger(overlapMs) || overlapMs < 0 || overlapMs > maxOverlapMs) {
    throw fieldInvalid("overlapMs", "must be 0 to 7 days");
  }
  if (requestId !== "") {
    requireUuid("requestId", requestId);
  } else if (overlapMs === 0) {
    throw fieldInvalid("requestId", "must be given without an overlap: with a lost answer nobody would have a key");
  }
}

/** A token's name as it is kept: without the blanks around it. Throws FIELD_INVALID unless the text may be one. */
export function toTokenName(text: string): string {
  return toText("name", text, 1, 100);
}

/** Throws FIELD_INVALID unless the text may stand in a token's name. */
export function requirePartOfName(text: string): void {
  requireLength("nameContains", text, 1, 100);
  requireLooks("nameContains", text, isPartOfPrintable(text));
}

/** Throws FIELD_INVALID unless a key may end with the text. */
export function requireKeyHint(hint: string): void {
  if (!keyHintPattern.test(hint)) {
    throw fieldInvalid("keyHint", "must be the last 4 characters of a key, of [0-9A-Za-z]");
  }
}

/**
 * Throws FIELD_INVALID unless the journal may name a caller so: a SPIFFE ID, the longest of them, has at most 2048
 * characters.
 */
export function requireCaller(field: string, caller: string): void {
  if (!callerPattern.test(caller) || holdsKey(caller)) {
    throw fieldInvalid(field, "must be 1 to 2048 characters of printable ASCII, and no key");
  }
}

/** Throws FIELD_INVALID unless the bytes may be the digest of a key. */
export function requireDigest(digest: Uint8Array): void {
  if (digest.length !== digestBytes) {
    throw fieldInvalid("digest", "must be the 32 bytes of a SHA-256");
  }
}

/**
 * A reason for a revocation as it is kept: without the blanks around it. Throws FIELD_INVALID unless the text may be
 * one.
 */
export function toReason(text: string): string {
  return toText("reason", text, 0, 256);
}

/** Throws FIELD_INVALID unless the text has the form of a token id. */
export function requireTokenId(field: string, id: string): void {
  if (!isTokenId(id)) {
    throw fieldInvalid(field, "must be a token id: tok_ and at least 20 characters of [0-9A-Za-z]");
  }
}

/**
 * Throws FIELD_INVALID unless the text is a UUID (RFC 9562) in its usual form, and neither the nil nor the max UUID.
 */
function requireUuid(field: string, text: string): void {
  if (!uuidPattern.test(text)) {
    throw fieldInvalid(field, "must be a UUID, such as 0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52");
  }
  if (isUuidOfNobody(text)) {
    throw fieldInvalid(
      field,
      "must be a UUID of your own; the nil and the max UUID are not accepted: they come from uninitialised variables",
    );
  }
}

/**
 * Whether the text is the nil or the max UUID, which a variable may hold that was never set. Two callers would share a
 * replay by such an id.
 */
export function isUuidOfNobody(text: string): boolean {
  return uuidsOfNobody.includes(text.toLowerCase());
}

/** Throws FIELD_INVALID unless there are at most `max`, each of the form `resource:action`. */
export function requirePermissions(field: string, permissions: readonly string[], max: number): void {
  if (permissions.length > max) {
    throw fieldInvalid(field, `must be at most ${max}`);
  }
  for (const permission of permissions) {
    if (!isPermission(permission)) {
      throw fieldInvalid(field, "must be resource:action, with resource [a-z][a-z0-9_]{0,62} and action read or write");
    }
  }
}

/** Throws FIELD_INVALID unless a restricted token may have these: 1 to 100, all different. */
function requireDistinctPermissions(field: string, permissions: readonly string[]): void {
  if (permissions.length === 0) {
    throw fieldInvalid(field, "must be 1 to 100 for a restricted token");
  }
  requirePermissions(field, permissions, maxGrantedPermissions);
  if (permissions.some(holdsKey)) {
    throw fieldInvalid(field, "must not contain a key");
  }
  if (new Set(permissions).size !== permissions.length) {
    throw fieldInvalid(field, "must all be different");
  }
}

function toText(field: string, text: string, minLength: number, maxLength: number): string {
  // A code point takes at most two units: what is longer than that, with some blanks, is refused before it is walked
  // through.
  if (text.length > 4 * maxLength) {
    throw lengthInvalid(field, minLength, maxLength);
  }
  const trimmed = withoutOuterBlanks(text);
  requireLength(field, trimmed, minLength, maxLength);
  requireLooks(field, trimmed, isPrintable(trimmed));
  if (trimmed !== "" && !hasVisibleCharacter(trimmed)) {
    throw fieldInvalid(field, "must have a character that can be seen");
  }
  return trimmed;
}

function requireLength(field: string, text: string, minLength: number, maxLength: number): void {
  const length = text.length > 2 * maxLength ? Number.POSITIVE_INFINITY : [...text].length;
  if (length < minLength || length > maxLength) {
    throw lengthInvalid(field, minLength, maxLength);
  }
}

function lengthInvalid(field: string, minLength: number, maxLength: number): AuthorityError {
  return fieldInvalid(field, `must be ${minLength} to ${maxLength} characters`);
}

function requireLooks(field: string, text: string, looksLikeWhatItIs: boolean): void {
  if (!looksLikeWhatItIs) {
    throw fieldInvalid(field, "must not contain control characters or invisible ones");
  }
  if (holdsKey(text)) {
    throw fieldInvalid(field, "must not contain a key");
  }
}
