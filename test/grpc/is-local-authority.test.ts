import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLocalHost } from "../../src/connect/is-local-host.ts";
import { isLocalAuthority } from "../../src/grpc/is-local-authority.ts";

describe("an authority that is surely local", () => {
  it("is localhost or the usual loopback addresses, with a port or without", () => {
    for (const authority of ["localhost", "localhost:443", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8443"]) {
      expect(isLocalAuthority(authority), authority).toBe(true);
    }
  });

  it("is no other name, nor one that only begins or ends like that", () => {
    for (const authority of [
      "",
      "localhost.",
      "localhost.evil.test",
      "evil.test:127.0.0.1",
      "xlocalhost",
      "127.0.0.1.evil.test",
      "127.0.0.1:80:80",
      "localhost:",
      "user@localhost",
      "localhost\n",
      "[::1",
      "::1",
    ]) {
      expect(isLocalAuthority(authority), authority).toBe(false);
    }
  });

  it("is local for the general way too", () => {
    const part = fc.constantFrom(
      "localhost",
      "127.0.0.1",
      "[::1]",
      ":",
      "80",
      "65535",
      ".",
      "a",
      "@",
      "127.1",
      "%",
      "\n",
      "/",
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
        const authority = parts.join("");
        fc.pre(isLocalAuthority(authority));
        expect(isLocalHost(`http://${authority}/`)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});
