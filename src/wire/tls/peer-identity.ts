import type { X509Certificate } from "node:crypto";

// A SPIFFE ID: trust domain in lower case, then path segments, with nothing that needs decoding (SPIFFE-ID, 2).
const spiffePattern = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)+$/;
const maxSpiffeCharacters = 2_048;
const dnsPattern = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/;

/**
 * The one identity that a certificate names, or null: the SPIFFE ID that is its only URI (X509-SVID, 2), or else its
 * first DNS name, in lower case and not a wildcard. URIs of other schemes say nothing here.
 */
export function peerIdentity(certificate: X509Certificate): string | null {
  const names = alternativeNames(certificate.subjectAltName ?? "");
  if (names === null) {
    return null;
  }
  const uris = names.filter(({ type }) => type === "URI").map(({ value }) => value);
  if (uris.some((uri) => /^spiffe:/i.test(uri))) {
    const [uri = ""] = uris;
    return uris.length === 1 && isSpiffeId(uri) ? uri : null;
  }
  const first = names.find(({ type }) => type === "DNS")?.value.toLowerCase() ?? "";
  return isDnsIdentity(first) ? first : null;
}

/** Whether a certificate may name this identity: what the callers file may hold. */
export function isIdentity(name: string): boolean {
  return isSpiffeId(name) || isDnsIdentity(name);
}

function isSpiffeId(uri: string): boolean {
  return uri.length <= maxSpiffeCharacters && spiffePattern.test(uri) && !/\/\.{1,2}(?:\/|$)/.test(uri);
}

/** `local` is what plaintext callers are called: no certificate may claim their role. */
function isDnsIdentity(name: string): boolean {
  return name !== "local" && dnsPattern.test(name);
}

type AlternativeName = { readonly type: string; readonly value: string };

/**
 * The names in Node's text form, in their order: `TYPE:VALUE, TYPE:VALUE`. A value that holds a comma, a quote or what
 * is not printable ASCII is a JSON string there, in which commas are escaped: no name can pose as two. Null when it is
 * not of that form.
 */
function alternativeNames(text: string): readonly AlternativeName[] | null {
  if (text === "") {
    return [];
  }
  const names: AlternativeName[] = [];
  for (const part of text.split(", ")) {
    const [, type, raw] = /^([A-Za-z0-9 ]+):(.*)$/s.exec(part) ?? [];
    const value = raw?.startsWith('"') === true ? readQuoted(raw) : raw;
    if (type === undefined || value === undefined || value === null) {
      return null;
    }
    names.push({ type, value });
  }
  return names;
}

function readQuoted(literal: string): string | null {
  try {
    const value: unknown = JSON.parse(literal);
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}
