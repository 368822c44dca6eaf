/** Longer credentials are no key's. */
const maxKeyLength = 512;
/** A few presentations of one key fit in. */
const maxHeaderLength = 4096;

/**
 * The one key that a request presents: in Authorization, as `Bearer KEY` (RFC 6750) or as user name of `Basic` without
 * a password (RFC 7617), or in X-API-Key. Beside a key nothing else may stand, readable or not: whatever reads it after
 * us might take the other. A header that came several times is its values joined by commas. Held by
 * `clients/vectors/credentials.json`, as the authority's own doors are.
 */
export function presentedKey(
  authorization: string | null,
  apiKey: string | null,
): { readonly key: string } | "key_missing" | "keys_conflict" {
  const keys = new Set([...values(authorization).map(keyOfAuthorization), ...values(apiKey).map(keyOfApiKey)]);
  const [key = null, ...others] = keys;
  if (others.length > 0) {
    return "keys_conflict";
  }
  return key === null ? "key_missing" : { key };
}

function values(header: string | null): readonly string[] {
  if (header === null) {
    return [];
  }
  // What is too long is read as one that makes no sense.
  const parts = header.length > maxHeaderLength ? ["?"] : header.split(",");
  return parts.map(withoutBlanks).filter((part) => part !== "");
}

/** Blanks are HTTP's (OWS, RFC 9110 section 5.6.3): `trim` takes more. */
function withoutBlanks(text: string): string {
  return text.replace(/^[ \t]+/, "").replace(/(?<![ \t])[ \t]+$/, "");
}

function keyOfAuthorization(value: string): string | null {
  const [, scheme = "", credentials = ""] = /^(Bearer|Basic) +([!-~]+)$/i.exec(value) ?? [];
  if (credentials === "" || value.length > maxKeyLength) {
    return null;
  }
  return scheme.toLowerCase() === "bearer" ? credentials : userNameOf(credentials);
}

function userNameOf(credentials: string): string | null {
  let pair: string;
  try {
    pair = atob(credentials);
  } catch {
    return null;
  }
  // Padded or not, but in no other way (RFC 4648): other texts mean the same bytes, and two readers might differ about
  // them.
  const written = btoa(pair);
  if (credentials !== written && credentials !== written.replace(/=+$/, "")) {
    return null;
  }
  return /^([!-9;-~]+):$/.exec(pair)?.[1] ?? null;
}

function keyOfApiKey(value: string): string | null {
  return /^[!-~]+$/.test(value) && value.length <= maxKeyLength ? value : null;
}
