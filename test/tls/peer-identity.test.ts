import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { readDer } from "../../src/tls/der.ts";
import { peerIdentity } from "../../src/tls/peer-identity.ts";
import { subjectAlternativeNames } from "../../src/tls/subject-alternative-names.ts";
import { type CertificateOptions, createAuthority, type GeneralName } from "../support/certificates.ts";

const authority = createAuthority();

function derOf(options: CertificateOptions): Buffer {
  return new X509Certificate(authority.issue(options).certificatePem).raw;
}

function identityFrom(...names: GeneralName[]): string | null {
  return peerIdentity(derOf({ names }));
}

describe("the identity that a certificate names", () => {
  it("is its one SPIFFE URI, whatever DNS names and addresses stand beside it", () => {
    expect(identityFrom({ uri: "spiffe://casapay/gateway" })).toBe("spiffe://casapay/gateway");
    const beside: GeneralName[] = [{ dns: "a.example" }, { ip: [127, 0, 0, 1] }, { email: "a@b.example" }];
    expect(identityFrom(...beside, { uri: "spiffe://casa.pay/ns/prod/sa/G-1_x" })).toBe(
      "spiffe://casa.pay/ns/prod/sa/G-1_x",
    );
  });

  it("is its first DNS name, in lower case, where there is no URI", () => {
    expect(identityFrom({ email: "x@y.example" }, { dns: "Gateway.Example" }, { dns: "other.example" })).toBe(
      "gateway.example",
    );
  });

  it("is none with two URIs, even equal ones, or with a URI of another scheme", () => {
    expect(identityFrom({ uri: "spiffe://casapay/a" }, { uri: "spiffe://casapay/b" })).toBe(null);
    expect(identityFrom({ uri: "spiffe://casapay/a" }, { uri: "spiffe://casapay/a" })).toBe(null);
    expect(identityFrom({ uri: "spiffe://casapay/a" }, { uri: "https://casapay" })).toBe(null);
    expect(identityFrom({ uri: "https://casapay/a" }, { dns: "gateway" })).toBe(null);
  });

  it("is none without names, with the extension twice, and never the common name", () => {
    expect(peerIdentity(derOf({ names: [], commonName: "operator" }))).toBe(null);
    expect(peerIdentity(derOf({ names: [{ dns: "gateway" }], repeatsNames: true }))).toBe(null);
    expect(identityFrom({ ip: [10, 0, 0, 1] })).toBe(null);
  });

  it.each([
    "spiffe://casapay",
    "spiffe://casapay/",
    "spiffe:///a",
    "spiffe://casapay/a/",
    "spiffe://casapay//a",
    "spiffe://casapay/a/../b",
    "spiffe://casapay/.",
    "spiffe://CasaPay/a",
    "SPIFFE://casapay/a",
    "spiffe://casapay:1/a",
    "spiffe://u@casapay/a",
    "spiffe://casapay/a?b",
    "spiffe://casapay/a#b",
    "spiffe://casapay/%61",
    "spiffe://casapay/a b",
    "spiffe://casapay/a\0b",
    "spiffe://casapay/a\n",
    `spiffe://casapay/${"a".repeat(2_048)}`,
  ])("is none for %j, which is no SPIFFE ID", (uri) => {
    expect(identityFrom({ uri })).toBe(null);
  });

  it.each([
    "local",
    "LOCAL",
    "*.example",
    "",
    "a..b",
    "a b",
    "gateway\0.evil.example",
    "a,b",
    ".a",
    "a.",
    "é",
    "a".repeat(64),
  ])("is none for the DNS name %j", (dns) => {
    expect(identityFrom({ dns })).toBe(null);
  });

  it.each([
    "a, URI:spiffe://casapay/operator",
    'a", URI:spiffe://casapay/operator, DNS:"b',
    "URI:spiffe://casapay/operator",
    "a\0, URI:spiffe://casapay/operator",
    "a\u002c URI:spiffe://casapay/operator",
  ])("cannot be put into a DNS name: %j", (dns) => {
    expect(identityFrom({ dns })).toBe(null);
    expect(identityFrom({ dns: "gateway.example" }, { dns })).toBe("gateway.example");
    expect(identityFrom({ dns }, { uri: "spiffe://casapay/gateway" })).toBe("spiffe://casapay/gateway");
  });
});

describe("subjectAlternativeNames", () => {
  it("reads what OpenSSL reads", () => {
    const der = derOf({ names: [{ dns: "a.example" }, { uri: "spiffe://x/y" }, { dns: "b.example" }] });
    expect(new X509Certificate(der).subjectAltName).toBe("DNS:a.example, URI:spiffe://x/y, DNS:b.example");
    expect(subjectAlternativeNames(der)).toEqual({ dnsNames: ["a.example", "b.example"], uris: ["spiffe://x/y"] });
  });

  it("never throws, whatever byte of a certificate is changed or cut", () => {
    const der = derOf({ names: [{ uri: "spiffe://casapay/gateway" }] });
    for (let place = 0; place < der.byteLength; place += 1) {
      for (const value of [0x00, 0x30, 0x7f, 0x80, 0x84, 0x86, 0xff]) {
        const changed = Buffer.from(der);
        changed[place] = value;
        subjectAlternativeNames(changed);
      }
      expect(subjectAlternativeNames(der.subarray(0, place))).toBe(null);
    }
  });
});

describe("readDer", () => {
  it("reads short and long lengths, and refuses what is not DER or not whole", () => {
    expect(readDer(Buffer.from("04020102" + "0500", "hex"))?.map(({ tag }) => tag)).toEqual([4, 5]);
    expect(readDer(Buffer.concat([Buffer.from("0482012c", "hex"), Buffer.alloc(300)]))?.[0]?.value.byteLength).toBe(
      300,
    );
    for (const hex of ["04", "0401", "0480", "048501010101", "1f0100", "04ffffff", "0484ffffffff00"]) {
      expect(readDer(Buffer.from(hex, "hex"))).toBe(null);
    }
    expect(readDer(new Uint8Array(0))).toEqual([]);
  });
});
