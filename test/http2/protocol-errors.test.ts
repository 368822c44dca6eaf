import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorCode } from "../../src/wire/http2/error-code.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../src/wire/http2/frame.ts";
import { encodePreparedBlock } from "../../src/wire/http2/hpack-encoder.ts";
import {
  data,
  frame,
  getPairs,
  headers,
  laneRequest,
  postPairs,
  RawClient,
  settings,
  settingsAck,
  word,
} from "./support/raw-client.ts";
import { startTestServer, type TestServer } from "./support/test-server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server.close(0);
  expect(server.errors).toEqual([]);
});

const openPost = headers(1, postPairs, Flag.EndHeaders);
const block = encodePreparedBlock(getPairs);
const withBlock = (...bytes: number[]): Buffer =>
  frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 1, Buffer.from(bytes));

/** What ends the connection (RFC 9113 section 5.4.1): by section, what is sent after the handshake, and the code. */
const connectionErrors: readonly [section: string, what: string, code: number, ...sent: Buffer[]][] = [
  [
    "4.2",
    "HEADERS above SETTINGS_MAX_FRAME_SIZE",
    ErrorCode.FrameSizeError,
    frame(FrameType.Headers, 5, 1, Buffer.alloc(16_385)),
  ],
  [
    "4.2",
    "a frame length of which nothing but the header came",
    ErrorCode.FrameSizeError,
    frame(FrameType.Settings, 0, 0, Buffer.alloc(0), 2 ** 24 - 1),
  ],
  ["4.3", "a block that ends within a field", ErrorCode.CompressionError, withBlock(0x82, 0x40)],
  ["5.1", "DATA on an idle stream", ErrorCode.ProtocolError, data(1, "x")],
  ["5.1", "RST_STREAM on an idle stream", ErrorCode.ProtocolError, frame(FrameType.ResetStream, 0, 1, word(8))],
  ["5.1", "WINDOW_UPDATE on an idle stream", ErrorCode.ProtocolError, frame(FrameType.WindowUpdate, 0, 1, word(8))],
  ["5.1", "HEADERS of a request on a closed stream", ErrorCode.StreamClosed, laneRequest(1), headers(1, getPairs)],
  ["5.1.1", "an even stream id", ErrorCode.ProtocolError, headers(2, getPairs)],
  ["5.1.1", "a stream id that was passed over", ErrorCode.ProtocolError, laneRequest(5), headers(3, getPairs)],
  ["6.1", "DATA on stream 0", ErrorCode.ProtocolError, data(0, "x")],
  [
    "6.1",
    "padding as long as its frame",
    ErrorCode.ProtocolError,
    openPost,
    frame(FrameType.Data, Flag.Padded, 1, Buffer.from([4, 0, 0, 0])),
  ],
  [
    "6.1",
    "a padded frame without a pad length",
    ErrorCode.FrameSizeError,
    openPost,
    frame(FrameType.Data, Flag.Padded, 1),
  ],
  ["6.2", "HEADERS on stream 0", ErrorCode.ProtocolError, headers(0, getPairs)],
  [
    "6.2",
    "HEADERS too short for its priority",
    ErrorCode.FrameSizeError,
    frame(FrameType.Headers, Flag.EndHeaders | Flag.Priority, 1, Buffer.alloc(4)),
  ],
  [
    "6.2",
    "HEADERS whose padding is longer than the rest",
    ErrorCode.ProtocolError,
    frame(FrameType.Headers, Flag.EndHeaders | Flag.Padded, 1, Buffer.from([9, 0x82])),
  ],
  ["6.3", "PRIORITY on stream 0", ErrorCode.ProtocolError, frame(FrameType.Priority, 0, 0, Buffer.alloc(5))],
  ["6.4", "RST_STREAM on stream 0", ErrorCode.ProtocolError, frame(FrameType.ResetStream, 0, 0, word(8))],
  [
    "6.4",
    "RST_STREAM of 3 bytes",
    ErrorCode.FrameSizeError,
    openPost,
    frame(FrameType.ResetStream, 0, 1, Buffer.alloc(3)),
  ],
  ["6.5", "SETTINGS on a stream", ErrorCode.ProtocolError, frame(FrameType.Settings, 0, 1)],
  ["6.5", "SETTINGS of 5 bytes", ErrorCode.FrameSizeError, frame(FrameType.Settings, 0, 0, Buffer.alloc(5))],
  [
    "6.5",
    "a SETTINGS acknowledgement with a payload",
    ErrorCode.FrameSizeError,
    frame(FrameType.Settings, Flag.Ack, 0, Buffer.alloc(6)),
  ],
  ["6.5.2", "SETTINGS_ENABLE_PUSH of 2", ErrorCode.ProtocolError, settings([Setting.EnablePush, 2])],
  [
    "6.5.2",
    "SETTINGS_INITIAL_WINDOW_SIZE of 2^31",
    ErrorCode.FlowControlError,
    settings([Setting.InitialWindowSize, 2 ** 31]),
  ],
  ["6.5.2", "SETTINGS_MAX_FRAME_SIZE of 16383", ErrorCode.ProtocolError, settings([Setting.MaxFrameSize, 16_383])],
  ["6.5.2", "SETTINGS_MAX_FRAME_SIZE of 2^24", ErrorCode.ProtocolError, settings([Setting.MaxFrameSize, 2 ** 24])],
  ["6.7", "PING on a stream", ErrorCode.ProtocolError, frame(FrameType.Ping, 0, 1, Buffer.alloc(8))],
  ["6.7", "PING of 7 bytes", ErrorCode.FrameSizeError, frame(FrameType.Ping, 0, 0, Buffer.alloc(7))],
  ["6.8", "GOAWAY on a stream", ErrorCode.ProtocolError, frame(FrameType.GoAway, 0, 1, Buffer.alloc(8))],
  ["6.8", "GOAWAY of 7 bytes", ErrorCode.FrameSizeError, frame(FrameType.GoAway, 0, 0, Buffer.alloc(7))],
  [
    "6.9",
    "WINDOW_UPDATE of 0 on the connection",
    ErrorCode.ProtocolError,
    frame(FrameType.WindowUpdate, 0, 0, word(0)),
  ],
  ["6.9", "WINDOW_UPDATE of 3 bytes", ErrorCode.FrameSizeError, frame(FrameType.WindowUpdate, 0, 0, Buffer.alloc(3))],
  [
    "6.9.1",
    "a connection window above 2^31-1",
    ErrorCode.FlowControlError,
    frame(FrameType.WindowUpdate, 0, 0, word(2 ** 31 - 1)),
  ],
  [
    "6.9.2",
    "an initial window that puts a stream's above 2^31-1",
    ErrorCode.FlowControlError,
    openPost,
    frame(FrameType.WindowUpdate, 0, 1, word(2 ** 31 - 1 - 65_535)),
    settings([Setting.InitialWindowSize, 65_536]),
  ],
  [
    "6.10",
    "CONTINUATION without HEADERS",
    ErrorCode.ProtocolError,
    frame(FrameType.Continuation, Flag.EndHeaders, 1, block),
  ],
  [
    "6.10",
    "PING within a header block",
    ErrorCode.ProtocolError,
    headers(1, getPairs, 0),
    frame(FrameType.Ping, 0, 0, Buffer.alloc(8)),
  ],
  [
    "6.10",
    "CONTINUATION of another stream",
    ErrorCode.ProtocolError,
    headers(1, getPairs, 0),
    frame(FrameType.Continuation, Flag.EndHeaders, 3, block),
  ],
  [
    "6.10",
    "an unknown frame within a header block",
    ErrorCode.ProtocolError,
    headers(1, getPairs, 0),
    frame(0x42, 0, 1),
  ],
  [
    "8.4",
    "PUSH_PROMISE",
    ErrorCode.ProtocolError,
    frame(FrameType.PushPromise, Flag.EndHeaders, 1, Buffer.concat([word(2), block])),
  ],
  ["RFC 7541 2.3.3", "an index beyond both tables", ErrorCode.CompressionError, withBlock(0xbe)],
  ["RFC 7541 4.2", "a table size update after a field", ErrorCode.CompressionError, withBlock(0x82, 0x20)],
  [
    "RFC 7541 5.1",
    "an integer without an end",
    ErrorCode.CompressionError,
    withBlock(0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01),
  ],
  ["RFC 7541 5.2", "a string longer than its block", ErrorCode.CompressionError, withBlock(0x04, 0x05, 0x2f)],
  ["RFC 7541 5.2", "Huffman padding of 8 ones", ErrorCode.CompressionError, withBlock(0x04, 0x83, 0x60, 0x00, 0xff)],
  ["RFC 7541 5.2", "Huffman padding of 10 ones", ErrorCode.CompressionError, withBlock(0x04, 0x82, 0x63, 0xff)],
  ["RFC 7541 5.2", "Huffman padding of zeros", ErrorCode.CompressionError, withBlock(0x04, 0x81, 0x60)],
  ["RFC 7541 5.2", "EOS in a string", ErrorCode.CompressionError, withBlock(0x04, 0x84, 0xff, 0xff, 0xff, 0xff)],
  ["RFC 7541 6.1", "index 0", ErrorCode.CompressionError, withBlock(0x80)],
  ["RFC 7541 6.3", "a table above SETTINGS_HEADER_TABLE_SIZE", ErrorCode.CompressionError, withBlock(0x3f, 0xe2, 0x1f)],
];

describe("what ends the connection", () => {
  it.each(connectionErrors)("%s: %s", async (_section, _what, code, ...sent) => {
    const client = await RawClient.connect(server.port);
    client.send(...sent);
    expect(await client.goAwayCode()).toBe(code);
    await client.closed();
  });

  it.each([
    ["something else than the preface", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")],
    ["a first frame that is no SETTINGS", Buffer.concat([clientPreface, frame(FrameType.Ping, 0, 0, Buffer.alloc(8))])],
    ["a first frame that acknowledges SETTINGS", Buffer.concat([clientPreface, settingsAck])],
  ])("3.4: %s", async (_what, first) => {
    const client = await RawClient.connect(server.port, first);
    expect(await client.goAwayCode()).toBe(ErrorCode.ProtocolError);
    await client.closed();
  });
});

const base = Object.fromEntries(getPairs);
const request = (...pairs: [string, string][]): Buffer => headers(1, pairs);
const requestWith = (...more: [string, string][]): Buffer => headers(1, [...getPairs, ...more]);
const requestBut = (changed: Record<string, string | null>): Buffer =>
  headers(
    1,
    Object.entries({ ...base, ...changed }).filter((pair): pair is [string, string] => pair[1] !== null),
  );

/** What resets the stream and leaves the connection be (section 5.4.2). */
const streamErrors: readonly [section: string, what: string, code: number, ...sent: Buffer[]][] = [
  [
    "4.2",
    "DATA above SETTINGS_MAX_FRAME_SIZE",
    ErrorCode.FrameSizeError,
    openPost,
    frame(FrameType.Data, 0, 1, Buffer.alloc(20_000)),
  ],
  [
    "5.1",
    "DATA after END_STREAM",
    ErrorCode.StreamClosed,
    settings([Setting.InitialWindowSize, 0]),
    headers(1, getPairs),
    data(1, "x"),
  ],
  [
    "5.1",
    "HEADERS after END_STREAM",
    ErrorCode.StreamClosed,
    settings([Setting.InitialWindowSize, 0]),
    headers(1, getPairs),
    headers(1, getPairs),
  ],
  ["6.3", "PRIORITY of 4 bytes", ErrorCode.FrameSizeError, openPost, frame(FrameType.Priority, 0, 1, Buffer.alloc(4))],
  [
    "RFC 7540 5.3.1",
    "a stream that depends on itself",
    ErrorCode.ProtocolError,
    openPost,
    frame(FrameType.Priority, 0, 1, Buffer.concat([word(1), Buffer.alloc(1)])),
  ],
  ["6.9", "WINDOW_UPDATE of 0", ErrorCode.ProtocolError, openPost, frame(FrameType.WindowUpdate, 0, 1, word(0))],
  [
    "6.9.1",
    "a stream window above 2^31-1",
    ErrorCode.FlowControlError,
    openPost,
    frame(FrameType.WindowUpdate, 0, 1, word(2 ** 31 - 1)),
  ],
  [
    "8.1",
    "a second HEADERS without END_STREAM",
    ErrorCode.ProtocolError,
    openPost,
    headers(1, [["x", "y"]], Flag.EndHeaders),
  ],
  ["8.1", "a pseudo-header field in trailers", ErrorCode.ProtocolError, openPost, headers(1, [[":path", "/"]])],
  [
    "8.1.1",
    "a body longer than content-length",
    ErrorCode.ProtocolError,
    headers(1, [...postPairs, ["content-length", "1"]], Flag.EndHeaders),
    data(1, "xx"),
  ],
  [
    "8.1.1",
    "a body shorter than content-length",
    ErrorCode.ProtocolError,
    headers(1, [...postPairs, ["content-length", "3"]], Flag.EndHeaders),
    data(1, "xx"),
  ],
  ["8.1.1", "a content-length and no body", ErrorCode.ProtocolError, requestWith(["content-length", "3"])],
  [
    "8.1.1",
    "two content-lengths",
    ErrorCode.ProtocolError,
    headers(1, [...postPairs, ["content-length", "1"], ["content-length", "2"]], Flag.EndHeaders),
  ],
  ["8.1.1", "a content-length that is no number", ErrorCode.ProtocolError, requestWith(["content-length", "+0"])],
  ["8.2.1", "an upper-case field name", ErrorCode.ProtocolError, requestWith(["X-Test", "a"])],
  ["8.2.1", "an empty field name", ErrorCode.ProtocolError, requestWith(["", "a"])],
  ["8.2.1", "a space in a field name", ErrorCode.ProtocolError, requestWith(["x test", "a"])],
  ["8.2.1", "a colon in a field name", ErrorCode.ProtocolError, requestWith(["x:test", "a"])],
  ["8.2.1", "a non-ASCII field name", ErrorCode.ProtocolError, requestWith(["x\xff", "a"])],
  ["8.2.1", "NUL in a value", ErrorCode.ProtocolError, requestWith(["x", "a\0b"])],
  ["8.2.1", "LF in a value", ErrorCode.ProtocolError, requestWith(["x", "a\nb"])],
  ["8.2.1", "CR in a value", ErrorCode.ProtocolError, requestWith(["x", "a\rb"])],
  ...["connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade"].map(
    (name): [string, string, number, Buffer] => ["8.2.2", name, ErrorCode.ProtocolError, requestWith([name, "a"])],
  ),
  ["8.2.2", "te of gzip", ErrorCode.ProtocolError, requestWith(["te", "trailers, gzip"])],
  [
    "8.3",
    "a pseudo-header field after another",
    ErrorCode.ProtocolError,
    request([":method", "GET"], [":scheme", "http"], ["x", "y"], [":path", "/"]),
  ],
  [
    "8.3",
    "an unknown pseudo-header field",
    ErrorCode.ProtocolError,
    request([":method", "GET"], [":scheme", "http"], [":path", "/"], [":protocol", "x"]),
  ],
  [
    "8.3",
    "a response's pseudo-header field",
    ErrorCode.ProtocolError,
    request([":method", "GET"], [":scheme", "http"], [":path", "/"], [":status", "200"]),
  ],
  ["8.3.1", "no method", ErrorCode.ProtocolError, requestBut({ ":method": null })],
  ["8.3.1", "no scheme", ErrorCode.ProtocolError, requestBut({ ":scheme": null })],
  ["8.3.1", "no path", ErrorCode.ProtocolError, requestBut({ ":path": null })],
  ["8.3.1", "an empty path", ErrorCode.ProtocolError, requestBut({ ":path": "" })],
  ["8.3.1", "a path that does not begin with a slash", ErrorCode.ProtocolError, requestBut({ ":path": "x" })],
  ["8.3.1", "a path with a space", ErrorCode.ProtocolError, requestBut({ ":path": "/ x" })],
  ["8.3.1", "* for GET", ErrorCode.ProtocolError, requestBut({ ":path": "*" })],
  [
    "8.3.1",
    "two methods",
    ErrorCode.ProtocolError,
    request([":method", "GET"], [":method", "GET"], [":scheme", "http"], [":path", "/"]),
  ],
  ["8.3.1", "userinfo in the authority", ErrorCode.ProtocolError, requestBut({ ":authority": "user@localhost" })],
  ["8.3.1", "a Host that is not the authority", ErrorCode.ProtocolError, requestWith(["host", "elsewhere"])],
  ["8.5", "CONNECT with a path", ErrorCode.ProtocolError, requestBut({ ":method": "CONNECT" })],
];

/** What a client wrote before it knew, or behind its own RST_STREAM: it costs its stream at most. */
const lateFrames: readonly [what: string, ...sent: Buffer[]][] = [
  ["DATA behind END_STREAM", laneRequest(1), data(1, "x", 0)],
  ["a second END_STREAM", laneRequest(1), data(1, "")],
  ["trailers behind END_STREAM", laneRequest(1), headers(1, [["x", "y"]])],
  ["DATA behind its own RST_STREAM", openPost, frame(FrameType.ResetStream, 0, 1, word(8)), data(1, "x")],
  [
    "trailers behind its own RST_STREAM",
    openPost,
    frame(FrameType.ResetStream, 0, 1, word(8)),
    headers(1, [["x", "y"]]),
  ],
  ["malformed trailers", laneRequest(1), headers(1, [["X", "y"]])],
  ["an oversized frame of DATA", laneRequest(1), frame(FrameType.Data, 0, 1, Buffer.alloc(20_000))],
];

describe("5.1: frames on a stream that is closed", () => {
  it.each(lateFrames)("reset that stream alone: %s", async (_what, ...sent) => {
    const client = await RawClient.connect(server.port);
    client.send(...sent);
    expect(await client.resetCode(1)).toBe(ErrorCode.StreamClosed);
    client.send(...sent.slice(-1), ...sent.slice(-1), laneRequest(101, "alive"));
    expect(await client.body(101)).toEqual(Buffer.from("alive"));
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toHaveLength(1);
    client.close();
  });

  it("count for the windows and for the header table all the same", async () => {
    const client = await RawClient.connect(server.port);
    client.send(openPost, frame(FrameType.ResetStream, 0, 1, word(8)));
    for (let sent = 0; sent < 100; sent++) {
      client.send(data(1, Buffer.alloc(16_384), 0));
      await client.ping(`ping${String(sent).padStart(4)}`);
    }
    const trailers = Buffer.from([0x40, 0x01, 0x78, 0x01, 0x79]);
    client.send(frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 1, trailers));
    const next = Buffer.concat([block, Buffer.from([0xbe])]);
    client.send(frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 3, next));
    expect((await client.body(3)).toString()).toContain("hello");
    client.close();
  });
});

describe("what resets a stream and leaves the connection be", () => {
  it.each(streamErrors)("%s: %s", async (_section, _what, code, ...sent) => {
    const client = await RawClient.connect(server.port);
    client.send(...sent);
    expect(await client.resetCode(1)).toBe(code);
    client.send(settings([Setting.InitialWindowSize, 65_535]), laneRequest(101, "alive"));
    expect(await client.body(101)).toEqual(Buffer.from("alive"));
    client.close();
  });

  it("6.9.1: DATA beyond the stream's window", async () => {
    const stuck = await startTestServer({ handle: async () => new Promise(() => {}) });
    const client = await RawClient.connect(stuck.port);
    client.send(openPost, ...Array.from({ length: 5 }, () => data(1, Buffer.alloc(16_384), 0)));
    expect(await client.resetCode(1)).toBe(ErrorCode.FlowControlError);
    await client.ping();
    client.close();
    await stuck.close(0);
  });
});

describe("what is ignored", () => {
  it.each([
    ["4.1: an unknown frame type", frame(0xab, 0xff, 77, Buffer.alloc(100))],
    ["4.1: flags that mean nothing", frame(FrameType.Ping, 0xfe, 0, Buffer.from("pingpong"))],
    ["4.1: the reserved bit", frame(FrameType.WindowUpdate, 0, 0x80000000, word(0x80000001))],
    ["6.3: PRIORITY on an idle stream", frame(FrameType.Priority, 0, 7, Buffer.alloc(5))],
    ["6.4: an unknown error code", Buffer.concat([openPost, frame(FrameType.ResetStream, 0, 1, word(0xdeadbeef))])],
    ["6.5.2: an unknown setting", settings([0x99, 1])],
    [
      "5.1: WINDOW_UPDATE on a closed stream",
      Buffer.concat([laneRequest(1), frame(FrameType.WindowUpdate, 0, 1, word(1))]),
    ],
    [
      "5.1: RST_STREAM on a closed stream",
      Buffer.concat([laneRequest(1), frame(FrameType.ResetStream, 0, 1, word(8))]),
    ],
    ["6.8: GOAWAY from the client", frame(FrameType.GoAway, 0, 0, Buffer.alloc(8))],
  ])("%s", async (_what, sent) => {
    const client = await RawClient.connect(server.port);
    client.send(sent, laneRequest(101, "alive"));
    expect(await client.body(101)).toEqual(Buffer.from("alive"));
    client.close();
  });

  it("5.1: what the client sent before it knew of our RST_STREAM, which still counts for the header table and the window", async () => {
    const client = await RawClient.connect(server.port);
    client.send(headers(1, [...postPairs, ["X", "malformed"]], Flag.EndHeaders));
    expect(await client.resetCode(1)).toBe(ErrorCode.ProtocolError);
    // More DATA than the connection's window holds, given back as it is dropped; and trailers that add to the table.
    for (let sent = 0; sent < 100; sent++) {
      client.send(data(1, Buffer.alloc(16_384), 0));
      await client.ping(`ping${String(sent).padStart(4)}`);
    }
    client.send(
      frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 1, Buffer.from([0x40, 0x01, 0x78, 0x01, 0x79])),
    );
    client.send(
      frame(FrameType.Headers, Flag.EndHeaders | Flag.EndStream, 3, Buffer.concat([block, Buffer.from([0xbe])])),
    );
    expect((await client.body(3)).toString()).toContain("hello");
    client.close();
  });
});

describe("requests that are as they should be", () => {
  it("8.2.1: values with blanks at their ends, which gRPC clients send as they are given to them, as often as they come", async () => {
    const seen: (string | null)[] = [];
    const strict = await startTestServer({
      limits: { resetBudget: 10 },
      handle: async ({ headers: all }) => {
        seen.push(all.get("x"));
        return { status: 204 };
      },
    });
    const client = await RawClient.connect(strict.port);
    for (let id = 1; id < 101; id += 2) {
      client.send(headers(id, [...getPairs, ["x", id % 4 === 1 ? " a b\t" : "  "], ["te", "trailers "]]));
      await client.body(id);
    }
    expect(new Set(seen)).toEqual(new Set(["a b", ""]));
    client.close();
    await strict.close(0);
  });

  it("8.3.1: Host without :authority, OPTIONS *, te trailers, two equal content-lengths", async () => {
    const client = await RawClient.connect(server.port);
    client.send(requestBut({ ":authority": null, host: "localhost" }));
    client.send(headers(3, Object.entries({ ...base, ":method": "OPTIONS", ":path": "*", te: "Trailers" })));
    client.send(headers(5, [...getPairs, ["content-length", "0"], ["content-length", "0"]]));
    for (const id of [1, 3, 5]) {
      expect((await client.body(id)).toString()).toContain("hello");
    }
    client.close();
  });

  it("8.1.1: a body that ends short once the response has begun leaves the response whole", async () => {
    let finish = (): void => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const early = await startTestServer({
      handle: () =>
        Promise.resolve({
          status: 200,
          header: [["content-type", "text/plain"]],
          body: (async function* () {
            await finished;
            yield Buffer.from("too large");
          })(),
          trailer: [["grpc-status", "8"]],
        }),
    });
    const client = await RawClient.connect(early.port);
    client.send(headers(1, [...postPairs, ["content-length", "9"]], Flag.EndHeaders), data(1, "x", 0));
    await client.frame(({ type, streamId }) => type === FrameType.Headers && streamId === 1);
    client.send(data(1, "y", Flag.EndStream));
    await client.ping();
    finish();
    expect((await client.body(1)).toString()).toBe("too large");
    client.close();
    await early.close(0);
    expect(early.errors).toEqual([]);
  });

  it("8.1.1: a response that is made of such a body is reset, and no bug of the handler", async () => {
    const client = await RawClient.connect(server.port);
    client.send(headers(1, [...postPairs, ["content-length", "9"]], Flag.EndHeaders), data(1, "x", 0));
    await client.frame(({ type, streamId }) => type === FrameType.Data && streamId === 1);
    client.send(data(1, "y", Flag.EndStream));
    expect(await client.resetCode(1)).toBe(ErrorCode.ProtocolError);
    client.close();
  });

  it("8.5: CONNECT is answered 501", async () => {
    const client = await RawClient.connect(server.port);
    client.send(request([":method", "CONNECT"], [":authority", "localhost:80"]));
    const { payload } = await client.frame(({ type, streamId }) => type === FrameType.Headers && streamId === 1);
    expect(client.decode(payload)).toEqual([[":status", "501"]]);
    client.close();
  });

  it("6.1, 6.2: padding and priority are taken off", async () => {
    const client = await RawClient.connect(server.port);
    const padded = Buffer.concat([
      Buffer.from([3]),
      word(0x80000000),
      Buffer.from([9]),
      encodePreparedBlock(postPairs),
      Buffer.alloc(3),
    ]);
    client.send(frame(FrameType.Headers, Flag.EndHeaders | Flag.Padded | Flag.Priority, 1, padded));
    client.send(frame(FrameType.Data, Flag.Padded | Flag.EndStream, 1, Buffer.from("\x02hi\0\0")));
    expect((await client.body(1)).toString()).toBe("hi");
    client.close();
  });
});
