import { keyOfAuthorization } from "../bearer/presented-key.ts";
import { keyMissing, type PublicError } from "../bearer/public-error.ts";

/** The request presents more than one key, or a key beside something else. */
const keysConflict: PublicError = {
  status: 401,
  type: "authentication_error",
  code: "keys_conflict",
  message: "More than one credential was presented: send one API key, as Authorization: Bearer KEY.",
  param: null,
};

// A few presentations of one key fit in; no gateway makes more of what a client sent.
const maxLength = 4096;

/**
 * The one key that a request presents, in `authorization` (Bearer, or Basic as user name) or in `x-api-key`, or why there is none. A header
 * that came several times is its values joined by commas. The same key may come twice. Beside a key nothing else may stand, readable or
 * not: whatever reads it after us might take the other. Hot path.
 */
export function presentedKey(authorization: string | null, apiKey: string | null): string | PublicError {
  if (apiKey === null && authorization !== null && !authorization.includes(",")) {
    return keyOfAuthorization(authorization) ?? keyMissing;
  }
  const keys = new Set<string | null>([
    ...presentations(authorization).map(keyOfAuthorization),
    ...presentations(apiKey).map(keyOfApiKey),
  ]);
  const [key = null, ...others] = keys;
  if (others.length > 0) {
    return keysConflict;
  }
  return key ?? keyMissing;
}

function presentations(value: string | null): readonly string[] {
  if (value === null) {
    return [];
  }
  // What is too long is read as one that makes no sense.
  const parts = value.length > maxLength ? ["?"] : value.split(",");
  return parts.map((part) => part.trim()).filter((part) => part !== "");
}

function keyOfApiKey(value: string): string | null {
  return /^[!-~]{1,512}$/.test(value) ? value : null;
}
