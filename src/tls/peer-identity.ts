import { subjectAlternativeNames } from "./subject-alternative-names.ts";

// A SPIFFE ID: trust domain in lower case, then path segments, with nothing that needs decoding (SPIFFE-ID, 2).
const spiffePattern = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]+)+$/;
const maxSpiffeCharacters = 2_048;
const dnsPattern = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,62})(?:\.[a-z0-9_][a-z0-9_-]{0,62})*$/;

/**
 * The one identity that a certificate (DER) names, or null: its URI SAN when it is the only one and a SPIFFE ID
 * with a path; without any URI SAN its first DNS SAN, in lower case and not a wildcard. A URI of another scheme
 * is no identity, and hides the DNS names: whoever issued it meant something that is not understood here.
 */
export function peerIdentity(certificate: Uint8Array): string | null {
  const names = subjectAlternativeNames(certificate);
  if (names === null || names.uris.length > 1) {
    return null;
  }
  const [uri] = names.uris;
  return uri === undefined ? dnsIdentity(names.dnsNames[0]) : spiffeIdentity(uri);
}

function spiffeIdentity(uri: string): string | null {
  const isSpiffeId = uri.length <= maxSpiffeCharacters && spiffePattern.test(uri) && !/\/\.{1,2}(?:\/|$)/.test(uri);
  return isSpiffeId ? uri : null;
}

function dnsIdentity(name: string | undefined): string | null {
  const identity = name?.toLowerCase();
  // `local` is what plaintext callers are called: no certificate may claim their role.
  return identity !== undefined && identity !== "local" && dnsPattern.test(identity) ? identity : null;
}
