import { keyMissing, keysConflict, type PublicError } from "./public-error.ts";

/** Longer credentials are no key's: a key has far fewer characters. */
const maxCredentialsLength = 512;
// A few presentations of one key fit in; no gateway makes more of what a client sent.
const maxHeaderLength = 4096;

/**
 * The one key that a request presents, or why there is none: in `authorization` as `Bearer KEY` (RFC 6750) or as user
 * name of `Basic` without a password (RFC 7617, as `curl -u KEY:` sends it), or in `x-api-key`. A header that came
 * several times is its values joined by commas. The same key may come twice. Beside a key nothing else may stand,
 * readable or not: whatever reads it after us might take the other. Whether it is a key, Authenticate says. The readers
 * of the clients do the same, held by `clients/vectors/`.
 */
export function presentedKey(authorization: string | null, apiKey: string | null): string | PublicError {
  if (apiKey === null && authorization !== null && isSingle(authorization)) {
    return keyOfAuthorization(trimBlanks(authorization)) ?? keyMissing;
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

function isSingle(value: string): boolean {
  return value.length <= maxHeaderLength && !value.includes(",");
}

function presentations(value: string | null): readonly string[] {
  if (value === null) {
    return [];
  }
  // What is too long is read as one that makes no sense.
  const parts = value.length > maxHeaderLength ? ["?"] : value.split(",");
  return parts.map(trimBlanks).filter((part) => part !== "");
}

/**
 * Blanks are HTTP's (OWS, RFC 9110 section 5.6.3): `trim` would take other characters away as well, and each language
 * others.
 */
function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) {
    start += 1;
  }
  while (end > start && isBlank(text.charCodeAt(end - 1))) {
    end -= 1;
  }
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function keyOfAuthorization(value: string): string | null {
  if (value.length > maxCredentialsLength) {
    return null;
  }
  const [, scheme = "", credentials = ""] = /^(Bearer|Basic) +([!-~]+)$/i.exec(value) ?? [];
  return scheme.toLowerCase() === "bearer" ? credentials : userNameOf(credentials);
}

function userNameOf(credentials: string): string | null {
  const bytes = Buffer.from(credentials, "base64");
  const written = bytes.toString("base64");
  // Padded or not, but in no other way: Node reads more than base64 is (RFC 4648), and other readers read other texts.
  if (credentials !== written && credentials !== written.replace(/=+$/, "")) {
    return null;
  }
  return /^([!-9;-~]+):$/.exec(bytes.toString("latin1"))?.[1] ?? null;
}

function keyOfApiKey(value: string): string | null {
  return /^[!-~]{1,512}$/.test(value) ? value : null;
}
