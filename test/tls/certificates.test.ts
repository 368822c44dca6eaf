import { generateKeyPairSync } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CertificatePaths, readCertificates } from "../../src/wire/tls/certificates.ts";
import { createAuthority } from "../support/certificates.ts";

describe("readCertificates", () => {
  const authority = createAuthority();
  let directory: string;
  let paths: CertificatePaths & { readonly clientCa: string };
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "certificates-"));
    paths = { certificate: join(directory, "cert"), key: join(directory, "key"), clientCa: join(directory, "ca") };
    write(authority.issue());
    writeFileSync(paths.clientCa, `# two roots\n${authority.certificatePem}\n${createAuthority().certificatePem}`);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  function write(pair: { certificatePem: string; keyPem: string }): void {
    writeFileSync(paths.certificate, pair.certificatePem);
    writeFileSync(paths.key, pair.keyPem, { mode: 0o600 });
  }

  it("reads a set that fits, several CAs included, and says when the certificate expires", () => {
    const validToMs = Date.now() + 5_000_000;
    write(authority.issueAuthority().issue({ validToMs }));
    const certificates = readCertificates(paths, Date.now());
    expect(certificates.clientCaPem).toHaveLength(2);
    expect(certificates.expiresAtMs).toBe(Math.floor(validToMs / 1_000) * 1_000);
    expect(certificates.warnings).toEqual([]);
  });

  it("takes text around the certificates, and other whole blocks", () => {
    const pair = authority.issue();
    writeFileSync(paths.certificate, `the-leaf -- CN=x\n=====\n${pair.certificatePem}${pair.keyPem}the end`);
    writeFileSync(paths.key, pair.keyPem, { mode: 0o600 });
    expect(readCertificates(paths, Date.now()).clientCaPem).toHaveLength(2);
  });

  it("warns of an expired certificate, and of one not valid yet", () => {
    write(authority.issue({ validFromMs: Date.now() - 20_000, validToMs: Date.now() - 10_000 }));
    expect(readCertificates(paths, Date.now()).warnings).toEqual([
      expect.stringMatching(/cert: a certificate expired at 2/),
    ]);
    write(authority.issue({ validFromMs: Date.now() + 10_000 }));
    expect(readCertificates(paths, Date.now()).warnings).toEqual([expect.stringMatching(/not valid before 2/)]);
  });

  it("refuses a fault, naming its file and never quoting it", () => {
    const encrypted = generateKeyPairSync("ec", {
      namedCurve: "P-256",
      privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" },
      publicKeyEncoding: { type: "spki", format: "pem" },
    }).privateKey;
    const faults: [keyof CertificatePaths, string, RegExp][] = [
      ["certificate", "hello", /cert: holds no PEM certificate$/],
      [
        "certificate",
        authority.certificatePem.slice(0, -1).replace("-----END", "----END"),
        /cert: holds a PEM block that is not whole$/,
      ],
      [
        "certificate",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        /cert: holds a certificate that cannot be parsed$/,
      ],
      ["key", "hello", /key: holds no PEM private key without a passphrase$/],
      ["key", encrypted, /key: holds no PEM private key without a passphrase$/],
      ["key", authority.issue().keyPem, /key: is not the private key of the certificate in /],
      ["clientCa", "", /ca: holds no PEM certificate$/],
      ["clientCa", authority.issue().certificatePem, /ca: holds a certificate that is not a CA's$/],
    ];
    const second = createAuthority().certificatePem;
    for (const length of [1, 10, 28, 100, second.length / 2, second.trimEnd().length - 1]) {
      const cut = `${authority.certificatePem}\n${second.slice(0, length)}`;
      faults.push(["clientCa", cut, /ca: holds a PEM block that is not whole$/]);
    }
    for (const [file, text, message] of faults) {
      const pair = authority.issue();
      write(pair);
      writeFileSync(paths.clientCa, authority.certificatePem);
      writeFileSync(paths[file], text);
      expect(() => readCertificates(paths, Date.now())).toThrow(message);
    }
    expect(() => readCertificates({ ...paths, key: join(directory, "none") }, Date.now())).toThrow(
      /none: the private key cannot be read \(ENOENT\)/,
    );
  });

  it.each([0o644, 0o640, 0o660, 0o604, 0o606])("refuses a key that others can read or change: mode %o", (mode) => {
    chmodSync(paths.key, mode);
    expect(() => readCertificates(paths, Date.now())).toThrow(
      `${paths.key}: the private key is open to others than its owner (mode ${mode.toString(8)}): run chmod 600 on it`,
    );
  });

  it.each([0o600, 0o400])("takes a key of mode %o, and one that a link leads to", (mode) => {
    chmodSync(paths.key, mode);
    const link = join(directory, "link");
    symlinkSync(paths.key, link);
    expect(readCertificates({ ...paths, key: link }, Date.now()).keyPem).toContain("PRIVATE KEY");
  });
});
