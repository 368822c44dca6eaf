import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { type CorpusCase, leavesOpen, sends } from "./corpus-case.ts";

const path = "/casapay.token.v1.TokenService/Authenticate";
const host = "Host: localhost\r\n";
const json = "Content-Type: application/json\r\n";
const megabyte = 1024 * 1024;
const dripEveryMs = 1000;
const maxDrips = 100;

/** HTTP/1.1 and older, for the plaintext port. */
export const http1Corpus: readonly CorpusCase[] = [
  ...[
    "%",
    "x:99999",
    "%2Ftmp%2Fx.sock",
    "",
    "a b",
    "[::1",
    "[::1]:x",
    "\x00",
    "localhost:1, evil",
    "%00",
    "example.com",
  ].map((value) => sends(`Host: ${JSON.stringify(value)}`, `GET / HTTP/1.1\r\nHost: ${value}\r\n\r\n`)),
  ...[
    "/",
    "*",
    "//",
    "http://%/",
    "http://x:99999/",
    "http://%2Ftmp%2Fx.sock/",
    "%",
    "/%",
    "/%00",
    "\\",
    "/../..",
    "/?%ff#",
  ].flatMap((target) =>
    ["GET", "POST", "OPTIONS", "CONNECT"].map((method) =>
      sends(`${method} ${target}`, `${method} ${target} HTTP/1.1\r\n${host}\r\n`),
    ),
  ),
  sends("HTTP/1.0 without Host", `POST ${path} HTTP/1.0\r\n\r\n`),
  sends("HTTP/1.0 with keep-alive", `POST ${path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n`),
  sends("HTTP/1.1 without Host", `GET ${path} HTTP/1.1\r\n\r\n`),
  sends("HTTP/0.9", "GET /\r\n"),
  sends("HTTP/9.9", `GET / HTTP/9.9\r\n${host}\r\n`),
  sends("two Hosts", `GET / HTTP/1.1\r\n${host}Host: %\r\n\r\n`),
  sends("no method", " / HTTP/1.1\r\n\r\n"),
  sends("only line ends", "\r\n".repeat(10_000)),
  sends("only zeros", Buffer.alloc(megabyte)),
  sends("HTTP/2 preface cut short", "PRI * HTTP/2.0\r\n\r\nSM\r\n"),
  sends("HTTP/2 preface misspelt", "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"),
  sends(
    "upgrade to h2c",
    `GET / HTTP/1.1\r\n${host}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: %\r\n\r\n`,
  ),
  sends(
    "upgrade to websocket",
    `GET / HTTP/1.1\r\n${host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n`,
  ),
  sends(
    "Expect: 100-continue without a body",
    `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: 9\r\nExpect: 100-continue\r\n\r\n`,
  ),
  sends("Expect: nonsense", `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: 2\r\nExpect: x\r\n\r\n{}`),
  sends("a space before a header", `GET / HTTP/1.1\r\n ${host}\r\n`),
  sends("a header without a name", `GET / HTTP/1.1\r\n${host}: x\r\n\r\n`),
  sends("a zero in a header", `GET / HTTP/1.1\r\n${host}X: a\x00b\r\n\r\n`),
  sends("bytes above ASCII in a header", `GET / HTTP/1.1\r\n${host}X-Y: \xff\xfe\r\n\xe9: 1\r\n\r\n`),
  sends("10 000 headers", `GET / HTTP/1.1\r\n${host}${"X: y\r\n".repeat(10_000)}\r\n`),
  sends("a header of 1 MiB", `GET / HTTP/1.1\r\n${host}X: ${"y".repeat(megabyte)}\r\n\r\n`),
  sends("a target of 1 MiB", `GET /${"x".repeat(megabyte)} HTTP/1.1\r\n${host}\r\n`),
  sends("10 000 requests in one write", `GET / HTTP/1.1\r\n${host}\r\n`.repeat(10_000)),
  sends("1 000 calls in one write", call("{}").repeat(1000)),
  sends(
    "Content-Length and Transfer-Encoding",
    `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  ...["-1", "99999999999999999999", "4294967296", "1e3", "2, 2", "", "0x2"].map((length) =>
    sends(`Content-Length: ${length}`, `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: ${length}\r\n\r\n{}`),
  ),
  ...["zz", "ffffffffffffffff", "-1", "1;x=\x00", "100000000", ""].map((size) =>
    sends(
      `a chunk of size ${JSON.stringify(size)}`,
      `POST ${path} HTTP/1.1\r\n${host}${json}Transfer-Encoding: chunked\r\n\r\n${size}\r\n{}\r\n0\r\n\r\n`,
    ),
  ),
  sends(
    "10 000 chunks of one byte",
    `POST ${path} HTTP/1.1\r\n${host}${json}Transfer-Encoding: chunked\r\n\r\n${"1\r\n \r\n".repeat(10_000)}0\r\n\r\n`,
  ),
  sends(
    "chunked with 10 000 trailers",
    `POST ${path} HTTP/1.1\r\n${host}${json}Transfer-Encoding: chunked\r\n\r\n0\r\n${"X: y\r\n".repeat(10_000)}\r\n`,
  ),
  sends("Transfer-Encoding: nonsense", `POST ${path} HTTP/1.1\r\n${host}${json}Transfer-Encoding: x\r\n\r\n{}`),
  sends("JSON nested 10 000 deep", call("[".repeat(10_000))),
  sends("JSON objects nested 10 000 deep", call('{"key":'.repeat(8000))),
  sends("JSON that is not UTF-8", call('{"key":"\xff\xfe\xc0\x80"}')),
  sends("JSON with a lone surrogate", call('{"key":"\\ud800"}')),
  sends("JSON with __proto__", call('{"__proto__":{"key":"x"}}')),
  sends("JSON with a huge number", call(`{"key":1e${"9".repeat(1000)}}`)),
  sends(
    "JSON of 64 MiB announced, 1 MiB sent",
    `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: 67108864\r\n\r\n${" ".repeat(megabyte)}`,
  ),
  sends("JSON of 1 MiB", call(JSON.stringify({ key: "x".repeat(megabyte) }))),
  sends("gzip that unpacks to 64 MiB", encoded("gzip", gzipSync(Buffer.alloc(64 * megabyte, 0x20)))),
  sends("gzip that is not gzip", encoded("gzip", Buffer.from("{}"))),
  sends("an unknown encoding", encoded("x", Buffer.from("{}"))),
  sends("gRPC-Web with a length prefix of 4 GiB", grpcWeb("application/grpc-web+proto", "\x00\xff\xff\xff\xff")),
  sends("gRPC-Web text that is not base64", grpcWeb("application/grpc-web-text", "%%%%")),
  sends("gRPC over HTTP/1.1", grpcWeb("application/grpc", "\x00\x00\x00\x00\x00")),
  sends("a content type of nonsense", grpcWeb("\xff/;;;=", "{}")),
  sends("connect-timeout-ms of nonsense", call("{}", "Connect-Timeout-Ms: -1\r\n")),
  sends("connect-timeout-ms of 9 999 999 999", call("{}", "Connect-Timeout-Ms: 9999999999\r\n")),
  sends("connect-protocol-version 99", call("{}", "Connect-Protocol-Version: 99\r\n")),
  sends("Connect GET", `GET ${path}?connect=v1&encoding=json&message=%7B%7D HTTP/1.1\r\n${host}\r\n`),
];

/** What waits for the server to lose its patience. */
export const slowHttp1Corpus: readonly CorpusCase[] = [
  leavesOpen(sends("slow: says nothing")),
  leavesOpen(sends("slow: half a preface", "PRI * HT")),
  leavesOpen(sends("slow: half a request line", "GET / HT")),
  leavesOpen(sends("slow: half a header", `POST ${path} HTTP/1.1\r\n${host}X`)),
  leavesOpen(
    sends("slow: a body that does not come", `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: 100\r\n\r\n{`),
  ),
  leavesOpen(
    sends(
      "slow: a chunk that does not come",
      `POST ${path} HTTP/1.1\r\n${host}${json}Transfer-Encoding: chunked\r\n\r\n5\r\n{`,
    ),
  ),
  leavesOpen(sends("slow: kept alive after a request", `GET / HTTP/1.1\r\n${host}\r\n`)),
  drips("slow: a preface, one byte a second", "", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  drips("slow: a header, one byte a second", `GET / HTTP/1.1\r\n${host}X: `, "y".repeat(maxDrips)),
  drips(
    "slow: a body, one byte a second",
    `POST ${path} HTTP/1.1\r\n${host}${json}Content-Length: 500\r\n\r\n`,
    " ".repeat(maxDrips),
  ),
];

/** Bytes of another protocol, for either port. */
export const foreignCorpus: readonly CorpusCase[] = [
  sends("SMTP", "EHLO localhost\r\n"),
  sends("SSH", "SSH-2.0-OpenSSH_9.2\r\n"),
  sends("Redis", "*1\r\n$4\r\nPING\r\n"),
  sends("SSLv2 hello", Buffer.from("802e0100020015000000100100800200800600400400800700c00800800500800a00", "hex")),
  sends("a TLS record that is 64 KiB long", Buffer.from("160301ffff010000fc0303", "hex"), Buffer.alloc(65_536)),
  sends("a TLS alert", Buffer.from("15030300020228", "hex")),
  sends("a TLS heartbeat that lies", Buffer.from("1803020003014000", "hex")),
  sends("a TLS hello of length zero", Buffer.from("1603010004010000 00".replace(" ", ""), "hex")),
  sends(
    "random bytes",
    Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 7919 + (index >> 3) * 31) % 256)),
  ),
];

function call(body: string, headers = ""): string {
  return `POST ${path} HTTP/1.1\r\n${host}${json}${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

function encoded(encoding: string, body: Buffer): Buffer {
  const head = `POST ${path} HTTP/1.1\r\n${host}${json}Content-Encoding: ${encoding}\r\nContent-Length: ${body.byteLength}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

function grpcWeb(contentType: string, body: string): string {
  return `POST ${path} HTTP/1.1\r\n${host}Content-Type: ${contentType}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

function drips(name: string, start: string, rest: string): CorpusCase {
  return {
    name,
    isLeftOpen: true,
    async send(connection) {
      await connection.write(start);
      for (const byte of rest) {
        if (connection.isClosed()) {
          return;
        }
        await connection.write(byte);
        await sleep(dripEveryMs);
      }
    },
  };
}
