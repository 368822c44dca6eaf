import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { type CorpusCase, leavesOpen, sends } from "./corpus-case.ts";
import {
  callHeaders,
  dataFrame,
  flag,
  frame,
  frameType,
  grpcMessage,
  type Header,
  headerBlock,
  headersFrame,
  openSettings,
  preface,
  readFrames,
  setting,
  uint32,
} from "./h2-frames.ts";
import type { RawConnection } from "./raw-connection.ts";

const authority = "localhost";
const many = 10_000;
const streams = 40;
const holdMs = 1000;
const emptyMessage = grpcMessage(Buffer.alloc(0));

/** HTTP/2 with prior knowledge, for the plaintext port. */
export const http2Corpus: readonly CorpusCase[] = [
  ...[
    "%",
    "x:99999",
    "%2Ftmp%2Fx.sock",
    "",
    "a b",
    "[::1",
    "[",
    "\x00",
    "example.com",
    "localhost:50051:1",
    "user@localhost",
  ].map((value) => calls(`:authority ${JSON.stringify(value)}`, { ":authority": value })),
  ...["", "*", "//", "%", "/%", "http://x:99999/", "\\", "/\x00", "/../..", `/${"x".repeat(8000)}`].map((value) =>
    calls(`:path ${JSON.stringify(value.slice(0, 20))}`, { ":path": value }),
  ),
  ...["", "G T", "CONNECT", "get", "PRI", "\x00"].map((value) =>
    calls(`:method ${JSON.stringify(value)}`, { ":method": value }),
  ),
  ...["", "ftp", "https", "%"].map((value) => calls(`:scheme ${JSON.stringify(value)}`, { ":scheme": value })),
  ...[":method", ":path", ":scheme", ":authority", "content-type", "te"].map((name) =>
    calls(`no ${name}`, { [name]: null }),
  ),
  calls("no :authority but a Host of %", { ":authority": null, host: "%" }),
  calls(":authority and a Host of %", { host: "%" }),
  calls("an upper-case name", { "X-Y": "1" }),
  calls("a header of a connection", { connection: "keep-alive" }),
  calls("transfer-encoding", { "transfer-encoding": "chunked" }),
  calls("an unknown pseudo-header", { ":x": "1" }),
  calls("a pseudo-header of answers", { ":status": "200" }),
  calls("line ends in a value", { x: "a\r\nb: c" }),
  calls("an empty name", { "": "x" }),
  ...["-1", "99999999999999999999H", "1", "0n", "-1S", "1X", "", "99999999H"].map((value) =>
    calls(`grpc-timeout ${JSON.stringify(value)}`, { "grpc-timeout": value }),
  ),
  ...["", "application/grpc+x", "application/grpc;", "text/html", "\xff", "application/connect+proto"].map((value) =>
    calls(`content-type ${JSON.stringify(value)}`, { "content-type": value }),
  ),
  ...["gzip", "x", "identity, gzip"].map((value) => calls(`grpc-encoding ${value}`, { "grpc-encoding": value })),
  calls("content-length that lies", { "content-length": "1000" }),
  calls("content-length of nonsense", { "content-length": "x" }),
  twice(":path"),
  twice(":authority"),
  withBody("no message", Buffer.alloc(0)),
  withBody("two messages", Buffer.concat([emptyMessage, emptyMessage])),
  withBody("a message cut short", grpcMessage(Buffer.from("ab"), 100)),
  withBody("a prefix cut short", Buffer.of(0, 0, 0)),
  withBody("a compressed message without an encoding", grpcMessage(gzipSync(""), undefined, 1)),
  withBody("a compression flag of 255", grpcMessage(Buffer.alloc(0), 0, 255)),
  withBody("a length prefix of 4 GiB", grpcMessage(Buffer.alloc(0), 0xffffffff)),
  withBody("protobuf nested 10 000 deep", grpcMessage(Buffer.alloc(20_000, Buffer.of(0x0b, 0x0c)))),
  withBody("protobuf groups that never end", grpcMessage(Buffer.alloc(30_000, 0x0b))),
  withBody(
    "a protobuf field that is longer than its message",
    grpcMessage(Buffer.of(0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)),
  ),
  withBody("a protobuf varint without an end", grpcMessage(Buffer.alloc(64, 0xff))),
  withBody(
    "a message of 16 000 bytes of unknown fields",
    grpcMessage(Buffer.alloc(16_000, Buffer.of(0xf8, 0x01, 0x01))),
  ),
  gzipBomb(),
  hugePrefixes(),
  sends("preface and nothing", preface),
  sends("preface and junk", preface, "GET / HTTP/1.1\r\n\r\n"),
  sends("preface twice", preface, preface),
  sends("a frame cut short", openSettings, frame(frameType.headers, 4, 1, Buffer.alloc(10), 100)),
  sends("half a frame header", openSettings, Buffer.of(0, 0, 10, 1)),
  sends("a frame of 16 MiB announced", openSettings, frame(frameType.data, 0, 1, Buffer.alloc(100), 0xffffff)),
  sends("a frame of an unknown type", openSettings, frame(0xee, 0xff, 0x7fffffff, Buffer.alloc(100))),
  sends("SETTINGS of a length that is not a multiple of 6", preface, frame(frameType.settings, 0, 0, Buffer.alloc(7))),
  sends("SETTINGS on a stream", preface, frame(frameType.settings, 0, 1)),
  sends("SETTINGS that forbid everything", preface, frame(frameType.settings, 0, 0, everySetting(0)), validCall(1)),
  sends(
    "SETTINGS that allow everything",
    preface,
    frame(frameType.settings, 0, 0, everySetting(0xffffffff)),
    validCall(1),
  ),
  sends("SETTINGS flood", openSettings, repeat(frame(frameType.settings, 0, 0, setting(4, 65_535)), many)),
  sends("SETTINGS acknowledged that nobody sent", openSettings, repeat(frame(frameType.settings, flag.ack, 0), many)),
  sends("PING flood", openSettings, repeat(frame(frameType.ping, 0, 0, Buffer.alloc(8)), many)),
  sends("PING of 7 bytes", openSettings, frame(frameType.ping, 0, 0, Buffer.alloc(7))),
  sends("PRIORITY flood", openSettings, repeat(frame(frameType.priority, 0, 1, Buffer.from([0, 0, 0, 3, 9])), many)),
  sends("a stream that depends on itself", openSettings, frame(frameType.priority, 0, 1, Buffer.from([0, 0, 0, 1, 9]))),
  sends("WINDOW_UPDATE of zero", openSettings, frame(frameType.windowUpdate, 0, 0, uint32(0))),
  sends("WINDOW_UPDATE beyond 2^31", openSettings, repeat(frame(frameType.windowUpdate, 0, 0, uint32(0x7fffffff)), 3)),
  sends("WINDOW_UPDATE flood", openSettings, repeat(frame(frameType.windowUpdate, 0, 0, uint32(1)), many)),
  sends(
    "PUSH_PROMISE from a client",
    openSettings,
    frame(frameType.pushPromise, 4, 1, Buffer.concat([uint32(2), validBlock()])),
  ),
  sends("GOAWAY and then a call", openSettings, frame(frameType.goAway, 0, 0, Buffer.alloc(8)), validCall(1)),
  sends("GOAWAY flood", openSettings, repeat(frame(frameType.goAway, 0, 0, Buffer.alloc(8)), 1000)),
  sends("RST_STREAM of an idle stream", openSettings, frame(frameType.resetStream, 0, 1, uint32(8))),
  sends("rapid reset", openSettings, rapidReset(many)),
  sends("DATA on an idle stream", openSettings, dataFrame(1, emptyMessage)),
  sends(
    "empty DATA flood",
    openSettings,
    headersFrame(1, callHeaders(authority)),
    repeat(dataFrame(1, Buffer.alloc(0), 0), many),
  ),
  sends(
    "DATA that is all padding",
    openSettings,
    headersFrame(1, callHeaders(authority)),
    frame(frameType.data, flag.padded, 1, Buffer.from([255, 0])),
  ),
  sends(
    "HEADERS with padding longer than the frame",
    openSettings,
    frame(frameType.headers, 4 | flag.padded, 1, Buffer.from([255, 0])),
  ),
  sends("HEADERS on an even stream", openSettings, headersFrame(2, callHeaders(authority))),
  sends("HEADERS on a stream below the last", openSettings, validCall(5), validCall(3)),
  sends("HEADERS on stream 0", openSettings, headersFrame(0, callHeaders(authority))),
  sends("HEADERS on the last stream", openSettings, validCall(0x7fffffff), validCall(1)),
  sends(
    "HEADERS twice on one stream",
    openSettings,
    headersFrame(1, callHeaders(authority)),
    headersFrame(1, callHeaders(authority), 5),
  ),
  sends(
    "trailers without an end",
    openSettings,
    headersFrame(1, callHeaders(authority)),
    headersFrame(1, [["x", "y"]]),
  ),
  sends("CONTINUATION without HEADERS", openSettings, frame(frameType.continuation, 4, 1, validBlock())),
  sends(
    "CONTINUATION flood",
    openSettings,
    frame(frameType.headers, 0, 1, validBlock()),
    repeat(frame(frameType.continuation, 0, 1, headerBlock([["x", "y"]])), many),
  ),
  sends(
    "empty CONTINUATION flood",
    openSettings,
    frame(frameType.headers, 0, 1, validBlock()),
    repeat(frame(frameType.continuation, 0, 1), many),
  ),
  sends(
    "another frame between HEADERS and CONTINUATION",
    openSettings,
    frame(frameType.headers, 0, 1, validBlock()),
    frame(frameType.ping, 0, 0, Buffer.alloc(8)),
  ),
  sends("10 000 headers", openSettings, manyHeaders()),
  sends(
    "HPACK: an index beyond the table",
    openSettings,
    frame(frameType.headers, 5, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f])),
  ),
  sends("HPACK: index zero", openSettings, frame(frameType.headers, 5, 1, Buffer.of(0x80))),
  sends(
    "HPACK: a table of 4 GiB",
    openSettings,
    frame(frameType.headers, 5, 1, Buffer.from([0x3f, 0xe1, 0xff, 0xff, 0xff, 0x0f])),
  ),
  sends(
    "HPACK: a string that is longer than the block",
    openSettings,
    frame(frameType.headers, 5, 1, Buffer.from([0x00, 0x7f, 0xff, 0xff, 0x0f])),
  ),
  sends(
    "HPACK: Huffman code that is only padding",
    openSettings,
    frame(frameType.headers, 5, 1, Buffer.from([0x00, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00])),
  ),
  sends("HPACK: one large entry, 15 000 times", openSettings, hpackBomb()),
  sends("5 000 streams that stay open", openSettings, openStreams(5000)),
  sends(
    "5 000 calls in one write",
    openSettings,
    Buffer.concat(Array.from({ length: 5000 }, (_, index) => validCall(1 + 2 * index))),
  ),
];

/** What waits for the server to lose its patience. */
export const slowHttp2Corpus: readonly CorpusCase[] = [
  leavesOpen(sends("slow: a preface without SETTINGS", preface)),
  leavesOpen(sends("slow: half a SETTINGS frame", preface, Buffer.of(0, 0, 6, 4))),
  leavesOpen(
    sends("slow: a call whose message does not come", openSettings, headersFrame(1, callHeaders(authority))),
    isStreamOver,
  ),
  leavesOpen(
    sends(
      "slow: a call whose message stops halfway",
      openSettings,
      headersFrame(1, callHeaders(authority)),
      dataFrame(1, grpcMessage(Buffer.alloc(3), 50), 0),
    ),
    isStreamOver,
  ),
  leavesOpen(
    sends(
      "slow: a call whose answer is not taken",
      preface,
      frame(frameType.settings, 0, 0, setting(4, 0)),
      validCall(1),
    ),
    isStreamOver,
  ),
  leavesOpen(
    sends(
      "slow: a page that is not taken",
      preface,
      frame(frameType.settings, 0, 0, setting(4, 0)),
      headersFrame(
        1,
        [
          [":method", "GET"],
          [":scheme", "http"],
          [":path", "/"],
          [":authority", authority],
        ],
        5,
      ),
    ),
    isStreamOver,
  ),
  leavesOpen(sends("slow: a header block without an end", openSettings, frame(frameType.headers, 0, 1, validBlock()))),
];

function isStreamOver(connection: RawConnection): boolean {
  // Its end is flagged on a DATA or HEADERS frame, or it was reset: in each case the server has let go of it.
  return readFrames(connection.received()).some(
    ({ type, streamId, flags }) =>
      streamId === 1 &&
      (type === frameType.resetStream ||
        ((type === frameType.headers || type === frameType.data) && (flags & flag.endStream) !== 0)),
  );
}

function calls(name: string, changes: Readonly<Record<string, string | null>>): CorpusCase {
  return sends(name, openSettings, headersFrame(1, callHeaders(authority, changes)), dataFrame(1, emptyMessage));
}

function withBody(name: string, body: Buffer): CorpusCase {
  return sends(name, openSettings, headersFrame(1, callHeaders(authority)), chunked(1, body));
}

function twice(name: string): CorpusCase {
  const headers: Header[] = callHeaders(authority).flatMap((header) =>
    header[0] === name ? [header, header] : [header],
  );
  return sends(`${name} twice`, openSettings, headersFrame(1, headers), dataFrame(1, emptyMessage));
}

function gzipBomb(): CorpusCase {
  const message = grpcMessage(gzipSync(Buffer.alloc(64 * 1024 * 1024)), undefined, 1);
  const headers = callHeaders(authority, { "grpc-encoding": "gzip" });
  return sends("gzip that unpacks to 64 MiB", openSettings, headersFrame(1, headers), chunked(1, message));
}

/** Buffers that are allocated by what the prefix says would stay there while the streams are open. */
function hugePrefixes(): CorpusCase {
  const ids = Array.from({ length: streams }, (_, index) => 1 + 2 * index);
  const bytes = ids.flatMap((id) => [
    headersFrame(id, callHeaders(authority)),
    dataFrame(id, Buffer.from([0, 0xff, 0xff, 0xff, 0xff]), 0),
  ]);
  return {
    name: "a length prefix of 4 GiB on 40 streams",
    async send(connection) {
      await connection.write(Buffer.concat([openSettings, ...bytes]));
      await sleep(holdMs);
    },
  };
}

function chunked(streamId: number, body: Buffer): Buffer {
  const size = 16_000;
  const count = Math.max(1, Math.ceil(body.byteLength / size));
  return Buffer.concat(
    Array.from({ length: count }, (_, index) =>
      dataFrame(streamId, body.subarray(index * size, (index + 1) * size), index === count - 1 ? flag.endStream : 0),
    ),
  );
}

function validBlock(): Buffer {
  return headerBlock(callHeaders(authority));
}

function validCall(streamId: number): Buffer {
  return Buffer.concat([headersFrame(streamId, callHeaders(authority)), dataFrame(streamId, emptyMessage)]);
}

function everySetting(value: number): Buffer {
  return Buffer.concat([1, 2, 3, 4, 5, 6, 8, 0xffff].map((id) => setting(id, value)));
}

function repeat(bytes: Buffer, times: number): Buffer {
  return Buffer.alloc(bytes.byteLength * times, bytes);
}

function rapidReset(times: number): Buffer {
  return Buffer.concat(
    Array.from({ length: times }, (_, index) => {
      const id = 1 + 2 * index;
      return Buffer.concat([headersFrame(id, callHeaders(authority)), frame(frameType.resetStream, 0, id, uint32(8))]);
    }),
  );
}

function openStreams(count: number): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => headersFrame(1 + 2 * index, callHeaders(authority))),
  );
}

function manyHeaders(): Buffer {
  const block = Buffer.concat([
    validBlock(),
    headerBlock(Array.from({ length: many }, (_, index) => [`x-${index}`, "y"])),
  ]);
  const size = 16_000;
  const parts = Array.from({ length: Math.ceil(block.byteLength / size) }, (_, index) =>
    block.subarray(index * size, (index + 1) * size),
  );
  return Buffer.concat(
    parts.map((part, index) =>
      frame(
        index === 0 ? frameType.headers : frameType.continuation,
        (index === 0 ? flag.endStream : 0) | (index === parts.length - 1 ? flag.endHeaders : 0),
        1,
        part,
      ),
    ),
  );
}

/** Puts an entry of 4 000 bytes into the table and then names it by one byte, again and again. */
function hpackBomb(): Buffer {
  const value = Buffer.alloc(4000, "a");
  const insert = Buffer.concat([Buffer.from([0x40, 0x01]), Buffer.from("x"), Buffer.from([0x7f, 0xa1, 0x1e]), value]);
  const block = Buffer.concat([validBlock(), insert, Buffer.alloc(11_000, 0xbe)]);
  return Buffer.concat([
    frame(frameType.headers, 5, 1, block),
    frame(frameType.headers, 5, 3, Buffer.alloc(4000, 0xbe)),
  ]);
}
