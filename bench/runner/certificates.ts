import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, type TestCertificate } from "../../test/support/certificates.ts";

/** PEM files, and the callers file that goes with them. */
export type Certificates = {
  readonly ca: string;
  readonly server: { readonly cert: string; readonly key: string };
  readonly gateway: { readonly cert: string; readonly key: string };
  readonly callers: string;
};

const gateway = "spiffe://casapay.test/gateway";

/** Makes what TLS needs on both sides, for this run alone. */
export function writeCertificates(directory: string): Certificates {
  const authority = createAuthority();
  function write(name: string, text: string): string {
    const path = join(directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }
  function writePair(name: string, { certificatePem, keyPem }: TestCertificate) {
    return { cert: write(`${name}.pem`, certificatePem), key: write(`${name}.key`, keyPem) };
  }
  return {
    ca: write("ca.pem", authority.certificatePem),
    server: writePair("server", authority.issue()),
    gateway: writePair("gateway", authority.issue({ names: [{ uri: gateway }] })),
    callers: write("callers.json", JSON.stringify({ [gateway]: "gateway" })),
  };
}
