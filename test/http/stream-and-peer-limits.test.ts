import { once } from "node:events";
import { constants } from "node:http2";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { HttpRequest } from "../../src/wire/exchange.ts";
import { defaultLimits } from "../../src/wire/http2/limits.ts";
import { eventually } from "../support/eventually.ts";
import {
  answersBoth,
  callHttp2,
  connectRaw,
  endsWithGoaway,
  frame,
  hello,
  openHttp2,
  postHeaders,
  preface,
  readAll,
  readToEnd,
  sendRaw,
  settingsFrame,
  startRig,
} from "./http-rig.ts";
import { stopClock } from "./stop-clock.ts";

const hosted = "Host: localhost\r\n";

afterEach(() => {
  vi.useRealTimers();
});

describe("streams and pipelines", () => {
  it("refuses a stream above the maximum, and serves one again when another ends", async () => {
    const release = Promise.withResolvers<void>();
    const handler = async () => {
      await release.promise;
      return hello();
    };
    await using rig = await startRig({ handler, http2Limits: { maxConcurrentStreams: 3 } });
    const socket = await connectRaw(rig.port);
    const received: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    const waiting = [1, 3, 5, 7].map((streamId) => postHeaders(streamId));
    socket.write(Buffer.concat([preface, settingsFrame, ...waiting]));
    const refused = frame(3, 0, 7, Buffer.from([0, 0, 0, constants.NGHTTP2_REFUSED_STREAM]));
    await eventually(() => Buffer.concat(received).includes(refused));
    expect(rig.requests).toHaveLength(3);
    release.resolve();
    await eventually(() => Buffer.concat(received).toString("latin1").split("hello").length === 4);
    socket.write(postHeaders(9));
    await eventually(() => rig.requests.length === 4);
    socket.destroy();
  });

  it("serves as many streams at once as it announces, with long headers", async () => {
    const release = Promise.withResolvers<void>();
    await using rig = await startRig({
      async handler() {
        await release.promise;
        return hello();
      },
      http2Limits: { maxHandlersAtOnce: defaultLimits.maxConcurrentStreams },
    });
    await using session = await openHttp2(rig.origin);
    await once(session, "remoteSettings");
    const fields = { ":path": "/", "x-long": "y".repeat(4_000) };
    const answers = Array.from({ length: defaultLimits.maxConcurrentStreams }, () => callHttp2(session, fields));
    await eventually(() => rig.requests.length === defaultLimits.maxConcurrentStreams);
    release.resolve();
    expect((await Promise.all(answers)).every(({ status }) => status === 200)).toBe(true);
  });

  it("holds no more of all unread bodies of a connection than its window", async () => {
    const release = Promise.withResolvers<void>();
    await using rig = await startRig({
      async handler(request) {
        await release.promise;
        return { status: 200, body: Buffer.from(String((await readAll(request.body)).byteLength)) };
      },
      http2Limits: { connectionWindowBytes: 100_000, maxHeldBytes: 100_000 },
    });
    await using session = await openHttp2(rig.origin);
    await once(session, "remoteSettings");
    const post = { ":method": "POST", ":path": "/" };
    const answers = Array.from({ length: 10 }, () => callHttp2(session, post, Buffer.alloc(50_000)));
    await eventually(() => rig.requests.length === 10);
    for (let round = 0; round < 5; round += 1) {
      await new Promise<void>((resolve) => session.ping(() => resolve()));
    }
    expect(session.socket.bytesWritten).toBeLessThan(110_000);
    release.resolve();
    expect((await Promise.all(answers)).map(({ body }) => body)).toEqual(Array(10).fill("50000"));
  });

  it("begins little of what a peer opens and resets without end, and serves everybody", async () => {
    await using rig = await startRig({ http2Limits: { resetBudget: 50, budgetRefillPerSecond: 10 } });
    const socket = await connectRaw(rig.port);
    socket.write(Buffer.concat([preface, settingsFrame]));
    for (let streamId = 1; streamId < 2_000; streamId += 2) {
      const reset = frame(3, 0, streamId, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL]));
      socket.write(Buffer.concat([postHeaders(streamId), reset]));
    }
    expect(await answersBoth(rig)).toBe(true);
    expect(rig.requests.length).toBeLessThan(200);
    expect(socket.closed).toBe(false);
    socket.destroy();
  });

  it("calms a peer that sends faulty requests without end, and only that peer", async () => {
    await using rig = await startRig({ http2Limits: { resetBudget: 50, budgetRefillPerSecond: 10 } });
    const socket = await connectRaw(rig.port);
    const received = readToEnd(socket);
    socket.write(Buffer.concat([preface, settingsFrame]));
    for (let streamId = 1; streamId < 2_000 && !socket.closed; streamId += 2) {
      const depends = frame(2, 0, streamId, Buffer.from([0, 0, streamId >> 8, streamId & 0xff, 0]));
      socket.write(Buffer.concat([postHeaders(streamId), depends]));
    }
    const answer = Buffer.from(await received, "latin1");
    expect(endsWithGoaway(answer, constants.NGHTTP2_ENHANCE_YOUR_CALM)).toBe(true);
    expect(await answersBoth(rig)).toBe(true);
  });

  it("cuts an HTTP/1.1 peer that pipelines more requests than may wait", async () => {
    const release = Promise.withResolvers<void>();
    await using rig = await startRig({
      async handler() {
        await release.promise;
        return hello();
      },
      limits: { maxPipelinedRequests: 5 },
    });
    await sendRaw(rig.port, `GET / HTTP/1.1\r\n${hosted}\r\n`.repeat(7));
    expect(rig.requests.length).toBeLessThanOrEqual(1);
    release.resolve();
    expect(await answersBoth(rig)).toBe(true);
  });
});

describe("idle and dead peers", () => {
  it("closes an HTTP/1.1 connection that sends no next request", async () => {
    // Node adds a second of its own so that a client that counts on the time is not cut.
    await using rig = await startRig({ limits: { keepAliveMs: 10 } });
    const answer = await sendRaw(rig.port, `GET / HTTP/1.1\r\n${hosted}\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 200/);
  });

  it("closes an HTTP/2 connection without streams by GOAWAY, and not one with a stream", async () => {
    const release = Promise.withResolvers<void>();
    const handler = async ({ url }: HttpRequest) => {
      await (url.endsWith("/wait") ? release.promise : undefined);
      return hello();
    };
    stopClock();
    await using rig = await startRig({ handler, http2Limits: { idleMs: 300 } });
    await using busy = await openHttp2(rig.origin);
    await using idle = await openHttp2(rig.origin);
    expect((await callHttp2(idle, { ":path": "/" })).status).toBe(200);
    const answer = callHttp2(busy, { ":path": "/wait" });
    await eventually(() => rig.requests.length === 2);
    const told = once(idle, "goaway");
    vi.advanceTimersByTime(600);
    const [code] = await told;
    expect(code).toBe(constants.NGHTTP2_NO_ERROR);
    expect(busy.closed).toBe(false);
    release.resolve();
    expect((await answer).status).toBe(200);
    const closed = once(busy, "close");
    vi.advanceTimersByTime(600);
    await closed;
  });

  it("keeps a quiet peer that answers PING, and cuts one that does not, streams and all", async () => {
    const release = Promise.withResolvers<void>();
    const handler = async () => {
      await release.promise;
      return hello();
    };
    await using rig = await startRig({ handler, http2Limits: { keepaliveMs: 50, keepaliveAnswerMs: 500 } });
    await using alive = await openHttp2(rig.origin);
    const dead = await connectRaw(rig.port);
    const closed = readToEnd(dead);
    dead.write(Buffer.concat([preface, settingsFrame, postHeaders(1)]));
    await closed;
    await eventually(() => rig.requests[0]?.signal.aborted === true);
    release.resolve();
    expect((await callHttp2(alive, { ":path": "/" })).status).toBe(200);
  });
});

describe("slow readers", () => {
  async function* endless() {
    for (;;) {
      yield Buffer.alloc(16_384);
    }
  }

  it("cuts a stream whose peer opens no window, keeps its connection, and buffers next to nothing", async () => {
    let produced = 0;
    async function* counted() {
      for await (const chunk of endless()) {
        produced += chunk.byteLength;
        yield chunk;
      }
    }
    const handler = async ({ url }: HttpRequest) =>
      url.endsWith("/endless") ? { status: 200, body: counted() } : hello();
    await using rig = await startRig({ handler, http2Limits: { writeStallMs: 300 } });
    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":path": "/endless" });
    stream.on("error", () => {});
    await once(stream, "response");
    stream.pause();
    await eventually(() => rig.requests[0]?.signal.aborted === true);
    expect(produced).toBeLessThan(1_000_000);
    expect(rig.log).toEqual([]);
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
  });

  it("cuts an HTTP/1.1 connection whose peer reads nothing", async () => {
    await using rig = await startRig({
      handler: async () => ({ status: 200, body: endless() }),
      limits: { slowReaderMs: 300 },
    });
    const socket = await connectRaw(rig.port);
    socket.pause();
    socket.write(`GET / HTTP/1.1\r\n${hosted}\r\n`);
    await eventually(() => rig.listener.counts().open === 0);
    expect(rig.requests[0]?.signal.aborted).toBe(true);
    socket.destroy();
  });

  it("gives a response of one piece the same time to be read", async () => {
    const handler = async () => ({ status: 200, body: Buffer.alloc(20_000_000), trailer: { a: "b" } });
    await using rig = await startRig({ handler, limits: { slowReaderMs: 300 }, http2Limits: { writeStallMs: 300 } });
    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":path": "/" });
    stream.on("error", () => {});
    await once(stream, "response");
    stream.pause();
    await eventually(() => rig.requests[0]?.signal.aborted === true);
    const socket = await connectRaw(rig.port);
    socket.pause();
    socket.write(`GET / HTTP/1.1\r\n${hosted}\r\n`);
    await eventually(() => rig.requests[1]?.signal.aborted === true);
    expect(rig.log).toEqual([]);
    socket.destroy();
  });
});
