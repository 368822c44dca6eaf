import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { Account } from "../../src/wire/http2/account.ts";
import { ErrorCode } from "../../src/wire/http2/error-code.ts";
import { clientPreface, Flag, FrameType, Setting } from "../../src/wire/http2/frame.ts";
import type { GeneralRequest, GeneralResponse } from "../../src/wire/http2/general.ts";
import { encodePreparedBlock, type HeaderPair } from "../../src/wire/http2/hpack-encoder.ts";
import type { LaneAnswer } from "../../src/wire/http2/lane.ts";
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
import { echoLane, startTestServer, type TestServer, type TestServerOptions } from "./support/test-server.ts";

let server: TestServer;
let nowMs = 1_000_000;
const clients: RawClient[] = [];

async function start(options: TestServerOptions = {}): Promise<void> {
  nowMs = 1_000_000;
  server = await startTestServer({
    ...options,
    clock: () => nowMs,
    limits: { sweepMs: 10_000_000, ageJitter: 0, ...options.limits },
  });
}

async function connectRaw(first?: Buffer | null): Promise<RawClient> {
  const client = await RawClient.connect(server.port, first);
  clients.push(client);
  return client;
}

/** Moves the clock, and lets the server look at it. */
function advance(ms: number): void {
  nowMs += ms;
  server.http2.sweep();
}

/** Resolves once the server has read all that the client has sent. */
async function arrived({ socket }: RawClient): Promise<void> {
  const theirs = () => [...server.sockets].find(({ remotePort }) => remotePort === socket.localPort);
  await eventually(() => theirs()?.bytesRead === socket.bytesWritten);
}

/**
 * Resolves once the client, which does not read, has let the server come to a stop: all that lies between them is full.
 */
async function stuck({ socket }: RawClient): Promise<void> {
  const theirs = [...server.sockets].find(({ remotePort }) => remotePort === socket.localPort);
  const state = () => `${theirs?.bytesRead} ${theirs?.writableLength}`;
  for (let before = "", same = 0; same < 20; before = state()) {
    await turn();
    same = theirs?.writableNeedDrain && state() === before ? same + 1 : 0;
  }
}

/** What the server has written to the client, with what it had put off to the end of its turn. */
async function bytesTo({ socket }: RawClient): Promise<number> {
  await turn();
  await turn();
  return [...server.sockets].find(({ remotePort }) => remotePort === socket.localPort)?.bytesWritten ?? 0;
}

afterEach(async () => {
  for (const client of clients.splice(0)) {
    client.close();
  }
  await server.close(0);
  expect(server.errors).toEqual([]);
});

const openPost = (id: number): Buffer => headers(id, postPairs, Flag.EndHeaders);
const openLane = (id: number): Buffer => headers(id, lanePairs, Flag.EndHeaders);
const reset = (id: number): Buffer => frame(FrameType.ResetStream, 0, id, word(ErrorCode.Cancel));
const fixedHead = { head: encodePreparedBlock([[":status", "200"]]) };
const ping = frame(FrameType.Ping, 0, 0, Buffer.alloc(8));
const statusOf = async (client: RawClient, id: number): Promise<string | undefined> => {
  const { payload } = await client.frame(({ type, streamId }) => type === FrameType.Headers && streamId === id);
  return client.decode(payload).find(([name]) => name === ":status")?.[1];
};
const waiting = (): {
  handle: (request: GeneralRequest) => Promise<GeneralResponse>;
  release: () => void;
  count: () => number;
} => {
  const releases: (() => void)[] = [];
  return {
    handle: () => new Promise((resolve) => releases.push(() => resolve({ status: 200 }))),
    release: () => {
      for (const release of releases.splice(0)) {
        release();
      }
    },
    count: () => releases.length,
  };
};

describe("header blocks", () => {
  it("answers 431 to a list above maxHeaderListBytes, CONTINUATION included, and keeps the table in step", async () => {
    await start();
    const client = await connectRaw();
    const long: HeaderPair[] = Array.from({ length: 5 }, (_, at) => [`x-${at}`, "v".repeat(4_000)]);
    // The last field is put into the table; the next block names it.
    const block = Buffer.concat([
      encodePreparedBlock([...getPairs, ...long]),
      Buffer.from([0x40, 0x01, 0x78, 0x01, 0x79]),
    ]);
    client.send(
      frame(FrameType.Headers, Flag.EndStream, 1, block.subarray(0, 5_000)),
      frame(FrameType.Continuation, Flag.EndHeaders, 1, block.subarray(5_000)),
    );
    expect(await statusOf(client, 1)).toBe("431");
    client.send(
      frame(
        FrameType.Headers,
        Flag.EndHeaders | Flag.EndStream,
        3,
        Buffer.concat([encodePreparedBlock(getPairs), Buffer.from([0xbe])]),
      ),
    );
    expect((await client.body(3)).toString()).toContain("hello");
  });

  it("is told of a list that is too long by its content type, and answers as it is told to", async () => {
    await start({
      refuseLargeHeader: (_context, contentType) => ({
        head: encodePreparedBlock([
          [":status", "200"],
          ["x-was", contentType],
        ]),
        body: null,
        trailer: null,
      }),
    });
    const client = await connectRaw();
    const long: HeaderPair = ["x-long", "v".repeat(18_000)];
    client.send(headers(1, [...lanePairs, long]), headers(3, [...postPairs, long]));
    const fields = async (id: number) =>
      client.decode(
        (await client.frame(({ type, streamId }) => type === FrameType.Headers && streamId === id)).payload,
      );
    expect(await fields(1)).toContainEqual(["x-was", "application/grpc"]);
    expect(await fields(3)).toContainEqual(["x-was", ""]);
  });

  it("answers 431 to 70 kB and more of one value, drops the body behind it, and takes as many as come", async () => {
    await start({ limits: { resetBudget: 20, controlBudget: 50 } });
    const client = await connectRaw();
    for (let id = 1; id < 201; id += 2) {
      const block = encodePreparedBlock([...postPairs, ["x", "v".repeat(id === 1 ? 250_000 : 70_000)]]);
      const parts = Array.from({ length: Math.ceil(block.length / 16_384) }, (_, at) =>
        block.subarray(at * 16_384, (at + 1) * 16_384),
      );
      client.send(
        ...parts.map((part, at) =>
          frame(
            at === 0 ? FrameType.Headers : FrameType.Continuation,
            at === parts.length - 1 ? Flag.EndHeaders : 0,
            id,
            Buffer.from(part),
          ),
        ),
        data(id, "a body", 0),
        data(id, "and its end"),
      );
      expect(await statusOf(client, id)).toBe("431");
    }
    client.send(laneRequest(201));
    expect((await client.body(201)).toString()).toBe("body");
  });

  it("answers 431 to a list that a small block makes large", async () => {
    await start();
    const client = await connectRaw();
    const entry = Buffer.concat([Buffer.from([0x40, 0x01, 0x78, 0x7f, 0xa1, 0x1e]), Buffer.alloc(4_000, 0x79)]);
    client.send(
      frame(
        FrameType.Headers,
        Flag.EndHeaders | Flag.EndStream,
        1,
        Buffer.concat([encodePreparedBlock(getPairs), entry, Buffer.alloc(10_000, 0xbe)]),
      ),
    );
    expect(await statusOf(client, 1)).toBe("431");
    await client.ping();
  });

  it("answers 431 to more than maxHeaderFields", async () => {
    await start();
    const client = await connectRaw();
    const fields = (count: number): HeaderPair[] => Array.from({ length: count }, (_, at) => [`x${at}`, ""]);
    client.send(headers(1, [...getPairs, ...fields(124)]));
    expect(await statusOf(client, 1)).toBe("200");
    client.send(headers(3, [...getPairs, ...fields(125)]));
    expect(await statusOf(client, 3)).toBe("431");
  });

  it("ends a connection whose block is above maxHeaderBlockBytes", async () => {
    await start();
    const client = await connectRaw();
    client.send(
      headers(1, getPairs, 0),
      ...Array.from({ length: 17 }, () => frame(FrameType.Continuation, 0, 1, Buffer.alloc(16_384, 0x82))),
    );
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
  });

  it("ends a connection that floods CONTINUATION (CVE-2024-27983)", async () => {
    await start();
    const client = await connectRaw();
    client.send(headers(1, getPairs, 0), ...Array.from({ length: 129 }, () => frame(FrameType.Continuation, 0, 1)));
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
  });

  it("ends a connection whose block does not end within headerMs", async () => {
    await start();
    const client = await connectRaw();
    client.send(headers(1, getPairs, 0));
    await arrived(client);
    const said = await bytesTo(client);
    advance(9_999);
    client.send(frame(FrameType.Continuation, 0, 1, Buffer.from([])));
    await arrived(client);
    expect(await bytesTo(client)).toBe(said);
    advance(1);
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
  });

  it("ends a connection whose frame does not end within headerMs", async () => {
    await start();
    const client = await connectRaw();
    client.send(ping.subarray(0, 12));
    await arrived(client);
    advance(10_000);
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
  });
});

describe("time in which the server does not read", () => {
  const big: LaneAnswer = { ...fixedHead, body: new Uint8Array(16_000), trailer: null };

  it("is no slowness of a client whose frame or body stops meanwhile", async () => {
    await start({ lane: { ...echoLane, answer: () => big } });
    const windows = [settings([Setting.InitialWindowSize, 2 ** 31 - 1]), settingsAck];
    const grant = frame(FrameType.WindowUpdate, 0, 0, word(2 ** 30));
    const client = await connectRaw(Buffer.concat([clientPreface, ...windows, grant, openPost(1), openLane(3)]));
    client.socket.pause();
    const last = laneRequest(20_001, "x");
    for (let at = 0; at < 2_000; at++) {
      client.send(laneRequest(2 * at + 5, "x"));
    }
    client.send(last.subarray(0, 20));
    await stuck(client);
    advance(15_000);
    advance(12_000);
    expect(server.http2.connectionCount).toBe(1);
    client.socket.resume();
    client.send(last.subarray(20), data(1, "late"), data(3, "too"));
    expect((await client.body(1)).toString()).toBe("late");
    expect((await client.body(20_001)).length).toBe(16_000);
    expect((await client.body(3)).length).toBe(16_000);
    expect(client.frames.some(({ type }) => type === FrameType.GoAway || type === FrameType.ResetStream)).toBe(false);
  });

  it("adds nothing to any deadline where it was stopped altogether", async () => {
    await start({ limits: { sweepMs: 2_000 } });
    const client = await connectRaw(Buffer.concat([clientPreface, settings(), openPost(1), openLane(3)]));
    client.send(ping.subarray(0, 12));
    await arrived(client);
    advance(3_600_000);
    client.send(ping.subarray(12), settingsAck, data(1, "still "), data(3, "welcome"));
    expect((await client.body(1)).toString()).toBe("still ");
    expect((await client.body(3)).toString()).toBe("welcome");
    expect(client.frames.some(({ type }) => type === FrameType.GoAway)).toBe(false);
  });

  it("is time in which a client may be silent whose window for all streams is shut", async () => {
    const begun = Promise.withResolvers<GeneralRequest>();
    const mayRead = Promise.withResolvers<void>();
    await start({
      limits: { connectionWindowBytes: 70_000, maxHeldBytes: 70_000, keepaliveMs: 1e9 },
      handle: ({ body, ...rest }) => {
        if (rest.path === "/") {
          begun.resolve({ body, ...rest });
          return new Promise(() => {});
        }
        return mayRead.promise.then(() => ({ status: 200, body }));
      },
    });
    const client = await connectRaw();
    const other: HeaderPair[] = postPairs.map(([name, value]) => [name, name === ":path" ? "/other" : value]);
    client.send(openPost(1), headers(3, other, Flag.EndHeaders));
    client.send(...[16_384, 16_384, 16_384, 16_383].map((bytes) => data(1, Buffer.alloc(bytes), 0)));
    client.send(data(3, Buffer.alloc(4_465), 0));
    await client.ping();
    const { body } = await begun.promise;
    advance(11_000);
    advance(11_000);
    expect(client.frames.some(({ type }) => type === FrameType.ResetStream)).toBe(false);
    await body[Symbol.asyncIterator]().return?.();
    mayRead.resolve();
    client.send(data(3, "and the rest"));
    expect((await client.body(3)).length).toBe(4_477);
  });
});

describe("a steady upload", () => {
  it("is not taken for a frame that does not end, though each read ends within one", async () => {
    await start();
    const client = await connectRaw();
    client.send(openPost(1));
    const part = data(1, "0123456789", 0);
    client.send(part.subarray(0, 12));
    for (let at = 0; at < 6; at++) {
      client.send(part.subarray(12), part.subarray(0, 12));
      await arrived(client);
      advance(4_000);
    }
    client.send(part.subarray(12), data(1, "end"));
    expect((await client.body(1)).toString()).toBe(`${"0123456789".repeat(7)}end`);
  });
});

describe("streams", () => {
  it("refuses a stream above maxConcurrentStreams", async () => {
    const { handle, release, count } = waiting();
    await start({ limits: { maxConcurrentStreams: 3 }, handle });
    const client = await connectRaw();
    client.send(...[1, 3, 5, 7].map((id) => headers(id, getPairs)));
    expect(await client.resetCode(7)).toBe(ErrorCode.RefusedStream);
    release();
    await client.body(5);
    client.send(headers(9, getPairs));
    await eventually(() => count() === 1);
    release();
    expect(await statusOf(client, 9)).toBe("200");
  });

  it("begins no more than maxConcurrentStreams, reset or not, before their work is done, whoever reset them (CVE-2023-44487, CVE-2025-8671)", async () => {
    const { handle, release, count } = waiting();
    await start({ limits: { maxConcurrentStreams: 4, maxGeneralPerTurn: 4 }, handle });
    const client = await connectRaw();
    // By the client; and by us, for a WINDOW_UPDATE of 0, DATA after END_STREAM and too large a window.
    client.send(headers(1, getPairs), reset(1), headers(3, getPairs), frame(FrameType.WindowUpdate, 0, 3, word(0)));
    client.send(
      headers(5, getPairs),
      data(5, "x"),
      headers(7, getPairs),
      frame(FrameType.WindowUpdate, 0, 7, word(2 ** 31 - 1)),
    );
    client.send(headers(9, getPairs), headers(11, getPairs), reset(11));
    await client.ping();
    expect(count()).toBe(4);
    release();
    await expect.poll(count).toBe(1);
    release();
    expect(await statusOf(client, 9)).toBe("200");
    expect(client.frames.filter(({ type, streamId }) => type === FrameType.ResetStream && streamId >= 9)).toEqual([]);
  });

  it("does the same for lanes, whose requests are reset while their answers are waited for, by the client or by us", async () => {
    const { promise, resolve } = Promise.withResolvers<LaneAnswer>();
    let asked = 0;
    const lane = {
      ...echoLane,
      answer() {
        asked++;
        return promise;
      },
    };
    await start({ lane, limits: { maxConcurrentStreams: 4 } });
    const client = await connectRaw();
    client.send(laneRequest(1), reset(1), laneRequest(3), frame(FrameType.WindowUpdate, 0, 3, word(0)));
    client.send(laneRequest(5), data(5, "x"), laneRequest(7), reset(7), laneRequest(9), laneRequest(11), reset(11));
    await client.ping();
    expect(asked).toBe(4);
    resolve({ head: encodePreparedBlock([[":status", "200"]]), body: null, trailer: null });
    expect(await statusOf(client, 9)).toBe("200");
    expect(asked).toBe(5);
    const answered = client.frames.filter(({ type }) => type === FrameType.Headers);
    expect(answered.map(({ streamId }) => streamId)).toEqual([9]);
  });

  it.each([
    ["general requests", postPairs],
    ["lane requests", lanePairs],
  ])("begins no more %s than the budget has resets, however fast they come (CVE-2023-44487)", async (_what, pairs) => {
    let begun = 0;
    const begin = <T>(): Promise<T> => {
      begun++;
      return new Promise(() => {});
    };
    const lane = { ...echoLane, answer: () => begin<LaneAnswer>() };
    await start({ handle: () => begin(), lane, limits: { resetBudget: 200 } });
    const client = await connectRaw();
    for (let at = 0; at < 1_000; at++) {
      const id = 2 * at + 1;
      client.send(headers(id, pairs, Flag.EndHeaders), data(id, "x"), reset(id));
    }
    await client.ping();
    expect(begun).toBeGreaterThan(0);
    expect(begun).toBeLessThanOrEqual(201);
    expect(client.frames.filter(({ type }) => type === FrameType.GoAway)).toEqual([]);
  });

  it.each([
    ["general requests", postPairs],
    ["lane requests", lanePairs],
  ])(
    "serves a client all of whose %s are given up, many times the budget, and what it asks besides",
    async (_what, pairs) => {
      let atWork = 0;
      let most = 0;
      let mayEnd = Promise.withResolvers<void>();
      const work = async (): Promise<LaneAnswer & { status: number }> => {
        atWork++;
        most = Math.max(most, atWork);
        await mayEnd.promise;
        atWork--;
        return { ...fixedHead, body: null, trailer: null, status: 200 };
      };
      await start({
        handle: async () => ({ status: (await work()).status }),
        lane: { ...echoLane, answer: work },
        limits: { resetBudget: 50, controlBudget: 50, maxHandlersAtOnce: 8, maxConcurrentStreams: 100 },
      });
      const client = await connectRaw();
      for (let round = 0; round < 40; round++) {
        // Deadlines that fire together, some before and some behind the end of the request.
        const ids = Array.from({ length: 50 }, (_, at) => 100 * round + 2 * at + 1);
        const part = (id: number): Buffer => data(id, "x", id % 4 === 1 ? Flag.EndStream : 0);
        client.send(...ids.flatMap((id) => [headers(id, pairs, Flag.EndHeaders), part(id)]));
        await client.ping(`sent${String(round).padStart(4)}`);
        client.send(...ids.flatMap((id) => [reset(id), data(id, "")]));
        await client.ping(`gone${String(round).padStart(4)}`);
        expect(most).toBeGreaterThan(0);
        expect(most).toBeLessThanOrEqual(round < 10 ? 50 : 8);
        mayEnd.resolve();
        await expect.poll(() => atWork).toBe(0);
        most = 0;
        mayEnd = Promise.withResolvers();
      }
      mayEnd.resolve();
      const witness = 10_001;
      client.send(headers(witness, pairs, Flag.EndHeaders), data(witness, "x"));
      expect(await statusOf(client, witness)).toBe("200");
      expect(client.frames.some(({ type }) => type === FrameType.GoAway)).toBe(false);
    },
  );

  it.each([
    [
      "streams that we are made to reset (CVE-2025-8671)",
      (id: number) => [openPost(id), frame(FrameType.WindowUpdate, 0, id, word(0))],
    ],
    ["malformed requests (CVE-2019-9514)", (id: number) => [headers(id, [...getPairs, ["X", "y"]])]],
    ["headers without a name (CVE-2019-9516)", (id: number) => [headers(id, [...getPairs, ["", ""]])]],
    [
      "resets of streams that are answered",
      (id: number) => [laneRequest(id), ...Array.from({ length: 30 }, () => reset(id))],
    ],
  ])("ends a connection that floods %s", async (_what, flood) => {
    await start({ limits: { resetBudget: 200, controlBudget: 200 } });
    const client = await connectRaw();
    for (let at = 0; at < 400; at++) {
      client.send(...flood(2 * at + 1));
    }
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
  });

  it("refuses, at no cost to the client, what it asks beyond maxConcurrentStreams before it knows of that", async () => {
    const { handle, release } = waiting();
    await start({ limits: { maxConcurrentStreams: 10, resetBudget: 20, controlBudget: 100 }, handle });
    const ids = Array.from({ length: 1_000 }, (_, at) => 2 * at + 1);
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings(), ...ids.map((id) => headers(id, getPairs))]),
    );
    expect(await client.resetCode(1_999)).toBe(ErrorCode.RefusedStream);
    client.send(settingsAck);
    await client.ping();
    release();
    expect(await statusOf(client, 1)).toBe("200");
  });

  it("lets a busy client cancel as often as it is answered, and ping as often", async () => {
    await start({ limits: { resetBudget: 20, controlBudget: 40 } });
    const client = await connectRaw();
    for (let at = 0; at < 500; at++) {
      const id = 4 * at + 1;
      client.send(openPost(id), reset(id), laneRequest(id + 2), ping);
      if (at % 50 === 49) {
        await client.body(id + 2);
      }
    }
    await client.ping();
  });

  it("lets a client that reads DATA send a PING and two WINDOW_UPDATEs for each, as grpc-go does to know its bandwidth", async () => {
    const body = Buffer.alloc(2_000_000);
    await start({ limits: { controlBudget: 100 }, handle: async () => ({ status: 200, body }) });
    const client = await connectRaw();
    client.send(headers(1, getPairs));
    const parts = (): number => client.frames.filter(({ type }) => type === FrameType.Data).length;
    let seen = 0;
    while (client.bodyBytes(1) < body.length && !client.isClosed) {
      await client.until(() => parts() > seen || client.isClosed);
      for (; seen < parts(); seen++) {
        const room = word(16_384);
        client.send(ping, frame(FrameType.WindowUpdate, 0, 0, room), frame(FrameType.WindowUpdate, 0, 1, room));
      }
    }
    expect(client.bodyBytes(1)).toBe(body.length);
    expect(seen).toBeGreaterThan(100);
    await client.ping();
  });

  it("gives back the budgets with time", async () => {
    await start({ limits: { resetBudget: 20 } });
    const client = await connectRaw();
    for (let at = 0; at < 10; at++) {
      client.send(
        ...Array.from({ length: 20 }, (_, index) => 2 * (20 * at + index) + 1).map((id) =>
          headers(id, [...getPairs, ["X", "y"]]),
        ),
      );
      await client.ping(`ping ${String(at).padStart(3)}`);
      advance(200);
    }
    await client.ping();
  });
});

describe("floods of frames that bring no request forward", () => {
  it.each([
    ["SETTINGS (CVE-2019-9515)", settings()],
    ["PING (CVE-2019-9512)", ping],
    ["PRIORITY (CVE-2019-9513)", frame(FrameType.Priority, 0, 1, Buffer.alloc(5))],
    ["empty DATA (CVE-2019-9518)", data(1, "", 0)],
    ["padding", frame(FrameType.Data, Flag.Padded, 1, Buffer.from([1, 0]))],
    ["WINDOW_UPDATE", frame(FrameType.WindowUpdate, 0, 1, word(1))],
    ["unknown frames", frame(0x77, 0, 0)],
    ["SETTINGS acknowledgements", settingsAck],
    ["PING acknowledgements", frame(FrameType.Ping, Flag.Ack, 0, Buffer.alloc(8))],
    ["GOAWAY", frame(FrameType.GoAway, 0, 0, Buffer.alloc(8))],
  ])("ends a connection that floods %s", async (_what, flood) => {
    await start();
    const client = await connectRaw();
    client.send(openPost(1));
    for (let at = 0; at < 110 && !client.isClosed; at++) {
      client.send(Buffer.concat(Array.from({ length: 100 }, () => flood)));
      await turn();
    }
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
    await client.closed();
  });

  it("does not let one connection's burst keep others waiting", async () => {
    await start({ limits: { maxWorkPerTurn: 100, controlBudget: 1_000_000 } });
    const busy = await connectRaw();
    const other = await connectRaw();
    await other.ping("warm  up");
    busy.send(Buffer.concat(Array.from({ length: 50_000 }, () => frame(FrameType.Priority, 0, 1, Buffer.alloc(5)))));
    busy.send(frame(FrameType.Ping, 0, 0, Buffer.from("at  last")));
    await other.ping();
    expect(busy.frames.some(({ payload }) => payload.toString() === "at  last")).toBe(false);
    await busy.frame(({ payload }) => payload.toString() === "at  last");
  });

  it("begins a burst of general requests a few a turn, so that a lane beside them does not wait, and drops those reset by then", async () => {
    let begun = 0;
    let begunBeforeLane = -1;
    const wanted = 100;
    await start({
      handle: async () => {
        begun += 1;
        return { status: 200, body: Buffer.from(String(begun)) };
      },
      lane: {
        ...echoLane,
        answer(...all) {
          begunBeforeLane = begun;
          return echoLane.answer(...all);
        },
      },
    });
    const client = await connectRaw();
    const ids = Array.from({ length: wanted }, (_, at) => 2 * at + 1);
    client.send(
      ...ids.map((id) => headers(id, getPairs)),
      frame(FrameType.ResetStream, 0, 99, word(ErrorCode.Cancel)),
      laneRequest(2 * wanted + 1),
    );
    await client.body(2 * wanted + 1);
    expect(begunBeforeLane).toBeLessThan(wanted / 2);
    for (const id of ids.filter((one) => one !== 99)) {
      await client.body(id);
    }
    expect(begun).toBe(wanted - 1);
    await client.ping();
  });

  it("begins one connection's general request before the next of another's burst", async () => {
    const begun: string[] = [];
    await start({
      handle: async ({ path }) => {
        begun.push(path);
        return { status: 204 };
      },
    });
    const busy = await connectRaw();
    const other = await connectRaw();
    await other.ping("warm  up");
    const burst = getPairs.map(([name, value]): HeaderPair => [name, name === ":path" ? "/burst" : value]);
    busy.send(...Array.from({ length: 1_000 }, (_, at) => headers(2 * at + 1, burst)));
    await busy.ping("all read");
    other.send(headers(1, getPairs));
    await other.frame(({ type, streamId }) => type === FrameType.Headers && streamId === 1);
    await busy.frame(({ type, streamId }) => type === FrameType.Headers && streamId === 1_999);
    expect(begun.indexOf("/")).toBeLessThan(500);
    expect(begun).toHaveLength(1_001);
  });

  it("gives the place of a request that was reset before its turn to another, though no handler may begin", async () => {
    const { handle, release, count } = waiting();
    await start({ limits: { maxHandlersAtOnce: 1, maxConcurrentStreams: 3 }, handle });
    const client = await connectRaw();
    client.send(headers(1, getPairs), headers(3, getPairs), headers(5, getPairs), reset(5));
    await client.ping();
    await client.ping("its turn");
    client.send(headers(7, getPairs));
    await client.ping("and more");
    expect(count()).toBe(1);
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toEqual([]);
    release();
    await statusOf(client, 1);
    release();
    await statusOf(client, 3);
    release();
    expect(await statusOf(client, 7)).toBe("200");
  });
});

describe("bodies", () => {
  it("answers a lane's too long body as soon as it is known, by content-length or by count", async () => {
    await start();
    const client = await connectRaw();
    client.send(headers(1, [...lanePairs, ["content-length", "65537"]], Flag.EndHeaders));
    const { payload } = await client.frame(({ type, streamId }) => type === FrameType.Headers && streamId === 1);
    expect(client.decode(payload)).toContainEqual(["grpc-status", "8"]);
    expect(await client.resetCode(1)).toBe(ErrorCode.NoError);
    client.send(openLane(3));
    for (let at = 0; at < 4; at++) {
      client.send(data(3, Buffer.alloc(16_383), 0));
    }
    // The window of 65,535 is opened as the lane takes its bytes.
    await client.frame(({ type, streamId }) => type === FrameType.WindowUpdate && streamId === 3);
    client.send(data(3, Buffer.alloc(16_383), 0));
    expect(await client.resetCode(3)).toBe(ErrorCode.NoError);
    client.send(data(3, "late"), laneRequest(5));
    expect((await client.body(5)).toString()).toBe("body");
  });

  it("takes 16 unfinished messages of the greatest size, and small ones in two parts beside them, for as long as they come", async () => {
    const lane: typeof echoLane = {
      ...echoLane,
      answer: (_bytes, start, end) => ({ ...fixedHead, body: Buffer.from(String(end - start)), trailer: null }),
    };
    await start({ lane, limits: { resetBudget: 100 } });
    const client = await connectRaw();
    const ids = Array.from({ length: 16 }, (_, at) => 2 * at + 1);
    for (const id of ids) {
      client.send(openLane(id), ...[16_384, 16_384, 16_384, 16_383].map((bytes) => data(id, Buffer.alloc(bytes), 0)));
      await client.ping(`part ${String(id).padStart(3)}`);
    }
    for (let id = 101; id < 1_101; id += 2) {
      client.send(openLane(id), data(id, "half ", 0), data(id, "and half"));
    }
    expect((await client.body(1_099)).toString()).toBe("13");
    for (const id of ids) {
      client.send(data(id, "!"));
      expect((await client.body(id)).toString()).toBe("65536");
    }
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toEqual([]);
  });

  it("refuses of the requests that wait the one that holds most, as often as need be, and no other", async () => {
    await start({ limits: { connectionWindowBytes: 70_000, maxHeldBytes: 140_000, resetBudget: 1 } });
    const client = await connectRaw();
    const part = (id: number, bytes: number): Buffer => data(id, Buffer.alloc(bytes), 0);
    client.send(openLane(1), part(1, 1_000));
    for (let id = 3; id < 43; id += 2) {
      client.send(openLane(id), part(id, 16_000));
      await client.ping(`part ${String(id).padStart(3)}`);
      client.send(part(id, 16_000));
      await client.ping(`more ${String(id).padStart(3)}`);
    }
    const refused = client.frames.filter(({ type }) => type === FrameType.ResetStream);
    expect(refused.length).toBeGreaterThan(10);
    expect(new Set(refused.map(({ payload }) => payload.readUInt32BE(0)))).toEqual(new Set([ErrorCode.RefusedStream]));
    client.send(data(1, "!"), laneRequest(101));
    expect((await client.body(1)).length).toBe(1_001);
    expect((await client.body(101)).toString()).toBe("body");
  });

  it("lets bodies that wait for a handler hold nobody's window, and begins them once there is room", async () => {
    const { handle, release, count } = waiting();
    await start({ handle, limits: { maxHandlersAtOnce: 1 } });
    const client = await connectRaw();
    const ids = Array.from({ length: 30 }, (_, at) => 2 * at + 3);
    client.send(headers(1, getPairs));
    for (const id of ids) {
      client.send(openPost(id), ...[16_384, 16_384, 16_384].map((bytes) => data(id, Buffer.alloc(bytes), 0)));
      client.send(data(id, Buffer.alloc(16_383), 0));
      await client.ping(`full ${String(id).padStart(3)}`);
    }
    client.send(laneRequest(1_001, "beside them"));
    expect((await client.body(1_001)).toString()).toBe("beside them");
    for (const id of [1, ...ids]) {
      await expect.poll(count).toBe(1);
      release();
      expect(await statusOf(client, id)).toBe("200");
    }
  });

  it("gives a handler's place to others as long as its client sends nothing, and asks for it again once something comes", async () => {
    const begun: string[] = [];
    await start({
      limits: { maxHandlersAtOnce: 1 },
      handle: async ({ body, method }) => {
        begun.push(method);
        let bytes = 0;
        for await (const chunk of body) {
          bytes += chunk.length;
        }
        return { status: 200, body: Buffer.from(`${bytes} bytes`) };
      },
    });
    const client = await connectRaw();
    const silent = Array.from({ length: 100 }, (_, at) => 2 * at + 1);
    client.send(...silent.map(openPost));
    await expect.poll(() => begun.length).toBe(100);
    client.send(headers(1_001, getPairs));
    expect((await client.body(1_001)).toString()).toBe("0 bytes");
    client.send(...silent.flatMap((id) => [data(id, "abc", 0), data(id, "d")]));
    for (const id of silent) {
      expect((await client.body(id)).toString()).toBe("4 bytes");
    }
  });

  it("holds no more for all connections together than the server's account lets it", async () => {
    const account = new Account(300_000);
    await start({ account, limits: { connectionWindowBytes: 70_000 } });
    const all = await Promise.all(Array.from({ length: 4 }, () => connectRaw()));
    let most = 0;
    for (let id = 1; id < 61; id += 2) {
      for (const client of all) {
        client.send(openLane(id), data(id, Buffer.alloc(10_000), 0));
        await client.ping(`part ${String(id).padStart(3)}`);
        most = Math.max(most, account.heldBytes);
      }
    }
    expect(most).toBeGreaterThan(200_000);
    expect(most).toBeLessThan(300_000);
    for (const client of all) {
      client.send(laneRequest(101));
      expect((await client.body(101)).toString()).toBe("body");
    }
  });

  it("counts a general request's header fields as long as its stream lives, and refuses those past half of what it may hold", async () => {
    const account = new Account(Number.POSITIVE_INFINITY);
    await start({ account, limits: { maxHeldBytes: 100_000 }, handle: async () => ({ status: 200, body: word(7) }) });
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 0]), settingsAck]),
    );
    const request = (id: number): Buffer => headers(id, [...getPairs, ["x-long", "x".repeat(12_000)]]);
    const answered = [1, 3, 5, 7];
    client.send(...answered.map(request));
    for (const id of answered) {
      expect(await statusOf(client, id)).toBe("200");
    }
    expect(account.heldBytes).toBeGreaterThan(48_000);
    expect(account.heldBytes).toBeLessThan(50_000);
    client.send(request(9));
    expect(await client.resetCode(9)).toBe(ErrorCode.RefusedStream);
    client.send(frame(FrameType.ResetStream, 0, 1, word(ErrorCode.Cancel)), request(11));
    expect(await statusOf(client, 11)).toBe("200");
    expect(account.heldBytes).toBeLessThan(50_000);
    for (const id of [3, 5, 7, 11]) {
      client.send(frame(FrameType.WindowUpdate, 0, id, word(4)));
      expect(await client.body(id)).toEqual(word(7));
    }
    expect(account.heldBytes).toBe(0);
  });

  it("refuses no request of a client that fills its streams with header fields of usual length", async () => {
    const account = new Account(Number.POSITIVE_INFINITY);
    await start({ account, handle: () => new Promise(() => {}) });
    const client = await connectRaw();
    for (let id = 1; id < 2_000; id += 2) {
      client.send(headers(id, [...getPairs, ["x-usual", "x".repeat(1_000)]]));
    }
    await client.ping();
    expect(account.heldBytes).toBeGreaterThan(1_000_000);
    client.send(headers(2_001, getPairs));
    expect(await client.resetCode(2_001)).toBe(ErrorCode.RefusedStream);
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toHaveLength(1);
  });

  it("opens the window again for bodies that were never read", async () => {
    await start({ handle: async () => ({ status: 404 }), limits: { connectionWindowBytes: 100_000 } });
    const client = await connectRaw();
    for (let id = 1; id < 200; id += 2) {
      client.send(openPost(id), data(id, Buffer.alloc(10_000)));
      expect(await statusOf(client, id)).toBe("404");
    }
    await client.ping();
  });

  it("holds the peer back where a handler does not read: per stream and per connection", async () => {
    const requests: GeneralRequest[] = [];
    await start({
      limits: { connectionWindowBytes: 100_000, maxHeldBytes: 100_000 },
      handle: (request) => {
        requests.push(request);
        return new Promise(() => {});
      },
    });
    const client = await connectRaw();
    client.send(openPost(1), openPost(3));
    const fill = (id: number): Buffer[] =>
      [16_384, 16_384, 16_384, 848].map((bytes) => data(id, Buffer.alloc(bytes), 0));
    client.send(...fill(1), ...fill(3));
    await client.ping();
    const isUpdate = ({ type, streamId }: { type: number; streamId: number }): boolean =>
      type === FrameType.WindowUpdate && (streamId === 1 || streamId === 3);
    expect(client.frames.some(isUpdate)).toBe(false);
    for (let read = 0; read < 50_000; ) {
      const result = await requests[0]?.body[Symbol.asyncIterator]().next();
      read += result?.value?.length ?? Number.NaN;
    }
    await client.frame(({ type, streamId }) => type === FrameType.WindowUpdate && streamId === 1);
    const room = client.frames
      .filter(({ type, streamId }) => type === FrameType.WindowUpdate && streamId === 0)
      .reduce((sum, { payload }) => sum + payload.readUInt32BE(), 0);
    // 34,465 from the start on, and what was read: a piece of the last one may wait to be worth a frame.
    expect(room).toBeGreaterThan(34_465 + 50_000 / 2);
    expect(room).toBeLessThanOrEqual(34_465 + 50_000);
    client.send(...Array.from({ length: 4 }, () => data(5, Buffer.alloc(16_384), 0)));
    expect(await client.goAwayCode()).toBe(ErrorCode.ProtocolError);
  });

  it("ends a connection that sends beyond its window", async () => {
    await start({
      limits: { connectionWindowBytes: 70_000, maxHeldBytes: 70_000 },
      handle: () => new Promise(() => {}),
    });
    const client = await connectRaw();
    client.send(openPost(1), openPost(3), ...[1, 3, 1, 3, 1].map((id) => data(id, Buffer.alloc(16_384), 0)));
    expect(await client.goAwayCode()).toBe(ErrorCode.FlowControlError);
  });

  it("resets a lane request whose body takes longer than laneBodyMs, however steadily it drips", async () => {
    await start();
    const client = await connectRaw();
    client.send(openLane(1));
    for (let at = 0; at < 4; at++) {
      client.send(data(1, "x", 0));
      await client.ping(`ping ${String(at).padStart(3)}`);
      advance(5_000);
    }
    expect(await client.resetCode(1)).toBe(ErrorCode.Cancel);
    await client.ping();
  });

  it("resets a general request whose body is silent for bodyIdleMs, but not one that nobody reads", async () => {
    await start({ limits: { keepaliveMs: 1e9 }, handle: () => new Promise(() => {}) });
    const client = await connectRaw();
    client.send(
      openPost(1),
      openPost(3),
      ...[16_384, 16_384, 16_384, 16_383].map((bytes) => data(3, Buffer.alloc(bytes), 0)),
    );
    await client.ping();
    advance(9_999);
    client.send(data(1, "x", 0));
    await client.ping("pingping");
    advance(9_999);
    expect(client.frames.some(({ type }) => type === FrameType.ResetStream)).toBe(false);
    advance(1);
    expect(await client.resetCode(1)).toBe(ErrorCode.Cancel);
    await client.ping("the  end");
    expect(client.frames.some(({ type, streamId }) => type === FrameType.ResetStream && streamId === 3)).toBe(false);
  });
});

describe("slow readers", () => {
  const big: LaneAnswer = {
    head: encodePreparedBlock([[":status", "200"]]),
    body: new Uint8Array(16_000),
    trailer: null,
  };

  it("stops reading past maxUnsentBytes, holds no more than that, and goes on when the peer reads (CVE-2019-9517)", async () => {
    let answered = 0;
    const lane = {
      ...echoLane,
      answer: () => {
        answered++;
        return big;
      },
    };
    await start({ lane, limits: { maxUnsentBytes: 100_000 } });
    const client = await connectRaw(
      Buffer.concat([
        clientPreface,
        settings([Setting.InitialWindowSize, 2 ** 31 - 1]),
        settingsAck,
        frame(FrameType.WindowUpdate, 0, 0, word(2 ** 30)),
      ]),
    );
    client.socket.pause();
    const wanted = 5_000;
    for (let at = 0; at < wanted; at++) {
      client.send(laneRequest(2 * at + 1, "x"));
    }
    await stuck(client);
    expect(answered).toBeLessThan(wanted);
    const [socket] = server.sockets;
    expect(socket?.writableLength).toBeLessThan(100_000 + 17_000);
    client.socket.resume();
    await client.frame(({ streamId, flags }) => streamId === 2 * wanted - 1 && (flags & Flag.EndStream) !== 0);
    expect(answered).toBe(wanted);
  });

  it("makes no more of general responses than maxUnsentBytes, however large the windows", async () => {
    const body = Buffer.alloc(40_000_000);
    await start({ limits: { maxUnsentBytes: 100_000 }, handle: async () => ({ status: 200, body }) });
    const grant = frame(FrameType.WindowUpdate, 0, 0, word(2 ** 30));
    const first = [clientPreface, settings([Setting.InitialWindowSize, 2 ** 31 - 1]), settingsAck, grant];
    const client = await connectRaw(Buffer.concat(first));
    client.socket.pause();
    client.send(headers(1, getPairs), headers(3, getPairs));
    const [socket] = server.sockets;
    let most = 0;
    for (let at = 0; at < 2_000; at++) {
      await turn();
      most = Math.max(most, socket?.writableLength ?? 0);
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(100_000 + 17_000);
  });

  it("begins no handler past maxWaitingBodyBytes, reads on, and begins the next ones in order as the peer makes room", async () => {
    const begun: string[] = [];
    await start({
      limits: { maxWaitingBodyBytes: 50_000, maxHandlersAtOnce: 1 },
      handle: async ({ path }) => {
        begun.push(path);
        return { status: 200, body: Buffer.alloc(40_000) };
      },
    });
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 0]), settingsAck]),
    );
    for (const id of [1, 3, 5, 7]) {
      client.send(headers(id, [...getPairs.slice(0, 3), [":path", `/${id}`]]));
      await client.ping(`stream ${id}`);
    }
    expect(begun).toEqual(["/1", "/3"]);
    client.send(frame(FrameType.WindowUpdate, 0, 1, word(40_000)));
    expect((await client.body(1)).length).toBe(40_000);
    await client.ping("one sent");
    expect(begun).toEqual(["/1", "/3", "/5"]);
    client.send(frame(FrameType.ResetStream, 0, 3, word(ErrorCode.Cancel)));
    await client.ping("one gone");
    expect(begun).toEqual(["/1", "/3", "/5", "/7"]);
  });

  it("has maxHandlersAtOnce handlers at work, and never begins one whose stream was reset while it waited", async () => {
    const begun: string[] = [];
    const release = Promise.withResolvers<void>();
    await start({
      limits: { maxHandlersAtOnce: 2 },
      handle: async ({ path }) => {
        begun.push(path);
        await release.promise;
        return { status: 204 };
      },
    });
    const client = await connectRaw();
    for (const id of [1, 3, 5, 7]) {
      client.send(headers(id, [...getPairs.slice(0, 3), [":path", `/${id}`]]));
    }
    client.send(frame(FrameType.ResetStream, 0, 5, word(ErrorCode.Cancel)));
    await client.ping();
    expect(begun).toEqual(["/1", "/3"]);
    release.resolve();
    await client.frame(({ streamId, flags }) => streamId === 7 && (flags & Flag.EndStream) !== 0);
    expect(begun).toEqual(["/1", "/3", "/7"]);
  });

  const closings: Promise<void>[] = [];

  it.each([
    ["writeStallMs", 30_000, () => {}],
    ["closingStallMs once it closes", 2_000, () => closings.push(server.http2.close(600_000))],
  ])("closes a connection whose peer takes nothing for %s", async (_, stallMs, go) => {
    await start({ lane: { ...echoLane, answer: () => big } });
    const client = await connectRaw(
      Buffer.concat([
        clientPreface,
        settings([Setting.InitialWindowSize, 2 ** 31 - 1]),
        settingsAck,
        frame(FrameType.WindowUpdate, 0, 0, word(2 ** 30)),
      ]),
    );
    client.socket.pause();
    for (let at = 0; at < 3_000; at++) {
      client.send(laneRequest(2 * at + 1, "x"));
    }
    await stuck(client);
    advance(1);
    go();
    advance(stallMs - 1_000);
    expect(server.http2.connectionCount).toBe(1);
    advance(1_000);
    await expect.poll(() => server.http2.connectionCount).toBe(0);
    await Promise.all(closings.splice(0));
  });

  it("sends windows of a byte without end to nobody (CVE-2019-9511)", async () => {
    await start({ limits: { controlBudget: 500 }, handle: async () => ({ status: 200, body: Buffer.alloc(100_000) }) });
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 0]), settingsAck]),
    );
    client.send(headers(1, getPairs));
    for (let at = 0; at < 20; at++) {
      client.send(Buffer.concat(Array.from({ length: 50 }, () => frame(FrameType.WindowUpdate, 0, 1, word(1)))));
      await turn();
    }
    expect(await client.goAwayCode()).toBe(ErrorCode.EnhanceYourCalm);
  });
});

describe("the life of a connection", () => {
  it("closes one that does not say the preface in time", async () => {
    await start();
    const client = await connectRaw(clientPreface.subarray(0, 10));
    await arrived(client);
    const said = await bytesTo(client);
    advance(9_999);
    expect(await bytesTo(client)).toBe(said);
    advance(1);
    expect(await client.goAwayCode()).toBe(ErrorCode.ProtocolError);
  });

  it("closes one that does not acknowledge SETTINGS in time (RFC 9113 section 6.5.3)", async () => {
    await start();
    const client = await connectRaw(Buffer.concat([clientPreface, settings()]));
    await client.ping();
    advance(10_000);
    expect(await client.goAwayCode()).toBe(ErrorCode.SettingsTimeout);
  });

  it("asks a silent peer whether it is there, and closes if it does not answer", async () => {
    await start();
    const client = await connectRaw();
    await client.ping();
    advance(60_000);
    const { payload } = await client.frame(({ type, flags }) => type === FrameType.Ping && flags === 0);
    client.send(frame(FrameType.Ping, Flag.Ack, 0, payload));
    await arrived(client);
    advance(20_000);
    expect(server.http2.connectionCount).toBe(1);
    advance(60_000);
    advance(20_000);
    await expect.poll(() => server.http2.connectionCount).toBe(0);
  });

  it("leaves after idleMs: GOAWAY with the highest id, then with the last taken, then closes", async () => {
    await start({ limits: { keepaliveMs: 1e9 } });
    const client = await connectRaw();
    client.send(laneRequest(1));
    await client.body(1);
    advance(300_000);
    const first = await client.frame(({ type }) => type === FrameType.GoAway);
    expect([first.payload.readUInt32BE(0), first.payload.readUInt32BE(4)]).toEqual([2 ** 31 - 1, ErrorCode.NoError]);
    const { payload } = await client.frame(({ type, flags }) => type === FrameType.Ping && flags === 0);
    // A request that was on its way is served.
    client.send(laneRequest(3), frame(FrameType.Ping, Flag.Ack, 0, payload));
    expect((await client.body(3)).toString()).toBe("body");
    await client.closed();
    const last = client.frames.filter(({ type }) => type === FrameType.GoAway).at(-1);
    expect(last?.payload.readUInt32BE(0)).toBe(3);
  });

  it("leaves at maxAgeMs, lets streams end, takes none that came later, and closes after maxAgeGraceMs at the latest", async () => {
    const { handle, release } = waiting();
    await start({ handle, limits: { keepaliveMs: 1e9 } });
    const client = await connectRaw();
    const stuck = await connectRaw();
    client.send(headers(1, getPairs));
    stuck.send(headers(1, getPairs));
    await client.ping();
    await stuck.ping();
    advance(3_600_000);
    await client.frame(({ type }) => type === FrameType.GoAway);
    // Nobody answers the PING: the second GOAWAY comes by time.
    advance(1_000);
    await client.frame(({ type, payload }) => type === FrameType.GoAway && payload.readUInt32BE(0) === 1);
    client.send(headers(3, getPairs));
    await client.ping("too late");
    release();
    await client.body(1);
    await client.closed();
    expect(client.frames.some(({ streamId }) => streamId === 3)).toBe(false);
    stuck.send(headers(5, getPairs));
    advance(29_000);
    await stuck.closed();
  });

  it("spreads the ages", async () => {
    await start({ limits: { ageJitter: 0.1, maxAgeMs: 100_000, keepaliveMs: 1e9, idleMs: 1e9 } });
    const all = await Promise.all(Array.from({ length: 20 }, () => connectRaw()));
    await Promise.all(all.map((client) => client.ping()));
    advance(89_999);
    await Promise.all(all.map((client) => client.ping("after 89")));
    const leaving = (): number =>
      all.filter(({ frames }) => frames.some(({ type }) => type === FrameType.GoAway)).length;
    expect(leaving()).toBe(0);
    advance(10_000);
    await Promise.all(all.map((client) => client.ping("after 99")));
    expect(leaving()).toBeGreaterThan(0);
    expect(leaving()).toBeLessThan(20);
    advance(10_002);
    await expect.poll(leaving).toBe(20);
  });

  it("shuts down gracefully: what is under way is answered, new connections are not taken", async () => {
    const { handle, release } = waiting();
    await start({ handle });
    const client = await connectRaw();
    client.send(headers(1, getPairs));
    await client.ping();
    const closed = server.http2.close(5_000);
    const { payload } = await client.frame(({ type, flags }) => type === FrameType.Ping && flags === 0);
    client.send(frame(FrameType.Ping, Flag.Ack, 0, payload));
    const late = await connectRaw();
    await late.closed();
    release();
    expect(await statusOf(client, 1)).toBe("200");
    await closed;
    await client.closed();
  });

  it("once it closes, waits closingStallMs for who takes nothing of an answer, and longer for who takes some", async () => {
    await start({ handle: async () => ({ status: 200, body: Buffer.alloc(1_000) }) });
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 0]), settingsAck]),
    );
    client.send(headers(1, getPairs), headers(3, getPairs));
    await client.frame(({ streamId, type }) => streamId === 3 && type === FrameType.Headers);
    const closed = server.http2.close(600_000);
    advance(1_999);
    client.send(frame(FrameType.WindowUpdate, 0, 3, word(10)));
    await client.until(() => client.bodyBytes(3) === 10);
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toEqual([]);
    advance(1);
    expect(await client.resetCode(1)).toBe(ErrorCode.Cancel);
    client.send(frame(FrameType.WindowUpdate, 0, 3, word(990)));
    expect(await client.body(3)).toHaveLength(1_000);
    await closed;
    await client.closed();
  });

  it("once it closes, waits for streams that have windows of their own as long as the connection's is used", async () => {
    await start({ handle: async () => ({ status: 200, body: Buffer.alloc(100_000) }) });
    const client = await connectRaw(
      Buffer.concat([clientPreface, settings([Setting.InitialWindowSize, 1_048_576]), settingsAck]),
    );
    const ids = [1, 3, 5, 7, 9];
    client.send(...ids.map((id) => headers(id, getPairs)));
    const received = () => ids.reduce((sum, id) => sum + client.bodyBytes(id), 0);
    await client.until(() => received() === 65_535);
    const closed = server.http2.close(600_000);
    // A frame each second: the turn of each stream comes every five.
    for (let bytes = 65_535 + 10_000; bytes < 150_000; bytes += 10_000) {
      advance(1_000);
      client.send(frame(FrameType.WindowUpdate, 0, 0, word(10_000)));
      await client.until(() => received() === bytes);
    }
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toEqual([]);
    advance(1_000);
    advance(1_999);
    expect(client.frames.filter(({ type }) => type === FrameType.ResetStream)).toEqual([]);
    advance(1);
    expect(await Promise.all(ids.map((id) => client.resetCode(id)))).toEqual(ids.map(() => ErrorCode.Cancel));
    await closed;
    await client.closed();
  });

  it("reads for lingerMs after a connection error, and not longer, from a peer that goes on sending", async () => {
    await start();
    const client = new RawClient(connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true }));
    clients.push(client);
    client.send(clientPreface, settings(), settingsAck, frame(FrameType.Headers, 0, 0));
    expect(await client.goAwayCode()).toBe(ErrorCode.ProtocolError);
    client.send(laneRequest(1));
    advance(999);
    await arrived(client);
    client.send(laneRequest(3));
    await arrived(client);
    expect([server.http2.connectionCount, client.isClosed]).toEqual([1, false]);
    advance(1);
    await expect.poll(() => server.http2.connectionCount).toBe(0);
    expect(client.frames.at(-1)?.type).toBe(FrameType.GoAway);
  });

  it("takes no more than maxConnections", async () => {
    await start({ limits: { maxConnections: 1 } });
    const client = await connectRaw();
    await client.ping();
    const second = await connectRaw();
    await second.closed();
    await client.ping("pingping");
  });

  it("aborts what is under way when the client goes", async () => {
    const reasons: unknown[] = [];
    await start({
      handle: (request) =>
        new Promise(() => {
          request.signal.addEventListener("abort", () => reasons.push(request.signal.reason));
        }),
    });
    const client = await connectRaw();
    client.send(headers(1, getPairs), headers(3, getPairs), reset(3));
    await client.ping();
    client.close();
    await expect
      .poll(() => reasons.map((reason) => (reason as Error).name))
      .toEqual(["StreamAborted", "StreamAborted"]);
  });

  it("survives sockets that break at once", async () => {
    await start();
    for (let at = 0; at < 50; at++) {
      const socket = connect(server.port, "127.0.0.1", () => {
        socket.write(clientPreface);
        socket.resetAndDestroy();
      });
      socket.on("error", () => {});
    }
    await expect.poll(() => server.http2.connectionCount).toBe(0);
  });
});
