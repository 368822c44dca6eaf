import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

/** A certificate and its private key, as PEM files. */
export type Certificate = { readonly cert: string; readonly key: string };

/** A CA that signs certificates for one run of a suite, with the openssl command. */
export type CertificateAuthority = {
  /** The authority's own certificate, a PEM file. */
  readonly cert: string;
  /** `names` as in a SAN extension: `DNS:localhost,IP:127.0.0.1`. */
  issue(name: string, names: string): Certificate;
};

export function createCertificateAuthority(directory: string): CertificateAuthority {
  const authority = filesOf(directory, "ca");
  openssl("req", "-x509", ...newKey(authority), "-days", "1", "-subj", "/CN=suite authority", "-out", authority.cert);
  return {
    cert: authority.cert,
    issue(name, names) {
      const files = filesOf(directory, name);
      const request = join(directory, `${name}.csr`);
      const extensions = join(directory, `${name}.ext`);
      writeFileSync(extensions, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`);
      openssl("req", ...newKey(files), "-subj", `/CN=${name}`, "-out", request);
      const signer = ["-CA", authority.cert, "-CAkey", authority.key, "-CAcreateserial"];
      openssl("x509", "-req", "-in", request, ...signer, "-days", "1", "-extfile", extensions, "-out", files.cert);
      return files;
    },
  };
}

function filesOf(directory: string, name: string): Certificate {
  return { cert: join(directory, `${name}.pem`), key: join(directory, `${name}.key`) };
}

function newKey({ key }: Certificate): readonly string[] {
  return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key];
}

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { stdio: ["ignore", "ignore", "pipe"] });
}
