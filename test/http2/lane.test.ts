import { Duplex } from "node:stream";
import { afterEach, expect, it } from "vitest";
import { ErrorCode } from "../../src/wire/http2/error-code.ts";
import { clientPreface, Flag, FrameType } from "../../src/wire/http2/frame.ts";
import type { Handler } from "../../src/wire/http2/general.ts";
import { encodePreparedBlock } from "../../src/wire/http2/hpack-encoder.ts";
import { Http2Server } from "../../src/wire/http2/http2-server.ts";
import type { Lane, LaneAnswer, LaneStream } from "../../src/wire/http2/lane.ts";
import type { Limits } from "../../src/wire/http2/limits.ts";
import { data, frame, getPairs, headers, lanePairs, laneRequest, settings, settingsAck } from "./support/raw-client.ts";
import { echoLane, lanePath } from "./support/test-server.ts";

/** A socket that the test writes into, and that keeps what is written to it: a buffer a write. */
class TestSocket extends Duplex {
  readonly writes: Buffer[] = [];

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(Buffer.from(chunk));
    done();
  }

  /** The type and stream of each frame that was written since the last call, by write. */
  takeFrames(): string[][] {
    return this.writes.splice(0).map((bytes) => {
      const frames: string[] = [];
      for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
        frames.push(`${bytes[at + 3]}/${bytes.readUInt32BE(at + 5)}`);
      }
      return frames;
    });
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const answer: LaneAnswer = {
  head: encodePreparedBlock([[":status", "200"]]),
  body: Buffer.from("ok"),
  trailer: encodePreparedBlock([["grpc-status", "0"]]),
};
let http2: Http2Server<string> | null = null;

async function connect(
  lane: Partial<Lane<string>>,
  limits: Partial<Limits> = {},
  handle: Handler<string> = async () => ({ status: 204 }),
): Promise<TestSocket> {
  const paths = new Map([[lanePath, { ...echoLane, ...lane } as Lane<string>]]);
  http2 = new Http2Server<string>({
    lanes: { headers: ["te", "x-list", "content-type", "absent"], paths },
    handle,
    onError: (error) => {
      throw error;
    },
    limits,
  });
  const socket = new TestSocket();
  http2.accept(socket, "the context");
  socket.push(Buffer.concat([clientPreface, settings(), settingsAck]));
  await turn();
  socket.takeFrames();
  return socket;
}

afterEach(async () => {
  await http2?.close(0);
});

const accepts = (): boolean => true;
const answerFrames = (id: number): string[] => [`1/${id}`, `0/${id}`, `1/${id}`];

it("answers all requests of one read in one write, wherever their frames lie in it", async () => {
  const socket = await connect({ accepts, answer: () => answer });
  const ids = [1, 3, 5, 7, 9, 11, 13, 15];
  const heads = ids.map((id) => headers(id, lanePairs, Flag.EndHeaders));
  const bodies = ids.map((id) => data(id, "body"));
  // As h2load and nghttp2 send them: all HEADERS, then all DATA.
  socket.push(Buffer.concat([...heads, ...bodies, frame(FrameType.Ping, 0, 0, Buffer.alloc(8))]));
  await turn();
  expect(socket.takeFrames()).toEqual([[...ids.flatMap(answerFrames), "6/0"]]);
});

it("shows each of several requests that are under way its own fields", async () => {
  const seen: (readonly (string | null)[])[] = [];
  const socket = await connect({
    accepts,
    answer: (_bytes, _start, _end, fields) => {
      seen.push([...fields]);
      return answer;
    },
  });
  const ids = [1, 3, 5, 7];
  socket.push(
    Buffer.concat([
      ...ids.map((id) => headers(id, [...lanePairs, ["x-list", `of ${id}`]], Flag.EndHeaders)),
      ...ids.reverse().map((id) => data(id, "body")),
    ]),
  );
  await turn();
  expect(seen.map((fields) => fields[1])).toEqual(["of 7", "of 5", "of 3", "of 1"]);
});

it("writes answers that come later, and are ready at one time, together", async () => {
  const releases: (() => void)[] = [];
  const socket = await connect({
    accepts,
    answer: () => new Promise((resolve) => releases.push(() => resolve(answer))),
  });
  socket.push(Buffer.concat([laneRequest(1), laneRequest(3), laneRequest(5)]));
  await turn();
  expect(socket.takeFrames()).toEqual([]);
  // The last first: an answer waits for no other.
  for (const release of releases.reverse()) {
    release();
  }
  await turn();
  await turn();
  expect(socket.takeFrames()).toEqual([[5, 3, 1].flatMap(answerFrames)]);
});

it("hands over the whole body where it lies, the asked headers in order, and the context", async () => {
  const seen: unknown[] = [];
  const socket = await connect({
    accepts,
    answer: (bytes, start, end, [...laneHeaders], context) => {
      seen.push([Buffer.from(bytes.subarray(start, end)).toString(), laneHeaders, context]);
      return answer;
    },
  });
  const pairs = [...lanePairs, ["x-list", "a"], ["x-list", "b"]] as const;
  const padded = Buffer.from("\x03padded\0\0\0");
  socket.push(Buffer.concat([headers(1, pairs, Flag.EndHeaders), data(1, "in ", 0), data(1, "", 0), data(1, "parts")]));
  socket.push(
    Buffer.concat([headers(3, lanePairs, Flag.EndHeaders), frame(0, Flag.EndStream | Flag.Padded, 3, padded)]),
  );
  socket.push(
    Buffer.concat([headers(5, lanePairs, Flag.EndHeaders), data(5, "x", 0), headers(5, [["x-list", "trailer"]])]),
  );
  socket.push(headers(7, lanePairs));
  await turn();
  const plain = ["trailers", null, "application/grpc", null];
  expect(seen).toEqual([
    ["in parts", ["trailers", "a, b", "application/grpc", null], "the context"],
    ["padded", plain, "the context"],
    ["x", plain, "the context"],
    ["", plain, "the context"],
  ]);
});

it("sends what the lane does not accept, or is no POST, or has another path, the general way", async () => {
  const socket = await connect({
    accepts: (laneHeaders) => laneHeaders[2] === "application/grpc",
    answer: () => answer,
  });
  const changed = (name: string, value: string) =>
    lanePairs.map(([key, old]): [string, string] => [key, key === name ? value : old]);
  socket.push(
    Buffer.concat([
      headers(1, changed("content-type", "application/json")),
      headers(3, changed(":method", "GET")),
      headers(5, changed(":path", `${lanePath}?x`)),
      headers(7, lanePairs),
    ]),
  );
  await turn();
  await turn();
  expect(socket.takeFrames().flat().toSorted()).toEqual(["1/1", "1/3", "1/5", ...answerFrames(7)].toSorted());
});

it("sends an answer without a body, or without trailers, in as many frames as it has parts", async () => {
  const answers: LaneAnswer[] = [
    { head: answer.head, body: null, trailer: null },
    { head: answer.head, body: answer.body, trailer: null },
    { head: answer.head, body: null, trailer: answer.trailer },
  ];
  const socket = await connect({ accepts, answer: () => answers.shift() ?? answer });
  socket.push(Buffer.concat([laneRequest(1), laneRequest(3), laneRequest(5)]));
  await turn();
  const written = Buffer.concat(socket.writes);
  expect(socket.takeFrames()).toEqual([["1/1", "1/3", "0/3", "1/5", "1/5"]]);
  // END_STREAM is on the last part of each.
  const flags: number[] = [];
  for (let at = 0; at < written.length; at += 9 + written.readUIntBE(at, 3)) {
    flags.push((written[at + 4] ?? 0) & Flag.EndStream);
  }
  expect(flags).toEqual([1, 0, 1, 0, 1]);
});

it("tells a lane whose answer comes later that the client has given up, and sends nothing then", async () => {
  const later = Promise.withResolvers<LaneAnswer>();
  const streams: LaneStream[] = [];
  const socket = await connect({
    accepts,
    answer: (_bytes, _start, _end, _headers, _context, stream) => {
      streams.push(stream);
      return later.promise;
    },
  });
  socket.push(Buffer.concat([laneRequest(1), laneRequest(3)]));
  await turn();
  expect(streams.map(({ isClosed }) => isClosed)).toEqual([false, false]);
  const code = Buffer.alloc(4);
  code[3] = ErrorCode.Cancel;
  socket.push(frame(FrameType.ResetStream, 0, 1, code));
  await turn();
  expect(streams.map(({ isClosed }) => isClosed)).toEqual([true, false]);
  later.resolve(answer);
  await turn();
  await turn();
  expect(socket.takeFrames().flat()).toEqual(answerFrames(3));
});

it.each([
  // Two frames a request.
  ["lane requests", laneRequest, 50],
  // A frame, and what it takes to begin a handler.
  ["general requests", (id: number) => headers(id, getPairs), 5],
])("does no more than maxWorkPerTurn of %s in a turn, and all of it in the end", async (_what, request, mostATurn) => {
  let begun = 0;
  const count = (): LaneAnswer => {
    begun++;
    return answer;
  };
  const handle = async () => {
    count();
    return { status: 204 };
  };
  const socket = await connect({ accepts, answer: count }, { maxWorkPerTurn: 100, maxGeneralPerTurn: 100 }, handle);
  const requests = 1_000;
  socket.push(Buffer.concat(Array.from({ length: requests }, (_, at) => request(2 * at + 1))));
  let most = begun;
  for (let turns = 0; turns < 1_000 && begun < requests; turns++) {
    const before = begun;
    await turn();
    most = Math.max(most, begun - before);
  }
  expect(begun).toBe(requests);
  // One frame more may take it past the bound; and the test's turn may fall between two of the connection's.
  expect(most).toBeLessThanOrEqual(2 * (mostATurn + 1));
});

it("does not write again into a buffer that a socket has not taken yet", async () => {
  const socket = await connect({
    accepts,
    answer: (bytes, start, end) => ({ ...answer, body: Buffer.from(bytes.subarray(start, end)) }),
  });
  const held: Buffer[] = [];
  socket._write = (chunk: Buffer) => {
    held.push(chunk);
  };
  const other = new TestSocket();
  http2?.accept(other, "another");
  other.push(Buffer.concat([clientPreface, settings(), settingsAck]));
  socket.push(laneRequest(1, "first"));
  await turn();
  const [written] = held;
  const before = Buffer.from(written ?? []);
  for (let id = 1; id < 100; id += 2) {
    other.push(laneRequest(id, "another"));
    await turn();
  }
  expect(before.includes("first")).toBe(true);
  expect(written?.equals(before)).toBe(true);
  socket.destroy();
});
