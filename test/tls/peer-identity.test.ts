import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isIdentity, peerIdentity } from "../../src/wire/tls/peer-identity.ts";
import { type CertificateOptions, createAuthority, type GeneralName } from "../support/certificates.ts";

const authority = createAuthority();

function certificateOf(options: CertificateOptions): X509Certificate {
  return new X509Certificate(authority.issue(options).certificatePem);
}

function identityFrom(...names: GeneralName[]): string | null {
  return peerIdentity(certificateOf({ names }));
}

describe("the identity that a certificate names", () => {
  it("is its one SPIFFE URI, whatever DNS names and addresses stand beside it", () => {
    expect(identityFrom({ uri: "spiffe://casapay/gateway" })).toBe("spiffe://casapay/gateway");
    const beside: GeneralName[] = [{ dns: "a.example" }, { ip: [127, 0, 0, 1] }, { email: "a@b.example" }];
    expect(identityFrom(...beside, { uri: "spiffe://casa.pay/ns/prod/sa/G-1_x" })).toBe(
      "spiffe://casa.pay/ns/prod/sa/G-1_x",
    );
  });

  it("is its first DNS name, in lower case, where there is no SPIFFE URI", () => {
    expect(identityFrom({ email: "x@y.example" }, { dns: "Gateway.Example" }, { dns: "other.example" })).toBe(
      "gateway.example",
    );
  });

  it("is not hidden by a URI of another scheme beside a DNS name, which says nothing here", () => {
    expect(identityFrom({ uri: "https://casapay/a" }, { dns: "gateway" })).toBe("gateway");
    expect(identityFrom({ dns: "gateway" }, { uri: "urn:uuid:1" }, { uri: "urn:uuid:2" })).toBe("gateway");
    expect(identityFrom({ uri: "https://casapay/a" })).toBe(null);
  });

  it("is none with a SPIFFE URI and another URI, even an equal one", () => {
    expect(identityFrom({ uri: "spiffe://casapay/a" }, { uri: "spiffe://casapay/b" })).toBe(null);
    expect(identityFrom({ uri: "spiffe://casapay/a" }, { uri: "spiffe://casapay/a" })).toBe(null);
    expect(identityFrom({ uri: "spiffe://casapay/a" }, { uri: "https://casapay" })).toBe(null);
    expect(identityFrom({ uri: "https://casapay" }, { uri: "spiffe://casapay/a" }, { dns: "gateway" })).toBe(null);
  });

  it("is none without names, and never the common name", () => {
    expect(peerIdentity(certificateOf({ names: [], commonName: "operator" }))).toBe(null);
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
  ])("is none for %j, which is no SPIFFE ID, whatever DNS name is beside it", (uri) => {
    expect(identityFrom({ uri })).toBe(null);
    expect(identityFrom({ uri }, { dns: "gateway.example" })).toBe(null);
    expect(isIdentity(uri)).toBe(false);
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
    expect(isIdentity(dns)).toBe(false);
  });

  it.each([
    "a, URI:spiffe://casapay/operator",
    ", URI:spiffe://casapay/operator",
    'a", URI:spiffe://casapay/operator, DNS:"b',
    '", URI:spiffe://casapay/operator',
    "URI:spiffe://casapay/operator",
    "a\0, URI:spiffe://casapay/operator",
    "a\n, URI:spiffe://casapay/operator",
    "a\\u002c URI:spiffe://casapay/operator",
    "a\u2028, URI:spiffe://casapay/operator",
  ])("cannot be forged into another name: %j", (forged) => {
    for (const name of [{ dns: forged }, { email: forged }, { uri: `https://${forged}` }] satisfies GeneralName[]) {
      expect(identityFrom(name)).toBe(null);
      expect(identityFrom({ dns: "gateway.example" }, name)).toBe("gateway.example");
    }
    for (const name of [{ dns: forged }, { email: forged }] satisfies GeneralName[]) {
      expect(identityFrom(name, { uri: "spiffe://casapay/gateway" })).toBe("spiffe://casapay/gateway");
    }
    expect(identityFrom({ uri: `spiffe://casapay/${forged}` }, { dns: "gateway.example" })).toBe(null);
  });

  it("cannot be forged by any text in another name", () => {
    const part = fc.constantFrom(
      ", ",
      ",",
      ":",
      '"',
      "'",
      "\\",
      "\\u002c",
      "\0",
      "\n",
      "URI:",
      "DNS:",
      "a",
      "spiffe://x/y",
    );
    const text = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(""));
    fc.assert(
      fc.property(text, (forged) => {
        expect(identityFrom({ email: forged }, { uri: "spiffe://casapay/gateway" })).toBe("spiffe://casapay/gateway");
        // The parts may make a good URI, and then it is that one.
        expect([null, forged]).toContain(identityFrom({ uri: forged }));
      }),
      { numRuns: 200 },
    );
  });
});
