import { createHash, randomBytes } from "node:crypto";
import { type ClientHttp2Session, type ClientSessionOptions, connect as connectHttp2, constants } from "node:http2";
import { Client, type ClientUnaryCall, credentials } from "@grpc/grpc-js";
import { afterEach, describe, expect, it } from "vitest";
import type { StreamAborted } from "../../src/wire/http2/error-code.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../src/wire/http2/frame.ts";
import { encodePreparedBlock } from "../../src/wire/http2/hpack-encoder.ts";
import { eventually, turn } from "../support/eventually.ts";
import {
  data,
  frame,
  getPairs,
  headers,
  lanePairs,
  laneRequest,
  postPairs,
  RawClient,
  settings,
  settingsAck,
  word,
} from "./support/raw-client.ts";
import {
  echoLane,
  lanePath,
  laterPath,
  startTestServer,
  type TestServer,
  type TestServerOptions,
} from "./support/test-server.ts";

let server: TestServer;
const closers: (() => void)[] = [];

async function start(options: TestServerOptions = {}): Promise<void> {
  server = await startTestServer(options);
}

afterEach(async () => {
  for (const close of closers.splice(0)) {
    close();
  }
  await server.close(0);
});

async function connectRaw(first?: Buffer): Promise<RawClient> {
  const client = await RawClient.connect(server.port, first);
  closers.push(() => client.close());
  return client;
}

function connectNode(options: ClientSessionOptions = {}): ClientHttp2Session {
  const session = connectHttp2(`http://127.0.0.1:${server.port}`, options);
  session.on("error", () => {});
  closers.push(() => session.destroy());
  return session;
}

type Answer = {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly trailers: Record<string, unknown>;
  readonly body: Buffer;
};

function ask(session: ClientHttp2Session, head: Record<string, string | number>, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request(head, { endStream: body === undefined });
    const chunks: Buffer[] = [];
    let answered: Record<string, unknown> = {};
    let trailers: Record<string, unknown> = {};
    stream.on("response", (heard) => {
      answered = heard;
    });
    stream.on("trailers", (heard) => {
      trailers = heard;
    });
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("end", () =>
      resolve({ status: Number(answered[":status"]), headers: answered, trailers, body: Buffer.concat(chunks) }),
    );
    if (body !== undefined) {
      stream.end(body);
    }
  });
}

const grpcHead = (path: string): Record<string, string> => ({
  ":method": "POST",
  ":path": path,
  "content-type": "application/grpc",
  te: "trailers",
});
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("node:http2 as the client", () => {
  it.each([
    ["its own windows", {}],
    [
      "windows of 1 MiB and a header table of 64 KiB",
      { settings: { initialWindowSize: 1 << 20, headerTableSize: 65_536 } },
    ],
    ["windows of 100 bytes and no header table", { settings: { initialWindowSize: 100, headerTableSize: 0 } }],
  ])(
    "gets answers on both ways, with %s",
    async (_what, options) => {
      await start();
      const session = connectNode(options);
      for (const size of [0, 1, 100, 16_384, 16_385, 65_531]) {
        const body = randomBytes(size);
        for (const path of [lanePath, laterPath]) {
          const lane = await ask(session, grpcHead(path), body);
          expect(lane.body.equals(body)).toBe(true);
          expect(lane.headers).toMatchObject({ ":status": 200, "content-type": "application/grpc" });
          expect(lane.trailers).toMatchObject({ "grpc-status": "0" });
        }
        const general = await ask(session, { ":method": "POST", ":path": "/x" }, body);
        expect(general.body.equals(body)).toBe(true);
      }
      expect(server.errors).toEqual([]);
    },
    20_000,
  );

  it("sends and gets big bodies, many at once", async () => {
    await start();
    // The client's own bound on what it has in hand is 10 MB.
    const session = connectNode({ maxSessionMemory: 100 });
    const bodies = Array.from({ length: 6 }, () => randomBytes(3_000_000));
    const answers = await Promise.all(bodies.map((body) => ask(session, { ":method": "POST", ":path": "/x" }, body)));
    expect(answers.map(({ body }) => digest(body))).toEqual(bodies.map(digest));
  });

  it("is served concurrently: 500 lane requests on one connection", async () => {
    await start();
    const session = connectNode();
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, at) =>
        ask(session, grpcHead(at % 2 ? lanePath : laterPath), Buffer.from(`body ${at}`)),
      ),
    );
    expect(answers.map(({ body }) => body.toString())).toEqual(Array.from({ length: 500 }, (_, at) => `body ${at}`));
  });

  it("gets response headers before the body, chunks as they come, and trailers that are known at the end", async () => {
    const trailer = new Headers();
    let release = (): void => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    await start({
      handle: async () => ({
        status: 200,
        header: new Headers({ "x-early": "1", connection: "close" }),
        body: (async function* () {
          yield Buffer.from("first ");
          await released;
          yield Buffer.from("last");
          trailer.set("x-late", "2");
        })(),
        trailer,
      }),
    });
    const stream = connectNode().request({ ":path": "/" });
    const heard = await new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
    expect(heard["x-early"]).toBe("1");
    expect(heard.connection).toBeUndefined();
    expect(String(await new Promise((resolve) => stream.once("data", resolve)))).toBe("first ");
    release();
    expect(String(await new Promise((resolve) => stream.once("data", resolve)))).toBe("last");
    expect(await new Promise((resolve) => stream.once("trailers", resolve))).toMatchObject({ "x-late": "2" });
  });

  it("speaks in both directions at once", async () => {
    await start();
    const stream = connectNode().request({ ":method": "POST", ":path": "/" });
    for (let at = 0; at < 20; at++) {
      stream.write(`message ${at}`);
      expect(String(await new Promise((resolve) => stream.once("data", resolve)))).toBe(`message ${at}`);
    }
    stream.end();
    await new Promise((resolve) => stream.on("end", resolve).resume());
  });

  it("cancels: the handler's signal aborts, its body throws, its response's generator is closed", async () => {
    const events: string[] = [];
    await start({
      handle: async (request) => {
        request.signal.addEventListener("abort", () =>
          events.push(`abort ${(request.signal.reason as StreamAborted).code}`),
        );
        return {
          status: 200,
          body: (async function* () {
            try {
              yield Buffer.from("x");
              for await (const _ of request.body) {
                // Nothing comes.
              }
            } catch (error) {
              events.push((error as Error).name);
              throw error;
            } finally {
              events.push("closed");
            }
          })(),
        };
      },
    });
    const client = await connectRaw();
    client.send(headers(1, postPairs, Flag.EndHeaders));
    await client.frame(({ type }) => type === FrameType.Data);
    client.send(frame(FrameType.ResetStream, 0, 1, word(constants.NGHTTP2_CANCEL)));
    await expect.poll(() => events).toEqual(["abort 8", "StreamAborted", "closed"]);
    expect(server.errors).toEqual([]);
  });

  it("is told to stop sending where the response is whole before the request (RFC 9113 section 8.1)", async () => {
    await start({ handle: async () => ({ status: 403, body: Buffer.from("no") }) });
    const session = connectNode();
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.on("error", () => {});
    stream.write("x");
    await new Promise((resolve) => stream.on("close", resolve).resume());
    expect(stream.rstCode).toBe(constants.NGHTTP2_NO_ERROR);
    expect((await ask(session, { ":path": "/" })).status).toBe(403);
  });

  it("gets INTERNAL_ERROR for what a handler or a lane throws, and the connection lives", async () => {
    const thrown = new Error("a bug");
    const failing = (): never => {
      throw thrown;
    };
    await start({
      handle: async ({ path }) => {
        if (path === "/body") {
          return {
            status: 200,
            body: (async function* () {
              yield Buffer.from("x");
              throw thrown;
            })(),
          };
        }
        return path === "/header"
          ? { status: 200, header: [["x", "a\nb"]] }
          : path === "/status"
            ? { status: 99 }
            : failing();
      },
      lane: { ...echoLane, answer: (_bytes, start, end) => (end === start ? failing() : Promise.reject(thrown)) },
    });
    const session = connectNode();
    for (const path of ["/", "/body", "/header", "/status"]) {
      await expect(ask(session, { ":path": path })).rejects.toThrow("NGHTTP2_INTERNAL_ERROR");
    }
    await expect(ask(session, grpcHead(lanePath), Buffer.alloc(0))).rejects.toThrow("NGHTTP2_INTERNAL_ERROR");
    await expect(ask(session, grpcHead(lanePath), Buffer.alloc(1))).rejects.toThrow("NGHTTP2_INTERNAL_ERROR");
    expect(server.errors.length).toBe(6);
    expect((await ask(session, grpcHead(laterPath), Buffer.from("alive"))).body.toString()).toBe("alive");
  });

  it("sends HEAD and gets no body; 204 has none; cookies are one field; Expect is answered", async () => {
    let cookie: string | null = null;
    await start({
      handle: async (request) => {
        cookie = request.headers.get("cookie");
        for await (const _ of request.body) {
          // Reading asks for it.
        }
        return { status: request.path === "/204" ? 204 : 200, body: Buffer.from("body") };
      },
    });
    const session = connectNode();
    expect((await ask(session, { ":method": "HEAD", ":path": "/" })).body.length).toBe(0);
    expect((await ask(session, { ":path": "/204" })).body.length).toBe(0);
    const raw = await connectRaw();
    raw.send(headers(1, [...getPairs, ["cookie", "a=b"], ["cookie", "c=d"]]));
    await raw.body(1);
    expect(cookie).toBe("a=b; c=d");
    const stream = session.request({ ":method": "POST", ":path": "/", expect: "100-continue" });
    await new Promise((resolve) => stream.once("continue", resolve));
    stream.end("x");
    await new Promise((resolve) => stream.on("end", resolve).resume());
  });

  it("drains on GOAWAY without losing a request", async () => {
    await start();
    const session = connectNode();
    await ask(session, { ":path": "/" });
    const answers = Array.from({ length: 50 }, (_, at) => ask(session, grpcHead(laterPath), Buffer.from(`${at}`)));
    await turn();
    const closed = server.http2.close(2_000);
    expect((await Promise.all(answers)).map(({ body }) => body.toString())).toEqual(
      Array.from({ length: 50 }, (_, at) => `${at}`),
    );
    await closed;
  });
});

describe("grpc-js as the client", () => {
  const identity = (bytes: Buffer): Buffer => bytes;

  function unary(client: Client, path: string, body: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const call: ClientUnaryCall = client.makeUnaryRequest(path, identity, identity, body, (error, answer) => {
        if (error === null && answer !== undefined) {
          resolve(answer);
        } else {
          reject(error);
        }
      });
      void call;
    });
  }

  it.each([lanePath, laterPath])(
    "gets its message back from %s, thousands of times",
    async (path) => {
      await start();
      const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
      closers.push(() => client.close());
      for (let round = 0; round < 20; round++) {
        const bodies = Array.from({ length: 100 }, () => randomBytes(1 + ((Math.random() * 2_000) | 0)));
        const answers = await Promise.all(bodies.map((body) => unary(client, path, body)));
        expect(answers.every((answer, at) => bodies[at]?.equals(answer))).toBe(true);
      }
      const big = randomBytes(60_000);
      expect((await unary(client, path, big)).equals(big)).toBe(true);
      await expect(unary(client, path, randomBytes(70_000))).rejects.toMatchObject({ code: 8 });
    },
    20_000,
  );

  it("gets UNIMPLEMENTED or the like from a path that answers 404", async () => {
    await start({ handle: async () => ({ status: 404 }) });
    const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
    closers.push(() => client.close());
    await expect(unary(client, "/no.Such/Method", Buffer.alloc(1))).rejects.toMatchObject({ code: 12 });
  });
});

describe("however the network cuts it", () => {
  const conversation = (): Buffer =>
    Buffer.concat([
      clientPreface,
      settings([Setting.HeaderTableSize, 100]),
      settingsAck,
      laneRequest(1, "one"),
      headers(3, postPairs, Flag.EndHeaders),
      data(3, "th", 0),
      data(3, "ree"),
      frame(FrameType.Ping, 0, 0, Buffer.from("pingpong")),
      laneRequest(5, ""),
      headers(7, getPairs),
    ]);
  const answersOf = async (client: RawClient): Promise<string[]> => {
    const bodies: string[] = [];
    for (const id of [1, 3, 5, 7]) {
      bodies.push((await client.body(id)).toString());
    }
    return bodies;
  };
  const expected = ["one", "three", "", "hello from the general way\n"];

  it("is understood in writes of a byte", async () => {
    await start();
    const client = await connectRaw(Buffer.alloc(0));
    for (const byte of conversation()) {
      client.send(Buffer.from([byte]));
      await turn();
    }
    expect(await answersOf(client)).toEqual(expected);
  });

  it("is understood cut in two at every byte", async () => {
    await start();
    const bytes = conversation();
    for (let cut = 1; cut < bytes.length; cut++) {
      const client = await connectRaw(bytes.subarray(0, cut));
      await eventually(() => [...server.sockets].at(-1)?.bytesRead === cut);
      client.send(bytes.subarray(cut));
      expect(await answersOf(client)).toEqual(expected);
      client.close();
    }
  });

  it("has its header block cut over CONTINUATION frames at every byte, and into single bytes", async () => {
    await start();
    const client = await connectRaw();
    const block = encodePreparedBlock(lanePairs);
    let id = 1;
    for (let cut = 0; cut <= block.length; cut++, id += 2) {
      client.send(
        frame(FrameType.Headers, 0, id, block.subarray(0, cut)),
        frame(FrameType.Continuation, Flag.EndHeaders, id, block.subarray(cut)),
        data(id, `cut ${cut}`),
      );
      expect((await client.body(id)).toString()).toBe(`cut ${cut}`);
    }
    client.send(frame(FrameType.Headers, 0, id));
    client.send(
      ...Array.from(block, (byte, at) =>
        frame(FrameType.Continuation, at === block.length - 1 ? Flag.EndHeaders : 0, id, Buffer.from([byte])),
      ),
      data(id, "bytes"),
    );
    expect((await client.body(id)).toString()).toBe("bytes");
  });
});

describe("the client's windows", () => {
  it("are kept to the byte, on the stream and on the connection, for a lane's answer and a general one", async () => {
    await start();
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 10]), settingsAck]),
    );
    const heard = (id: number): number => client.bodyBytes(id);
    client.send(
      laneRequest(1, "0123456789abcdef"),
      headers(3, postPairs, Flag.EndHeaders),
      data(3, "0123456789abcdef"),
    );
    await eventually(() => heard(1) + heard(3) >= 20);
    await client.ping();
    expect([heard(1), heard(3)]).toEqual([10, 10]);
    client.send(frame(FrameType.WindowUpdate, 0, 1, word(1)), frame(FrameType.WindowUpdate, 0, 3, word(2)));
    await client.ping("pingping");
    expect([heard(1), heard(3)]).toEqual([11, 12]);
    // RFC 9113 section 6.9.2: a smaller window may make what is left negative.
    client.send(settings([Setting.InitialWindowSize, 0]), frame(FrameType.WindowUpdate, 0, 1, word(10)));
    await client.ping("negative");
    expect(heard(1)).toBe(11);
    client.send(frame(FrameType.WindowUpdate, 0, 1, word(5)), settings([Setting.InitialWindowSize, 100]));
    expect((await client.body(1)).toString()).toBe("0123456789abcdef");
    expect((await client.body(3)).toString()).toBe("0123456789abcdef");
  });

  it("share the connection's in turns, so that a long body does not keep a short one waiting", async () => {
    await start({ handle: async ({ path }) => ({ status: 200, body: Buffer.alloc(path === "/" ? 1_000_000 : 10) }) });
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 2 ** 30]), settingsAck]),
    );
    client.send(
      headers(1, getPairs),
      headers(3, [
        [":method", "GET"],
        [":scheme", "http"],
        [":path", "/short"],
      ]),
    );
    await client.body(3);
    await client.ping();
    expect(client.bodyBytes(1)).toBe(65_525);
    client.send(frame(FrameType.WindowUpdate, 0, 0, word(1_000_000)));
    expect((await client.body(1)).length).toBe(1_000_000);
  });

  it.each([
    ["two SETTINGS frames", [settings([Setting.HeaderTableSize, 0]), settings([Setting.HeaderTableSize, 50])]],
    ["one SETTINGS frame", [settings([Setting.HeaderTableSize, 0], [Setting.HeaderTableSize, 50])]],
  ])(
    "says the table sizes that %s ask for before the next block, in front of a prepared one too (RFC 7541 section 4.2)",
    async (_what, asked) => {
      await start();
      const client = await connectRaw(Buffer.concat([clientPreface, ...asked, settingsAck, laneRequest(1)]));
      const { payload } = await client.frame(({ type }) => type === FrameType.Headers);
      expect([...payload.subarray(0, 3)]).toEqual([0x20, 0x3f, 50 - 31]);
      expect(client.decode(payload)).toContainEqual([":status", "200"]);
    },
  );

  it.each([
    ["0, opened a byte at a time", 0],
    ["1, opened a byte at a time", 1],
    ["2^31-1", 2 ** 31 - 1],
  ])("may be %s, on both ways", async (_what, bytes) => {
    await start();
    const first = [clientPreface, settings([Setting.InitialWindowSize, bytes]), settingsAck];
    const client = await connectRaw(Buffer.concat(first));
    const body = "0123456789abcdef";
    client.send(laneRequest(1, body), headers(3, postPairs, Flag.EndHeaders), data(3, body));
    for (let granted = bytes; granted < body.length; granted++) {
      await client.ping(`at  ${String(granted).padStart(4)}`);
      expect([1, 3].map((id) => client.bodyBytes(id))).toEqual([granted, granted]);
      client.send(frame(FrameType.WindowUpdate, 0, 1, word(1)), frame(FrameType.WindowUpdate, 0, 3, word(1)));
    }
    expect([await client.body(1), await client.body(3)].map(String)).toEqual([body, body]);
  });

  it("of the header table are not used beyond 4,096 bytes, however much the client allows", async () => {
    const fields = Array.from({ length: 60 }, (_, at) => [`x-${at}`, "v".repeat(100)] as const);
    await start({ handle: async () => ({ status: 200, header: fields }) });
    const first = [clientPreface, settings([Setting.HeaderTableSize, 2 ** 32 - 1]), settingsAck];
    const client = await connectRaw(Buffer.concat(first));
    // This client's decoder keeps no more than 4,096 bytes: an index of what lies beyond makes it throw.
    for (const id of [1, 3, 5]) {
      client.send(headers(id, getPairs));
      const { payload } = await client.frame(({ type, streamId }) => type === FrameType.Headers && streamId === id);
      expect(client.decode(payload)).toEqual([[":status", "200"], ...fields]);
    }
  });
});
