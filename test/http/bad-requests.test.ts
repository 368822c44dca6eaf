import { once } from "node:events";
import { constants } from "node:http2";
import { describe, expect, it } from "vitest";
import {
  answersBoth,
  callHttp2,
  connectRaw,
  echo,
  headersFrame,
  openHttp2,
  preface,
  sendRaw,
  settingsFrame,
  startRig,
} from "./http-rig.ts";

const badAuthorities = [
  "%",
  "x:99999",
  "%2Ftmp%2Fx.sock",
  "a b",
  "user@host",
  "[::1",
  "a,b",
  "host:",
  "host:x",
  "http://x",
  "\u00e9",
  "a\\b",
  "a/b",
  "a#b",
  "a?b",
];
const badPaths = ["*", "x", "http://", "/a b", "/a#b", "/a\\b", "/\u00e9", "/\u0001"];
const hosted = "Host: localhost\r\n";

// HTTP/2 resets what RFC 9113 calls malformed; what it lets pass and is no URL is answered 400.
describe("a bad authority or path over HTTP/2 is answered 400 or reset, and asks no handler", () => {
  it.each(badAuthorities)(":authority %j", async (authority) => {
    await using rig = await startRig();
    const fields = [
      [":method", "POST"],
      [":scheme", "http"],
      [":authority", authority],
      [":path", "/"],
    ] as const;
    const socket = await connectRaw(rig.port);
    socket.write(Buffer.concat([preface, settingsFrame, headersFrame(1, fields, { endStream: true })]));
    await frameOf(socket, [1, 3]);
    expect(rig.requests).toEqual([]);
    expect(await answersBoth(rig)).toBe(true);
    socket.destroy();
  });

  it.each(badAuthorities.filter((authority) => /^[\x21-\x7e]*$/.test(authority)))(
    "with node's client, authority %j",
    async (authority) => {
      await using rig = await startRig();
      await using session = await openHttp2(rig.origin);
      const answer = await callHttp2(session, { ":authority": authority, ":path": "/" });
      // nghttp2 itself resets some of them.
      expect(answer.status === 400 || answer.resetCode === constants.NGHTTP2_PROTOCOL_ERROR).toBe(true);
      expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
    },
  );

  it.each(badPaths)(":path %j", async (path) => {
    await using rig = await startRig();
    const fields = [
      [":method", "GET"],
      [":scheme", "http"],
      [":authority", "localhost"],
      [":path", path],
    ] as const;
    const socket = await connectRaw(rig.port);
    socket.write(Buffer.concat([preface, settingsFrame, headersFrame(1, fields, { endStream: true })]));
    await frameOf(socket, [1, 3]);
    expect(rig.requests).toEqual([]);
    expect(await answersBoth(rig)).toBe(true);
    socket.destroy();
  });

  it("says so in a short text", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    const answer = await callHttp2(session, { ":authority": "x:99999", ":path": "/" });
    expect(answer).toMatchObject({ status: 400, body: "the request target or authority is not valid\n" });
  });

  it("resets a request whose Host names another host than :authority (RFC 9113, 8.3.1)", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    const fields = { ":authority": "localhost", ":path": "/" };
    const refused = { status: null, resetCode: constants.NGHTTP2_PROTOCOL_ERROR };
    expect(await callHttp2(session, { ...fields, host: "evil.example" })).toMatchObject(refused);
    expect(rig.requests).toEqual([]);
    expect((await callHttp2(session, { ...fields, host: "LOCALHOST" })).status).toBe(200);
  });

  it("takes Host where there is no :authority", async () => {
    await using rig = await startRig();
    const fields = [
      [":method", "GET"],
      [":scheme", "http"],
      [":path", "/"],
      ["host", "127.0.0.1:1"],
    ] as const;
    const socket = await connectRaw(rig.port);
    socket.write(Buffer.concat([preface, settingsFrame, headersFrame(1, fields, { endStream: true })]));
    await frameOf(socket, [1]);
    expect(rig.requests.map(({ url }) => url)).toEqual(["http://127.0.0.1:1/"]);
    socket.destroy();
  });

  it("answers CONNECT with 501", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    const answer = await callHttp2(session, { ":method": "CONNECT", ":authority": "localhost:1" });
    expect(answer.status).toBe(501);
    expect(rig.requests).toEqual([]);
  });
});

describe("a bad request over HTTP/1.1 is answered and closed", () => {
  it.each([
    ["Host: %", `GET / HTTP/1.1\r\nHost: %\r\nConnection: close\r\n\r\n`, 400],
    ["Host with a port above 65535", `GET / HTTP/1.1\r\nHost: x:99999\r\nConnection: close\r\n\r\n`, 400],
    ["Host of a socket path", `GET / HTTP/1.1\r\nHost: %2Ftmp%2Fx.sock\r\nConnection: close\r\n\r\n`, 400],
    ["no Host", `GET / HTTP/1.1\r\nConnection: close\r\n\r\n`, 400],
    ["an empty Host", `GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n`, 400],
    ["two Hosts", `GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n`, 400],
    ["Host: % in HTTP/1.0", "GET / HTTP/1.0\r\nHost: %\r\n\r\n", 400],
    ["an absolute target that does not parse", `GET http://% HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`, 400],
    ["a target with user information", `GET http://a@b/ HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`, 400],
    ["a target of another scheme", `GET ftp://localhost/ HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`, 400],
    ["OPTIONS *", `OPTIONS * HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`, 400],
    ["a fragment", `GET /a#b HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`, 400],
    ["a backslash", `GET /a\\b HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`, 400],
    ["CONNECT", `CONNECT localhost:1 HTTP/1.1\r\n${hosted}\r\n`, 501],
    ["an unknown expectation", `GET / HTTP/1.1\r\n${hosted}Expect: cake\r\nConnection: close\r\n\r\n`, 417],
    ["no HTTP at all", "\x00\x01\x02\x03 hello\r\n\r\n", 0],
    ["a TLS client hello", `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${"\x00".repeat(512)}`, 0],
    ["a preface that goes wrong late", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 0],
    ["a space before the colon", `GET / HTTP/1.1\r\n${hosted}X : y\r\n\r\n`, 400],
    ["a bare CR in a value", `GET / HTTP/1.1\r\n${hosted}X: a\rb\r\n\r\n`, 400],
    ["a NUL in a value", `GET / HTTP/1.1\r\n${hosted}X: a\0b\r\n\r\n`, 400],
    [
      "both lengths",
      `POST / HTTP/1.1\r\n${hosted}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    ["two lengths", `POST / HTTP/1.1\r\n${hosted}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`, 400],
    ["a negative length", `POST / HTTP/1.1\r\n${hosted}Content-Length: -1\r\n\r\n`, 400],
    ["a chunk of no size", `POST / HTTP/1.1\r\n${hosted}Transfer-Encoding: chunked\r\n\r\nzz\r\n`, 400],
    ["an unknown method", `BREW / HTTP/1.1\r\n${hosted}\r\n`, 400],
    ["HTTP/3.0", `GET / HTTP/3.0\r\n${hosted}\r\n`, 400],
    ["10 000 header fields", `GET / HTTP/1.1\r\n${hosted}${"x: y\r\n".repeat(10_000)}\r\n`, 431],
    ["a header of 1 MB", `GET / HTTP/1.1\r\n${hosted}x: ${"y".repeat(1_000_000)}\r\n\r\n`, 431],
    ["a target of 1 MB", `GET /${"y".repeat(1_000_000)} HTTP/1.1\r\n${hosted}\r\n`, 431],
  ])("%s", async (_name, bytes, status) => {
    await using rig = await startRig({ handler: echo });
    const answer = await sendRaw(rig.port, Buffer.from(bytes, "latin1"));
    if (status === 0) {
      expect(answer).not.toContain("200");
    } else {
      // A peer that sends much more than it may can lose the answer to a reset.
      expect(answer === "" && bytes.length > 100_000 ? status : Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1])).toBe(
        status,
      );
    }
    expect(await answersBoth(rig)).toBe(true);
    expect(rig.log).toEqual([]);
  });
});

/** Waits for a frame of one of these types. */
async function frameOf(socket: Awaited<ReturnType<typeof connectRaw>>, types: readonly number[]): Promise<number> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const [chunk] = await once(socket, "data");
    bytes = Buffer.concat([bytes, chunk]);
    for (let offset = 0; offset + 9 <= bytes.byteLength; offset += 9 + bytes.readUIntBE(offset, 3)) {
      const type = bytes[offset + 3] ?? -1;
      if (types.includes(type)) {
        return type;
      }
    }
  }
}
