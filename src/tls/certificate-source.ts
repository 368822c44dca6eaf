import { constants } from "node:crypto";
import type { TLSSocket, TlsOptions } from "node:tls";
import type { Clock } from "../authority/clock.ts";
import { StartError } from "../authority/errors.ts";
import type { Log } from "../authority/log.ts";
import { type CertificatePaths, type Certificates, readCertificates } from "./certificates.ts";
import { type TlsPeer, type Trust, tlsPeerOf } from "./tls-peer.ts";

/** Certificates that can be read again while connections live. */
export type CertificateSource = {
  options(): TlsOptions;
  /** The peer at the other end of a socket whose handshake is done. It is judged by the CAs that hold when it is asked. */
  peerOf(socket: TLSSocket): TlsPeer;
  onReload(callback: () => void): () => void;
  /** Reads all files again. A fault in any of them keeps the whole old set; returns it, or null when the new set holds. */
  reload(): Error | null;
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

/** Reads the files, or throws a StartError that says which is wrong and how. */
export function openCertificates(paths: CertificatePaths, { log, now }: { log: Log; now: Clock }): CertificateSource {
  let current = readToStart(paths, log, now());
  let trust: Trust = { cas: current.clientCas, generation: 0 };
  const callbacks = new Set<() => void>();
  return {
    options: () => tlsOptions(current),
    peerOf: (socket) => tlsPeerOf(socket, () => trust, now),
    onReload(callback) {
      callbacks.add(callback);
      return () => callbacks.delete(callback);
    },
    reload() {
      try {
        current = readAndWarn(paths, log, now());
      } catch (error) {
        const fault = error instanceof Error ? error : new Error("the certificates cannot be read");
        log.error({ fault: fault.message }, "the certificates were not reloaded: the old ones stay");
        return fault;
      }
      trust = { cas: current.clientCas, generation: trust.generation + 1 };
      for (const callback of callbacks) {
        callback();
      }
      log.info({ expiresAt: new Date(current.expiresAtMs).toISOString() }, "the certificates were reloaded");
      return null;
    },
    expiresAtMs: () => current.expiresAtMs,
  };
}

function readToStart(paths: CertificatePaths, log: Log, nowMs: number): Certificates {
  try {
    return readAndWarn(paths, log, nowMs);
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function readAndWarn(paths: CertificatePaths, log: Log, nowMs: number): Certificates {
  const certificates = readCertificates(paths, nowMs);
  for (const warning of certificates.warnings) {
    log.warn({ warning }, "a certificate is not valid now");
  }
  return certificates;
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
    // A public face asks nobody for one.
    requestCert: certificates.clientCas.length > 0,
    // A peer without a good certificate connects and is told UNAUTHENTICATED, which says more than an alert.
    rejectUnauthorized: false,
    // A resumed session carries the verdict of the handshake that made it, past a change of CAs. Without
    // tickets, and without listeners for newSession and resumeSession, every handshake verifies anew.
    // Renegotiation would change a peer in the middle of a connection (RFC 9113, 9.2.1).
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}
