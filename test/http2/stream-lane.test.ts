import { afterEach, describe, expect, it } from "vitest";
import { Account } from "../../src/wire/http2/account.ts";
import { ErrorCode } from "../../src/wire/http2/error-code.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../src/wire/http2/frame.ts";
import { encodePreparedBlock } from "../../src/wire/http2/hpack-encoder.ts";
import type { Listener, Speaker, StreamLane } from "../../src/wire/http2/stream-lane.ts";
import { data, frame, headers, lanePairs, RawClient, settings, settingsAck, word } from "./support/raw-client.ts";
import { startTestServer, streamPath, type TestServer, type TestServerOptions } from "./support/test-server.ts";

const head = encodePreparedBlock([
  [":status", "200"],
  ["content-type", "application/grpc"],
]);
const trailer = encodePreparedBlock([["grpc-status", "0"]]);
const streamPairs = lanePairs.map(([name, value]) => [name, name === ":path" ? streamPath : value] as const);

/** One stream as its lane sees it. */
type Told = { readonly speaker: Speaker; readonly heard: string[] };

const told: Told[] = [];
let server: TestServer | null = null;
let client: RawClient | null = null;

/** Notes what it hears, and says what the test says. */
const notingLane: StreamLane<null> = {
  accepts: ([contentType]) => contentType === "application/grpc",
  open(_headers, _context, speaker) {
    const heard: string[] = [];
    told.push({ speaker, heard });
    return {
      keptBytes: 0,
      hear(bytes, start, end) {
        heard.push(bytes.toString("latin1", start, end));
        return 0;
      },
      hearEnd: () => heard.push("the end"),
      onRoom: () => heard.push("room"),
      onClosed: () => heard.push("closed"),
    };
  },
};

type Begin = { readonly lane?: StreamLane<null>; readonly first?: Buffer };

/** Begins so many streams, and returns them as their lane sees them. */
async function begin(
  count = 1,
  { lane = notingLane, first, ...options }: Omit<TestServerOptions, "lane" | "streamLane"> & Begin = {},
): Promise<{ client: RawClient; streams: readonly Told[] }> {
  server = await startTestServer({ streamLane: lane, ...options });
  client = await RawClient.connect(server.port, first);
  const ids = Array.from({ length: count }, (_, at) => 2 * at + 1);
  client.send(...ids.map((id) => headers(id, streamPairs, Flag.EndHeaders)));
  await client.ping("begun...");
  return { client, streams: told };
}

function streamAt(streams: readonly Told[], at: number): Told {
  const stream = streams[at];
  if (stream === undefined) {
    throw new Error("no such stream has begun");
  }
  return stream;
}

afterEach(async () => {
  client?.close();
  await server?.close();
  told.length = 0;
});

it("hands each part of a body on as it comes, and says what its lane says", async () => {
  const { client, streams } = await begin();
  const { speaker, heard } = streamAt(streams, 0);
  client.send(data(1, "one", 0));
  await client.ping("ping one");
  expect(heard).toEqual(["one"]);
  speaker.begin(head);
  speaker.send(Buffer.from("first"));
  await client.frame(({ type, streamId }) => type === FrameType.Data && streamId === 1);
  client.send(data(1, "two", 0), data(1, "", Flag.EndStream));
  await client.ping("ping two");
  expect(heard).toEqual(["one", "two", "the end"]);
  speaker.send(Buffer.from(", second"));
  speaker.end(trailer);
  expect((await client.body(1)).toString()).toBe("first, second");
  expect(heard).toEqual(["one", "two", "the end"]);
});

it("counts what it was handed as read: the stream's window stays open for ever", async () => {
  const { client, streams } = await begin();
  for (let part = 0; part < 40; part += 1) {
    client.send(data(1, Buffer.alloc(16_384, 0x61), 0));
    await client.ping(`part ${String(part).padStart(3)}`);
  }
  expect(streamAt(streams, 0).heard.join("")).toHaveLength(40 * 16_384);
  streamAt(streams, 0).speaker.end(head);
});

it("does no more than maxWorkPerTurn of what its lane tells of in a turn, and all of it in the end", async () => {
  let turn = 0;
  const turns: number[] = [];
  const busy: StreamLane<null> = {
    ...notingLane,
    open: (...all) => {
      const listener = notingLane.open(...all);
      return (
        listener && {
          ...listener,
          hear() {
            turns.push(turn);
            return 500;
          },
        }
      );
    },
  };
  const { client } = await begin(1, { lane: busy });
  let isOver = false;
  const count = () => {
    turn += 1;
    if (!isOver) {
      setImmediate(count);
    }
  };
  count();
  client.send(...Array.from({ length: 100 }, () => data(1, "x", 0)));
  await client.ping();
  isOver = true;
  expect(turns).toHaveLength(100);
  expect(Math.max(...turns.map((one) => turns.filter((other) => other === one).length))).toBeLessThanOrEqual(4);
});

describe("where a window is full", () => {
  const narrow = Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 4]), settingsAck]);

  it("what is said waits, and holds up no other stream of the connection", async () => {
    const { client, streams } = await begin(2, { first: narrow });
    const [full, other] = [streamAt(streams, 0), streamAt(streams, 1)];
    full.speaker.begin(head);
    full.speaker.send(Buffer.from("1234567"));
    await client.until(() => client.bodyBytes(1) === 4);
    expect(full.speaker.hasRoom).toBe(false);
    other.speaker.begin(head);
    other.speaker.send(Buffer.from("abcdefg"));
    other.speaker.end(trailer);
    client.send(frame(FrameType.WindowUpdate, 0, 3, word(100)));
    expect((await client.body(3)).toString()).toBe("abcdefg");
    expect(full.heard).toEqual([]);
    // What its client says is heard all the same.
    client.send(data(1, "still here", 0));
    await client.ping();
    expect(full.heard).toEqual(["still here"]);

    client.send(frame(FrameType.WindowUpdate, 0, 1, word(100)));
    await client.until(() => client.bodyBytes(1) === 7);
    expect([full.heard.at(-1), full.speaker.hasRoom]).toEqual(["room", true]);
    full.speaker.send(Buffer.from("8"));
    full.speaker.end(trailer);
    expect((await client.body(1)).toString()).toBe("12345678");
  });

  it("the end comes behind what waits", async () => {
    const { client, streams } = await begin(1, { first: narrow });
    const { speaker, heard } = streamAt(streams, 0);
    speaker.begin(head);
    speaker.send(Buffer.from("1234567"));
    speaker.end(trailer);
    client.send(data(1, "too late", 0));
    await client.ping();
    expect(client.frames.filter(({ type }) => type === FrameType.Headers)).toHaveLength(1);
    client.send(frame(FrameType.WindowUpdate, 0, 1, word(100)));
    expect((await client.body(1)).toString()).toBe("1234567");
    expect(heard).toEqual([]);
  });

  it("nothing is left of a stream that is reset", async () => {
    const { client, streams } = await begin(1, { first: narrow });
    const { speaker, heard } = streamAt(streams, 0);
    speaker.begin(head);
    speaker.send(Buffer.from("1234567"));
    client.send(frame(FrameType.ResetStream, 0, 1, word(ErrorCode.Cancel)));
    await client.ping();
    expect(heard).toEqual(["closed"]);
    // The server's end checks that all memory was given back.
    speaker.send(Buffer.from("8"));
    speaker.end(trailer);
  });
});

describe("what its lane keeps of a body", () => {
  /** Keeps all that it hears of a stream since the last line's end. */
  const keepingLane: StreamLane<null> = {
    ...notingLane,
    open(...all) {
      const listener = notingLane.open(...all);
      let keptBytes = 0;
      return (
        listener && {
          ...listener,
          get keptBytes() {
            return keptBytes;
          },
          hear(bytes, start, end) {
            keptBytes = bytes[end - 1] === 0x0a ? 0 : keptBytes + end - start;
            return 0;
          },
        }
      );
    },
  };

  it("is held by its connection, until the lane keeps it no more or the stream ends", async () => {
    const account = new Account(Number.POSITIVE_INFINITY);
    const { client, streams } = await begin(4, { lane: keepingLane, account });
    for (const id of [1, 3, 5, 7]) {
      client.send(data(id, Buffer.alloc(600, 0x61), 0), data(id, Buffer.alloc(400, 0x61), 0));
    }
    await client.ping("all kept");
    expect(account.heldBytes).toBe(4_000);
    client.send(data(1, "\n", 0));
    await client.ping("one read");
    expect(account.heldBytes).toBe(3_000);
    client.send(frame(FrameType.ResetStream, 0, 3, word(ErrorCode.Cancel)));
    await client.ping("a reset!");
    expect(account.heldBytes).toBe(2_000);
    streamAt(streams, 2).speaker.end(head);
    expect(account.heldBytes).toBe(1_000);
    client.close();
    await expect.poll(() => account.heldBytes).toBe(0);
  });

  it("shuts no window for the others: of too much, the stream that keeps most is reset", async () => {
    const limits = { maxHeldBytes: 131_072, connectionWindowBytes: 65_535 };
    const { client, streams } = await begin(3, { lane: keepingLane, limits });
    for (let part = 0; part < 4; part += 1) {
      client.send(data(1, Buffer.alloc(10_000), 0), data(3, Buffer.alloc(8_000), 0));
    }
    // Heard of what came before: a client may not think that nothing was done.
    expect(await client.resetCode(1)).toBe(ErrorCode.EnhanceYourCalm);
    client.send(data(5, Buffer.alloc(16_384), 0));
    await client.ping();
    expect(streams.map(({ heard }) => heard)).toEqual([["closed"], [], []]);
  });
});

it("tells its lane once that a stream has closed, whoever closed it", async () => {
  const { client, streams } = await begin(2);
  client.send(frame(FrameType.ResetStream, 0, 1, word(ErrorCode.Cancel)));
  await client.ping();
  expect(streams.map(({ heard }) => heard)).toEqual([["closed"], []]);
  client.close();
  await expect.poll(() => streams.map(({ heard }) => heard)).toEqual([["closed"], ["closed"]]);
});

it("asks a client to say no more when the response ends before the request", async () => {
  const { client, streams } = await begin();
  streamAt(streams, 0).speaker.end(head);
  expect(await client.resetCode(1)).toBe(ErrorCode.NoError);
});

it("takes a stream that its lane ends at once", async () => {
  const lane: StreamLane<null> = {
    ...notingLane,
    open(_headers, _context, speaker) {
      speaker.end(head);
      return null;
    },
  };
  const { client } = await begin(1, { lane });
  expect((await client.body(1)).toString()).toBe("");
});

it("resets a stream whose body is not as long as it said", async () => {
  const { client, streams } = await begin(0);
  client.send(headers(1, [...streamPairs, ["content-length", "10"]], Flag.EndHeaders), data(1, "short"));
  expect(await client.resetCode(1)).toBe(ErrorCode.ProtocolError);
  expect(streamAt(streams, 0).heard).toEqual(["closed"]);
});

it.each(["open", "hear", "hearEnd"] as const)("resets one stream where its lane throws in %s", async (where) => {
  const fail = () => {
    throw new Error("a bug of the lane");
  };
  const listener: Listener = { keptBytes: 0, hear: () => 0, hearEnd: () => {}, onRoom: () => {}, onClosed: () => {} };
  const open = () => (where === "open" ? fail() : { ...listener, [where]: fail });
  const { client } = await begin(0, { lane: { ...notingLane, open } });
  client.send(headers(1, streamPairs, Flag.EndHeaders), data(1, "x"));
  expect(await client.resetCode(1)).toBe(ErrorCode.InternalError);
  await client.ping();
  expect(server?.errors).toHaveLength(1);
});

it("leaves what its lane does not take to the general way", async () => {
  const { client, streams } = await begin(0);
  const json = streamPairs.map(
    ([name, value]) => [name, name === "content-type" ? "application/json" : value] as const,
  );
  client.send(headers(1, json, Flag.EndHeaders), data(1, "{}"));
  expect((await client.body(1)).toString()).toBe("{}");
  expect(streams).toEqual([]);
});
