import { networkInterfaces } from "node:os";
import { describe, expect, it } from "vitest";
import { formatListenAddress, parseListenAddress } from "../../src/wire/port/listen-address.ts";
import { plaintextPeer } from "../../src/wire/port/plaintext-peer.ts";
import { requestUrl } from "../../src/wire/request-target.ts";
import { connectRaw, readToEnd, startRig } from "./http-rig.ts";

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

describe("a plaintext peer", () => {
  const tcp = { host: "0.0.0.0", port: 1 };

  it.each(["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])("from %s is local", (remote) => {
    expect(plaintextPeer(tcp, remote)).toEqual({ transport: "loopback", identity: "local", fault: null });
  });

  it.each(["10.0.0.1", "192.0.2.2", "::ffff:10.0.0.1", "fe80::1%eth0", "", undefined])(
    "from %s is nobody",
    (remote) => {
      const nobody = { transport: "loopback", identity: null, fault: "PLAINTEXT_FROM_ELSEWHERE" };
      expect(plaintextPeer(tcp, remote)).toEqual(nobody);
    },
  );

  it("on a unix socket is local, wherever it is", () => {
    expect(plaintextPeer({ path: "/run/a.sock" }, undefined)).toEqual({
      transport: "unix",
      identity: "local",
      fault: null,
    });
  });

  const elsewhere = Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === "IPv4" && !one.internal)?.address;

  // A machine without a network has no other address to come from; the table above says the same of any.
  it.runIf(elsewhere !== undefined)("that comes to another address of this machine is nobody there", async () => {
    await using rig = await startRig({ address: { host: "0.0.0.0", port: 0 } });
    const socket = await connectRaw(rig.port, { host: elsewhere ?? "" });
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    await readToEnd(socket);
    expect(rig.requests.map(({ peer }) => peer.identity)).toEqual([null]);
  });
});
