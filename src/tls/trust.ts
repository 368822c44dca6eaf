import type { X509Certificate } from "node:crypto";

// Longer chains than any real one; a bound on signatures checked for one connection.
const maxChainLength = 8;

/**
 * Whether a chain leads from a certificate to a root among some CAs, each issued by the next and all of them
 * valid now. Intermediates may be the peer's own. It repeats what the handshake decided, against CAs of a later time.
 */
export function isIssuedBy(certificate: X509Certificate, cas: readonly X509Certificate[], nowMs: number): boolean {
  let current = certificate;
  for (let length = 0; length < maxChainLength; length += 1) {
    if (!isValidAt(current, nowMs)) {
      return false;
    }
    const issuer = cas.find((ca) => isIssuer(ca, current));
    if (issuer !== undefined && isIssuer(issuer, issuer)) {
      return isValidAt(issuer, nowMs);
    }
    const next = issuer ?? sentIssuer(current);
    if (next === null) {
      return false;
    }
    current = next;
  }
  return false;
}

function sentIssuer(certificate: X509Certificate): X509Certificate | null {
  const issuer = certificate.issuerCertificate;
  return issuer !== undefined && isIssuer(issuer, certificate) ? issuer : null;
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function isValidAt(certificate: X509Certificate, nowMs: number): boolean {
  return nowMs >= certificate.validFromDate.getTime() && nowMs <= certificate.validToDate.getTime();
}
