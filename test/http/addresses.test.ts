import { describe, expect, it } from "vitest";
import { formatListenAddress, parseListenAddress } from "../../src/http/listen-address.ts";
import { isLoopbackAddress } from "../../src/http/loopback-address.ts";
import { requestUrl } from "../../src/http/request-target.ts";

describe("parseListenAddress", () => {
  it.each(["127.0.0.1:50051", "[::1]:0", "0.0.0.0:65535", "token-authority.internal:1", "unix:/run/a b.sock"])(
    "reads %s, which is also how it is written",
    (text) => {
      const address = parseListenAddress(text);
      expect(address === null ? null : formatListenAddress(address)).toBe(text);
    },
  );

  it.each([
    "",
    "127.0.0.1",
    ":50051",
    "127.0.0.1:65536",
    "127.0.0.1:-1",
    "::1:5",
    "unix:",
    "unix:relative",
    "http://x:1",
    "a:1:2",
  ])("refuses %j", (text) => {
    expect(parseListenAddress(text)).toBe(null);
  });
});

describe("isLoopbackAddress", () => {
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
    expect(isLoopbackAddress(host)).toBe(true);
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
    expect(isLoopbackAddress(host)).toBe(false);
  });
});

describe("requestUrl", () => {
  it("keeps a path as it was sent", () => {
    expect(requestUrl("http", "localhost:1", "/a/../b/%2e?c=%00&d=/")).toBe("http://localhost:1/a/../b/%2e?c=%00&d=/");
  });

  it.each(["", "%", "x:99999", "a@b", "a/b", "a\\b", "[::1", "[::1]x", "a b", "1.2.3.999:1"])(
    "refuses the authority %j",
    (authority) => {
      expect(requestUrl("http", authority, "/")).toBe(null);
    },
  );
});
