import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import {
  answersBoth,
  connectRaw,
  echo,
  frame,
  headersFrame,
  literalHeaders,
  postHeaders,
  preface,
  settingsFrame,
  startRig,
} from "./http-rig.ts";

const hosted = "Host: localhost\r\n";

describe("broken frames end their own connection only", () => {
  const post = postHeaders(1);
  it.each([
    ["only a preface", preface],
    ["no SETTINGS first", Buffer.concat([preface, post])],
    ["a SETTINGS of odd length", Buffer.concat([preface, frame(4, 0, 0, Buffer.alloc(5))])],
    [
      "a SETTINGS with a window too large",
      Buffer.concat([preface, frame(4, 0, 0, Buffer.from([0, 4, 0xff, 0xff, 0xff, 0xff]))]),
    ],
    ["a frame larger than allowed", Buffer.concat([preface, settingsFrame, Buffer.from("ffffff000000000001", "hex")])],
    ["a frame cut in its header", Buffer.concat([preface, settingsFrame, post.subarray(0, 5)])],
    ["a frame cut in its payload", Buffer.concat([preface, settingsFrame, post.subarray(0, 20)])],
    ["HEADERS on stream 0", Buffer.concat([preface, settingsFrame, postHeaders(0)])],
    ["HEADERS on an even stream", Buffer.concat([preface, settingsFrame, postHeaders(2)])],
    ["DATA on an idle stream", Buffer.concat([preface, settingsFrame, frame(0, 0, 1, Buffer.from("x"))])],
    ["a header block of noise", Buffer.concat([preface, settingsFrame, frame(1, 4, 1, Buffer.alloc(50, 0xff))])],
    [
      "an HPACK index out of range",
      Buffer.concat([preface, settingsFrame, frame(1, 4, 1, Buffer.from([0xff, 0xff, 0x7f]))]),
    ],
    [
      "a CONTINUATION that nothing started",
      Buffer.concat([preface, settingsFrame, frame(9, 4, 1, literalHeaders([["a", "b"]]))]),
    ],
    [
      "another frame inside a header block",
      Buffer.concat([
        preface,
        settingsFrame,
        frame(1, 0, 1, literalHeaders([["a", "b"]])),
        frame(6, 0, 0, Buffer.alloc(8)),
      ]),
    ],
    ["WINDOW_UPDATE of 0", Buffer.concat([preface, settingsFrame, frame(8, 0, 0, Buffer.alloc(4))])],
    [
      "a window beyond 2^31-1",
      Buffer.concat([preface, settingsFrame, frame(8, 0, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))]),
    ],
    ["RST_STREAM of an idle stream", Buffer.concat([preface, settingsFrame, frame(3, 0, 1, Buffer.alloc(4))])],
    ["PUSH_PROMISE from a client", Buffer.concat([preface, settingsFrame, frame(5, 4, 1, Buffer.alloc(4))])],
    ["GOAWAY", Buffer.concat([preface, settingsFrame, frame(7, 0, 0, Buffer.alloc(8))])],
    [
      "a request without a method",
      Buffer.concat([preface, settingsFrame, headersFrame(1, [[":path", "/"]], { endStream: true })]),
    ],
    ["two :method fields", Buffer.concat([preface, settingsFrame, postHeaders(1, [[":method", "GET"]])])],
    [
      "two :authority fields",
      Buffer.concat([
        preface,
        settingsFrame,
        headersFrame(1, [
          [":method", "GET"],
          [":scheme", "http"],
          [":path", "/"],
          [":authority", "a"],
          [":authority", "b"],
        ]),
      ]),
    ],
    [
      "a pseudo header after a field",
      Buffer.concat([
        preface,
        settingsFrame,
        postHeaders(1, [
          ["x", "y"],
          [":foo", "bar"],
        ]),
      ]),
    ],
    ["a field in capitals", Buffer.concat([preface, settingsFrame, postHeaders(1, [["X-Y", "z"]])])],
    ["a field with a line break", Buffer.concat([preface, settingsFrame, postHeaders(1, [["x", "a\r\nb: c"]])])],
    ["a connection field", Buffer.concat([preface, settingsFrame, postHeaders(1, [["connection", "close"]])])],
    [
      "a content-length that lies",
      Buffer.concat([
        preface,
        settingsFrame,
        postHeaders(1, [["content-length", "9"]]),
        frame(0, 1, 1, Buffer.from("x")),
      ]),
    ],
    [
      "a content-length of 10^30",
      Buffer.concat([preface, settingsFrame, postHeaders(1, [["content-length", `1${"0".repeat(30)}`]])]),
    ],
    ["10 000 header fields", Buffer.concat([preface, settingsFrame, ...manyHeaders(10_000)])],
    ["TLS inside", Buffer.concat([preface, Buffer.from("1603010200010001fc0303", "hex"), Buffer.alloc(500)])],
  ])("%s", async (_name, bytes) => {
    await using rig = await startRig({ handler: echo });
    const socket = await connectRaw(rig.port);
    socket.resume();
    socket.write(bytes);
    expect(await answersBoth(rig)).toBe(true);
    socket.resetAndDestroy();
    expect(await answersBoth(rig)).toBe(true);
    expect(rig.log).toEqual([]);
  });

  it("any cut of a good conversation, ended and reset", async () => {
    await using rig = await startRig({ handler: echo });
    const whole = Buffer.concat([preface, settingsFrame, post, frame(0, 1, 1, Buffer.from("body"))]);
    for (let length = 1; length <= whole.byteLength; length += 1) {
      const socket = await connectRaw(rig.port);
      socket.resume();
      if (length % 2 === 0) {
        socket.end(whole.subarray(0, length));
        await once(socket, "close");
      } else {
        await new Promise((resolve) => socket.write(whole.subarray(0, length), resolve));
        socket.resetAndDestroy();
      }
    }
    expect(await answersBoth(rig)).toBe(true);
    expect(rig.log).toEqual([]);
  });

  it("1 000 conversations with bytes changed at random", async () => {
    await using rig = await startRig({ handler: echo });
    const whole = Buffer.concat([
      preface,
      settingsFrame,
      post,
      frame(0, 0, 1, Buffer.from("body")),
      frame(0, 1, 1),
      postHeaders(3),
    ]);
    const text = Buffer.from(`POST /x HTTP/1.1\r\n${hosted}Content-Length: 4\r\n\r\nbody`);
    for (let round = 0; round < 20; round += 1) {
      const sockets = await Promise.all(Array.from({ length: 50 }, () => connectRaw(rig.port)));
      for (const [index, socket] of sockets.entries()) {
        const bytes = Buffer.from(index % 2 === 0 ? whole : text);
        for (const place of randomBytes(3)) {
          bytes[place % bytes.byteLength] = randomBytes(1)[0] ?? 0;
        }
        socket.resume();
        socket.end(bytes);
      }
      await Promise.all(sockets.map((socket) => (socket.closed ? undefined : once(socket, "close"))));
    }
    expect(await answersBoth(rig)).toBe(true);
  });
});

function manyHeaders(count: number): Buffer[] {
  const block = literalHeaders(Array.from({ length: count }, (_, index) => [`x-${index}`, "y"]));
  const frames = [postHeadersOpen()];
  for (let offset = 0; offset < block.byteLength; offset += 16_000) {
    const isLast = offset + 16_000 >= block.byteLength;
    frames.push(frame(9, isLast ? 4 : 0, 1, block.subarray(offset, offset + 16_000)));
  }
  return frames;
}

function postHeadersOpen(): Buffer {
  return frame(
    1,
    0,
    1,
    literalHeaders([
      [":method", "POST"],
      [":scheme", "http"],
      [":authority", "localhost"],
      [":path", "/"],
    ]),
  );
}
