import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  X509Certificate,
} from "node:crypto";

/** A certificate made for a test, with its key. */
export type TestCertificate = {
  /** PEM; followed by the issuers below the root where it has such. */
  readonly certificatePem: string;
  readonly keyPem: string;
};

/** A CA made for a test: what it issues is trusted where its certificate is. */
export type TestAuthority = TestCertificate & {
  issue(options?: CertificateOptions): TestCertificate;
  /** Makes a CA below this one. */
  issueAuthority(options?: CertificateOptions): TestAuthority;
};

/** Lets a certificate that is no CA's issue others, which nobody may trust. */
export function forgeAuthority(leaf: TestCertificate): TestAuthority {
  const name = readSubject(new X509Certificate(leaf.certificatePem).raw);
  return authority(name, createPrivateKey(leaf.keyPem), leaf.certificatePem, leaf.certificatePem);
}

/** What a certificate says. By default a server's for localhost, valid from an hour ago for a day. */
export type CertificateOptions = {
  readonly commonName?: string;
  readonly names?: readonly GeneralName[];
  readonly validFromMs?: number;
  readonly validToMs?: number;
  /** Object identifiers of extended key usages; by default both of TLS. */
  readonly usages?: readonly string[];
  /** Whether subjectAltName stands twice, against RFC 5280. */
  readonly repeatsNames?: boolean;
};

/** One subjectAltName. */
export type GeneralName =
  | { readonly dns: string }
  | { readonly uri: string }
  | { readonly ip: readonly [number, number, number, number] }
  | { readonly email: string };

type Issuer = { readonly name: Buffer; readonly key: KeyObject; readonly chainPem: string };

const hourMs = 3_600_000;
const tlsUsages = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];
const ecdsaWithSha256 = sequence(objectIdentifier("1.2.840.10045.4.3.2"));

/** Makes a self-signed CA. */
export function createAuthority(commonName = "test root"): TestAuthority {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = distinguishedName(commonName);
  const der = certificate({
    publicKey,
    subject: name,
    issuer: { name, key: privateKey },
    isAuthority: true,
    options: {},
  });
  return authority(name, privateKey, pem("CERTIFICATE", der), "");
}

/** Makes a CA with another's name and a key of its own. */
export function impersonateAuthority(other: TestAuthority): TestAuthority {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = readSubject(new X509Certificate(other.certificatePem).raw);
  return authority(name, privateKey, "", "");
}

/** Makes another certificate for a CA: its name and its key, valid at other times. */
export function renewAuthority(other: TestAuthority, options: CertificateOptions): TestCertificate {
  const key = createPrivateKey(other.keyPem);
  const name = readSubject(new X509Certificate(other.certificatePem).raw);
  const der = certificate({
    publicKey: createPublicKey(key),
    subject: name,
    issuer: { name, key },
    isAuthority: true,
    options,
  });
  return { certificatePem: pem("CERTIFICATE", der), keyPem: other.keyPem };
}

/** Makes a certificate that its own key signed. */
export function createSelfSigned(options: CertificateOptions = {}): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = distinguishedName(options.commonName ?? "self-signed");
  const der = certificate({
    publicKey,
    subject,
    issuer: { name: subject, key: privateKey },
    isAuthority: false,
    options,
  });
  return { certificatePem: pem("CERTIFICATE", der), keyPem: keyPem(privateKey) };
}

function authority(name: Buffer, key: KeyObject, ownPem: string, chainPem: string): TestAuthority {
  const issuer: Issuer = { name, key, chainPem };
  return {
    certificatePem: ownPem,
    keyPem: keyPem(key),
    issue: (options = {}) => issueCertificate(issuer, options),
    issueAuthority(options = {}) {
      const pair = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const subject = distinguishedName(options.commonName ?? "test intermediate");
      const der = certificate({ publicKey: pair.publicKey, subject, issuer, isAuthority: true, options });
      const ownPem = pem("CERTIFICATE", der);
      return authority(subject, pair.privateKey, ownPem, ownPem + chainPem);
    },
  };
}

function issueCertificate(issuer: Issuer, options: CertificateOptions): TestCertificate {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const subject = distinguishedName(options.commonName ?? "test");
  const der = certificate({ publicKey, subject, issuer, isAuthority: false, options });
  return { certificatePem: pem("CERTIFICATE", der) + issuer.chainPem, keyPem: keyPem(privateKey) };
}

function certificate(parts: {
  readonly publicKey: KeyObject;
  readonly subject: Buffer;
  readonly issuer: { readonly name: Buffer; readonly key: KeyObject };
  readonly isAuthority: boolean;
  readonly options: CertificateOptions;
}): Buffer {
  const { options, isAuthority } = parts;
  const nowMs = Date.now();
  const tbs = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([0x40]), randomBytes(8)])),
    ecdsaWithSha256,
    parts.issuer.name,
    sequence(time(options.validFromMs ?? nowMs - hourMs), time(options.validToMs ?? nowMs + 24 * hourMs)),
    parts.subject,
    parts.publicKey.export({ type: "spki", format: "der" }),
    tagged(0xa3, sequence(...extensions(isAuthority, options))),
  );
  const signature = sign("sha256", tbs, parts.issuer.key);
  return sequence(tbs, ecdsaWithSha256, bitString(signature));
}

function extensions(isAuthority: boolean, options: CertificateOptions): Buffer[] {
  const list = [extension("2.5.29.19", sequence(...(isAuthority ? [tagged(0x01, Buffer.from([0xff]))] : [])), true)];
  if (isAuthority) {
    list.push(extension("2.5.29.15", bitString(Buffer.from([0x06]), 1), true));
    return list;
  }
  list.push(extension("2.5.29.37", sequence(...(options.usages ?? tlsUsages).map(objectIdentifier)), false));
  const names = options.names ?? [{ dns: "localhost" }, { ip: [127, 0, 0, 1] }];
  if (names.length > 0) {
    const value = extension("2.5.29.17", sequence(...names.map(generalName)), false);
    list.push(value, ...(options.repeatsNames === true ? [value] : []));
  }
  return list;
}

function generalName(name: GeneralName): Buffer {
  if ("dns" in name) {
    return tagged(0x82, Buffer.from(name.dns, "latin1"));
  }
  if ("uri" in name) {
    return tagged(0x86, Buffer.from(name.uri, "latin1"));
  }
  return "email" in name ? tagged(0x81, Buffer.from(name.email, "latin1")) : tagged(0x87, Buffer.from(name.ip));
}

function extension(id: string, value: Buffer, isCritical: boolean): Buffer {
  const critical = isCritical ? [tagged(0x01, Buffer.from([0xff]))] : [];
  return sequence(objectIdentifier(id), ...critical, tagged(0x04, value));
}

function distinguishedName(commonName: string): Buffer {
  // Unique, so that two CAs with one name are not taken for each other by name alone.
  const serial = createHash("sha256").update(randomBytes(16)).digest("hex").slice(0, 8);
  const attribute = sequence(objectIdentifier("2.5.4.3"), tagged(0x0c, Buffer.from(`${commonName} ${serial}`)));
  return sequence(tagged(0x31, attribute));
}

function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, "");
  return tagged(0x18, Buffer.from(digits));
}

function objectIdentifier(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split(".").map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      groups.unshift((left & 0x7f) | 0x80);
    }
    bytes.push(...groups);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function integer(value: Buffer): Buffer {
  return tagged(0x02, value);
}

function bitString(value: Buffer, unusedBits = 0): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([unusedBits]), value]));
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function tagged(tag: number, value: Buffer): Buffer {
  const { length } = value;
  const header =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), value]);
}

// The subject is the sixth element of TBSCertificate (RFC 5280, 4.1).
function readSubject(der: Buffer): Buffer {
  const [tbs = Buffer.alloc(0)] = children(der);
  return children(tbs)[5] ?? Buffer.alloc(0);
}

function children(element: Buffer): Buffer[] {
  const list: Buffer[] = [];
  let offset = contentStart(element, 0);
  while (offset < element.byteLength) {
    const start = contentStart(element, offset);
    const end = start + contentLength(element, offset);
    list.push(element.subarray(offset, end));
    offset = end;
  }
  return list;
}

function contentStart(bytes: Buffer, offset: number): number {
  const first = bytes[offset + 1] ?? 0;
  return offset + 2 + (first < 0x80 ? 0 : first - 0x80);
}

function contentLength(bytes: Buffer, offset: number): number {
  const first = bytes[offset + 1] ?? 0;
  return first < 0x80 ? first : bytes.readUIntBE(offset + 2, first - 0x80);
}

function keyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
