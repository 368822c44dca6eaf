import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Peer } from "../../src/wire/port/peer.ts";
import { isForAnotherHost, isSurelyForThisHost, isThisMachine } from "../../src/wire/port/this-machine.ts";

const peer: Peer = { transport: "loopback", identity: "local", fault: null };

describe("a host that is this machine", () => {
  it.each([
    "localhost",
    "LOCALHOST",
    "127.0.0.1",
    "127.255.0.9",
    "::1",
    "[::1]",
    "0:0:0:0:0:0:0:1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
  ])("says yes to %s", (host) => {
    expect(isThisMachine(host)).toBe(true);
  });

  it.each([
    "",
    "0.0.0.0",
    "::",
    "128.0.0.1",
    "10.0.0.1",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.1",
    "::2",
    "::ffff:10.0.0.1",
    "[127.0.0.1",
  ])("says no to %j", (host) => {
    expect(isThisMachine(host)).toBe(false);
  });
});

describe("an authority that is surely local", () => {
  it("is localhost or the usual loopback addresses, with a port or without", () => {
    for (const authority of ["localhost", "localhost:443", "127.0.0.1", "127.0.0.1:65535", "[::1]", "[::1]:8443"]) {
      expect(isSurelyForThisHost(peer, authority), authority).toBe(true);
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
      expect(isSurelyForThisHost(peer, authority), authority).toBe(false);
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
        fc.pre(isSurelyForThisHost(peer, authority));
        expect(isForAnotherHost({ peer, url: `http://${authority}/` })).toBe(false);
      }),
      { numRuns: 200 },
    );
  });
});
