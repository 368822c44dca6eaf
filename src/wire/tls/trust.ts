import type { X509Certificate } from "node:crypto";

// Longer chains than any real one; a bound on signatures checked for one connection.
const maxChainLength = 8;

/** From the first up to and including the last of these times, in Unix milliseconds. */
export type Period = { readonly fromMs: number; readonly untilMs: number };

/**
 * When a chain is good that leads from a certificate to a root among some CAs, each issued by the next: while all of
 * them are valid. Null where there is no such chain. Intermediates may be the peer's own. Of two certificates of one
 * CA, the one that is valid now counts. It repeats what the handshake decided, against CAs of a later time.
 */
export function trustedPeriod(
  certificate: X509Certificate,
  cas: readonly X509Certificate[],
  nowMs: number,
): Period | null {
  let current = certificate;
  let period = validityOf(certificate);
  for (let length = 0; length < maxChainLength; length += 1) {
    const issuer = knownIssuer(current, cas, nowMs) ?? sentIssuer(current);
    if (issuer === null) {
      return null;
    }
    period = intersection(period, validityOf(issuer));
    if (cas.includes(issuer) && isIssuer(issuer, issuer)) {
      return period;
    }
    current = issuer;
  }
  return null;
}

export function isWithin({ fromMs, untilMs }: Period, nowMs: number): boolean {
  return nowMs >= fromMs && nowMs <= untilMs;
}

function knownIssuer(
  certificate: X509Certificate,
  cas: readonly X509Certificate[],
  nowMs: number,
): X509Certificate | null {
  const issuers = cas.filter((ca) => isIssuer(ca, certificate));
  return issuers.find((issuer) => isWithin(validityOf(issuer), nowMs)) ?? issuers[0] ?? null;
}

function sentIssuer(certificate: X509Certificate): X509Certificate | null {
  const issuer = certificate.issuerCertificate;
  return issuer !== undefined && isIssuer(issuer, certificate) ? issuer : null;
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function validityOf({ validFromDate, validToDate }: X509Certificate): Period {
  return { fromMs: validFromDate.getTime(), untilMs: validToDate.getTime() };
}

function intersection(one: Period, other: Period): Period {
  return { fromMs: Math.max(one.fromMs, other.fromMs), untilMs: Math.min(one.untilMs, other.untilMs) };
}
