import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { isWithin, trustedPeriod } from "../../src/wire/tls/trust.ts";
import {
  createAuthority,
  createSelfSigned,
  forgeAuthority,
  impersonateAuthority,
  renewAuthority,
} from "../support/certificates.ts";

const hourMs = 3_600_000;
const read = ({ certificatePem }: { certificatePem: string }) => new X509Certificate(certificatePem);

/** Whether the certificate is good at this time. */
function isGood(certificate: X509Certificate, cas: readonly X509Certificate[], nowMs: number): boolean {
  const period = trustedPeriod(certificate, cas, nowMs);
  return period !== null && isWithin(period, nowMs);
}

describe("a chain that is trusted", () => {
  const root = createAuthority();
  const intermediate = root.issueAuthority();
  const cas = [root, intermediate].map(read);

  it("follows a chain to a root, through intermediates among the CAs", () => {
    expect(isGood(read(root.issue()), cas, Date.now())).toBe(true);
    expect(isGood(read(intermediate.issue()), cas, Date.now())).toBe(true);
    expect(isGood(read(intermediate.issueAuthority().issue()), cas, Date.now())).toBe(false);
  });

  it("wants a root at the end: an intermediate alone is none", () => {
    expect(isGood(read(intermediate.issue()), [read(intermediate)], Date.now())).toBe(false);
    expect(isGood(read(root.issue()), [], Date.now())).toBe(false);
  });

  it("checks signatures, not names", () => {
    expect(isGood(read(impersonateAuthority(root).issue()), cas, Date.now())).toBe(false);
    expect(isGood(read(createSelfSigned()), cas, Date.now())).toBe(false);
  });

  it("lets no certificate issue that is not a CA's", () => {
    const leaf = root.issue();
    expect(isGood(read(forgeAuthority(leaf).issue()), [...cas, read(leaf)], Date.now())).toBe(false);
  });

  it("wants the certificate and all above it to be valid at the time", () => {
    const leaf = read(root.issue({ validToMs: Date.now() + hourMs }));
    expect(isGood(leaf, cas, Date.now() + hourMs / 2)).toBe(true);
    expect(isGood(leaf, cas, Date.now() + 2 * hourMs)).toBe(false);
    expect(isGood(leaf, cas, Date.now() - 2 * hourMs)).toBe(false);
    const short = root.issueAuthority({ validToMs: Date.now() + hourMs });
    const long = read(short.issue({ validToMs: Date.now() + 20 * hourMs }));
    expect(isGood(long, [...cas, read(short)], Date.now())).toBe(true);
    expect(isGood(long, [...cas, read(short)], Date.now() + 2 * hourMs)).toBe(false);
  });

  it("is good for as long as all of it is", () => {
    const nowMs = Math.floor(Date.now() / 1000) * 1000;
    const short = root.issueAuthority({ validFromMs: nowMs - 2 * hourMs, validToMs: nowMs + hourMs });
    const leaf = read(short.issue({ validFromMs: nowMs - hourMs / 2, validToMs: nowMs + 20 * hourMs }));
    expect(trustedPeriod(leaf, [...cas, read(short)], nowMs)).toEqual({
      fromMs: nowMs - hourMs / 2,
      untilMs: nowMs + hourMs,
    });
  });

  it("goes on over the end of a CA whose renewed certificate stands beside the old one", () => {
    const nowMs = Date.now();
    const old = renewAuthority(root, { validToMs: nowMs - hourMs });
    const leaf = read(root.issue());
    for (const both of [
      [old, root],
      [root, old],
    ]) {
      expect(isGood(leaf, both.map(read), nowMs)).toBe(true);
    }
    expect(isGood(leaf, [read(old)], nowMs)).toBe(false);
  });
});
