import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { readPrivateFile } from "../../machine/private-file.ts";
import { StartError } from "../../machine/start-error.ts";

/** Where the certificates of a listener lie: PEM files. */
export type CertificatePaths = {
  /** The server's certificate, then those that lead to its root. */
  readonly certificate: string;
  readonly key: string;
  /**
   * The roots, and intermediates where there are any, that issue client certificates; null where none are asked for.
   */
  readonly clientCa: string | null;
};

/** One consistent set: every file parses, and the key is the certificate's. Can be sent to another thread. */
export type Certificates = {
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly clientCaPem: readonly string[];
  /** When the server's certificate expires, in Unix milliseconds. */
  readonly expiresAtMs: number;
  /** What a person should know, such as a certificate that has expired. */
  readonly warnings: readonly string[];
};

/**
 * Reads and checks the files. Throws a StartError that names the file and what is wrong with it, never its contents.
 */
export function readCertificates(paths: CertificatePaths, nowMs: number): Certificates {
  const chain = readCertificateFile(paths.certificate);
  const key = readKeyFile(paths.key);
  const clientCas = paths.clientCa === null ? [] : readClientCas(paths.clientCa);
  const { leaf } = chain;
  if (!leaf.checkPrivateKey(key.object)) {
    throw new StartError(`${paths.key}: is not the private key of the certificate in ${paths.certificate}`);
  }
  const certificates: Certificates = {
    certificatePem: chain.pem,
    keyPem: key.pem,
    clientCaPem: clientCas.map((ca) => ca.toString()),
    expiresAtMs: leaf.validToDate.getTime(),
    warnings: [
      ...validityWarnings(paths.certificate, chain.certificates, nowMs),
      ...(paths.clientCa === null ? [] : validityWarnings(paths.clientCa, clientCas, nowMs)),
    ],
  };
  refuseWhatOpensslRefuses(certificates, paths);
  return certificates;
}

function readCertificateFile(path: string): { pem: string; leaf: X509Certificate; certificates: X509Certificate[] } {
  const pem = readText(path);
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  // What is left of a block that was cut off, as a file has it that is being written.
  if (/^-/m.test(pem.replaceAll(/-----BEGIN ([A-Z0-9 ]+)-----[^-]*-----END \1-----/g, ""))) {
    throw new StartError(`${path}: holds a PEM block that is not whole`);
  }
  const certificates = blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw new StartError(`${path}: holds a certificate that cannot be parsed`, { cause: error });
    }
  });
  const [leaf] = certificates;
  if (leaf === undefined) {
    throw new StartError(`${path}: holds no PEM certificate`);
  }
  return { pem, leaf, certificates };
}

function readClientCas(path: string): readonly X509Certificate[] {
  const { certificates } = readCertificateFile(path);
  for (const ca of certificates) {
    if (!ca.ca) {
      throw new StartError(`${path}: holds a certificate that is not a CA's`);
    }
  }
  return certificates;
}

function readKeyFile(path: string): { pem: string; object: KeyObject } {
  const pem = readPrivateFile(path, "the private key").toString("utf8");
  try {
    return { pem, object: createPrivateKey(pem) };
  } catch (error) {
    throw new StartError(`${path}: holds no PEM private key without a passphrase`, { cause: error });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unreadable";
    throw new StartError(`${path}: cannot be read (${code})`, { cause: error });
  }
}

function validityWarnings(path: string, certificates: readonly X509Certificate[], nowMs: number): string[] {
  return certificates.flatMap((certificate) => {
    if (nowMs > certificate.validToDate.getTime()) {
      return [`${path}: a certificate expired at ${certificate.validToDate.toISOString()}`];
    }
    if (nowMs < certificate.validFromDate.getTime()) {
      return [`${path}: a certificate is not valid before ${certificate.validFromDate.toISOString()}`];
    }
    return [];
  });
}

// Parsing is not all: OpenSSL may still find a key too short or a digest too weak.
function refuseWhatOpensslRefuses(certificates: Certificates, paths: CertificatePaths): void {
  try {
    createSecureContext({
      cert: certificates.certificatePem,
      key: certificates.keyPem,
      ca: [...certificates.clientCaPem],
    });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
    throw new StartError(`${paths.certificate}: OpenSSL refuses this certificate, key and client CA (${code})`, {
      cause: error,
    });
  }
}
