import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isIssuedBy } from "../../src/tls/trust.ts";
import { createAuthority, createSelfSigned, forgeAuthority, impersonateAuthority } from "../support/certificates.ts";

const hourMs = 3_600_000;
const read = ({ certificatePem }: { certificatePem: string }) => new X509Certificate(certificatePem);

describe("isIssuedBy", () => {
  const root = createAuthority();
  const intermediate = root.issueAuthority();
  const cas = [root, intermediate].map(read);

  it("follows a chain to a root, through intermediates among the CAs", () => {
    expect(isIssuedBy(read(root.issue()), cas, Date.now())).toBe(true);
    expect(isIssuedBy(read(intermediate.issue()), cas, Date.now())).toBe(true);
    expect(isIssuedBy(read(intermediate.issueAuthority().issue()), cas, Date.now())).toBe(false);
  });

  it("wants a root at the end: an intermediate alone is none", () => {
    expect(isIssuedBy(read(intermediate.issue()), [read(intermediate)], Date.now())).toBe(false);
    expect(isIssuedBy(read(root.issue()), [], Date.now())).toBe(false);
  });

  it("checks signatures, not names", () => {
    expect(isIssuedBy(read(impersonateAuthority(root).issue()), cas, Date.now())).toBe(false);
    expect(isIssuedBy(read(createSelfSigned()), cas, Date.now())).toBe(false);
  });

  it("lets no certificate issue that is not a CA's", () => {
    const leaf = root.issue();
    expect(isIssuedBy(read(forgeAuthority(leaf).issue()), [...cas, read(leaf)], Date.now())).toBe(false);
  });

  it("wants the certificate and all above it to be valid at the time", () => {
    const leaf = read(root.issue({ validToMs: Date.now() + hourMs }));
    expect(isIssuedBy(leaf, cas, Date.now() + hourMs / 2)).toBe(true);
    expect(isIssuedBy(leaf, cas, Date.now() + 2 * hourMs)).toBe(false);
    expect(isIssuedBy(leaf, cas, Date.now() - 2 * hourMs)).toBe(false);
    const short = root.issueAuthority({ validToMs: Date.now() + hourMs });
    const long = read(short.issue({ validToMs: Date.now() + 20 * hourMs }));
    expect(isIssuedBy(long, [...cas, read(short)], Date.now())).toBe(true);
    expect(isIssuedBy(long, [...cas, read(short)], Date.now() + 2 * hourMs)).toBe(false);
  });
});
