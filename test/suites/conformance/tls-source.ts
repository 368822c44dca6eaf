import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TlsSource } from "../../../src/wire/port/tls-source.ts";
import { createCertificateSource } from "../../../src/wire/tls/certificate-source.ts";
import { readCertificates } from "../../../src/wire/tls/certificates.ts";
import { createAuthority } from "../../support/certificates.ts";

export type Credentials = {
  readonly certificatePem: Uint8Array;
  readonly keyPem: Uint8Array;
  /** The one certificate that clients bring; empty when they bring none. */
  readonly clientCertificatePem: Uint8Array;
};

/**
 * The product's way to speak TLS, with the runner's certificates. That of its clients is self-signed, no CA's and
 * without any name, which the product would not take: so who is trusted, and what they are called, is decided here.
 */
export function createTlsSource(credentials: Credentials): TlsSource {
  const { certificatePem, keyPem, clientCertificatePem } = credentials;
  const source = openInProduct(certificatePem, keyPem);
  if (clientCertificatePem.byteLength === 0) {
    return source;
  }
  const client = new X509Certificate(clientCertificatePem);
  return {
    options: () => ({ ...source.options(), ca: client.toString() }),
    peerOf(socket) {
      const isClient = socket.authorized && socket.getPeerX509Certificate()?.raw.equals(client.raw) === true;
      return {
        transport: "tls",
        identity: isClient ? "conformance-client" : null,
        fault: isClient ? null : "CERTIFICATE_MISSING",
        certificate: null,
        claimedIdentity: null,
        opensslObjection: null,
        isOutdated: false,
      };
    },
    onReplaced: (callback) => source.onReplaced(callback),
  };
}

/** The product reads files. */
function openInProduct(certificatePem: Uint8Array, keyPem: Uint8Array): TlsSource {
  const directory = mkdtempSync(join(tmpdir(), "token-authority-conformance-"));
  try {
    const write = (name: string, content: Uint8Array | string) => {
      const path = join(directory, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    };
    const paths = {
      certificate: write("server.pem", certificatePem),
      key: write("server.key", keyPem),
      clientCa: write("client-ca.pem", createAuthority().certificatePem),
    };
    return createCertificateSource(readCertificates(paths, Date.now()), Date.now);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
