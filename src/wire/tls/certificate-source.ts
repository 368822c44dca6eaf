import { constants, X509Certificate } from "node:crypto";
import type { TlsOptions } from "node:tls";
import type { TlsSource } from "../port/tls-source.ts";
import type { Certificates } from "./certificates.ts";
import { type Trust, tlsPeerOf } from "./tls-peer.ts";

/** Certificates that can be replaced while connections live. */
export type CertificateSource = TlsSource & {
  replace(certificates: Certificates): void;
  /** When the server's certificate expires, in Unix milliseconds. */
  expiresAtMs(): number;
};

// Forward secrecy and AEAD only, as HTTP/2 asks of TLS 1.2 (RFC 9113, 9.2.2).
const ciphers = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

export function createCertificateSource(first: Certificates, now: () => number): CertificateSource {
  let current = first;
  let trust: Trust = { cas: casOf(first), generation: 0 };
  const callbacks = new Set<() => void>();
  return {
    options: () => tlsOptions(current),
    peerOf: (socket) => tlsPeerOf(socket, () => trust, now),
    onReplaced(callback) {
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    replace(certificates) {
      current = certificates;
      trust = { cas: casOf(certificates), generation: trust.generation + 1 };
      for (const callback of callbacks) {
        callback();
      }
    },
    expiresAtMs: () => current.expiresAtMs,
  };
}

function casOf({ clientCaPem }: Certificates): X509Certificate[] {
  return clientCaPem.map((pem) => new X509Certificate(pem));
}

function tlsOptions(certificates: Certificates): TlsOptions {
  return {
    cert: certificates.certificatePem,
    key: certificates.keyPem,
    ca: [...certificates.clientCaPem],
    minVersion: "TLSv1.2",
    ciphers,
    honorCipherOrder: true,
    ALPNProtocols: ["h2", "http/1.1"],
    // A public port asks for none.
    requestCert: certificates.clientCaPem.length > 0,
    // A peer without a good certificate connects and is told UNAUTHENTICATED, which says more than an alert.
    rejectUnauthorized: false,
    // A resumed session carries the verdict of the handshake that made it, past a change of CAs. Without
    // tickets, and without listeners for newSession and resumeSession, every handshake verifies anew.
    // Renegotiation would change a peer in the middle of a connection (RFC 9113, 9.2.1).
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}
