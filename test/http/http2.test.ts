import { once } from "node:events";
import { constants } from "node:http2";
import { describe, expect, it } from "vitest";
import type { HttpRequest } from "../../src/wire/exchange.ts";
import { eventually } from "../support/eventually.ts";
import {
  callHttp2,
  connectRaw,
  echo,
  frame,
  hello,
  openHttp2,
  postHeaders,
  preface,
  readAll,
  settingsFrame,
  startRig,
} from "./http-rig.ts";

describe("HTTP/2 with prior knowledge", () => {
  it("hands the handler method, absolute URL, header without pseudo headers, and a local peer", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    const answer = await callHttp2(
      session,
      { ":method": "POST", ":path": "/a/b?c=d", "content-length": "4", "x-one": "1", te: "trailers" },
      "body",
    );
    expect(answer).toMatchObject({ status: 200, body: "hello", resetCode: 0 });
    expect(answer.headers["content-length"]).toBe("5");
    const [request] = rig.requests;
    expect(request).toMatchObject({
      httpVersion: "2.0",
      method: "POST",
      url: `http://localhost:${rig.port}/a/b?c=d`,
      peer: { transport: "loopback", identity: "local", fault: null },
    });
    expect(Object.fromEntries(request?.header ?? [])).toEqual({
      "content-length": "4",
      "x-one": "1",
      te: "trailers",
    });
  });

  it("echoes a body larger than every window, and sends the trailer after it", async () => {
    await using rig = await startRig({ handler: echo });
    await using session = await openHttp2(rig.origin);
    const body = "0123456789".repeat(100_000);
    const answer = await callHttp2(session, { ":method": "POST", ":path": "/" }, body);
    expect(answer.status).toBe(200);
    expect(answer.body === body).toBe(true);
    expect(answer.trailers["x-after"]).toBe("all");
    expect(answer.resetCode).toBe(0);
  });

  it("reads the trailer only after the body ended, and sends a trailer after an empty body", async () => {
    const trailer = new Headers();
    async function* body() {
      yield Buffer.from("a");
      trailer.set("grpc-status", "0");
    }
    async function* nothing(): AsyncGenerator<Uint8Array> {}
    const handler = async ({ url }: HttpRequest) =>
      url.endsWith("/empty")
        ? { status: 200, body: nothing(), trailer: { "grpc-status": "12" } }
        : { status: 200, body: body(), trailer };
    await using rig = await startRig({ handler });
    await using session = await openHttp2(rig.origin);
    expect((await callHttp2(session, { ":path": "/" })).trailers["grpc-status"]).toBe("0");
    const empty = await callHttp2(session, { ":path": "/empty" });
    expect(empty).toMatchObject({ status: 200, body: "" });
    expect(empty.trailers["grpc-status"]).toBe("12");
  });

  it("streams chunks as they come, both ways at once", async () => {
    async function* reply(request: HttpRequest) {
      for await (const chunk of request.body) {
        yield Buffer.from(`<${Buffer.from(chunk).toString()}>`);
      }
    }
    await using rig = await startRig({
      handler: async (request) => ({ status: 200, body: reply(request), trailer: {} }),
    });
    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.setEncoding("utf8");
    for (const message of ["one", "two", "three"]) {
      const received = once(stream, "data");
      stream.write(message);
      expect(await received).toEqual([`<${message}>`]);
    }
    stream.end();
    await once(stream, "close");
    expect(stream.rstCode).toBe(0);
  });

  it("aborts the signal and breaks the body off when the peer resets the stream", async () => {
    const outcomes: unknown[] = [];
    await using rig = await startRig({
      async handler(request) {
        const outcome = await readAll(request.body).catch((error: Error) => error.name);
        outcomes.push([outcome, request.signal.aborted]);
        return hello();
      },
    });
    const socket = await connectRaw(rig.port);
    socket.resume();
    socket.write(Buffer.concat([preface, settingsFrame, postHeaders(1), frame(0, 0, 1, Buffer.from("half"))]));
    await eventually(() => rig.requests.length === 1);
    // Without END_STREAM; once after the bytes were read, once in the same packet, once with NO_ERROR.
    socket.write(frame(3, 0, 1, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL])));
    await eventually(() => outcomes.length === 1);
    for (const [streamId, code] of [
      [3, constants.NGHTTP2_CANCEL],
      [5, constants.NGHTTP2_NO_ERROR],
    ] as const) {
      const reset = frame(3, 0, streamId, Buffer.from([0, 0, 0, code]));
      socket.write(Buffer.concat([postHeaders(streamId), frame(0, 0, streamId, Buffer.from("half")), reset]));
      await eventually(() => outcomes.length === (streamId + 1) / 2);
    }
    expect(outcomes).toEqual(Array(3).fill(["StreamAborted", true]));
    expect(rig.log).toEqual([]);
    socket.destroy();
  });

  it("aborts the signal of every stream when the connection breaks, and returns their response bodies", async () => {
    let returned = 0;
    async function* endless(signal: AbortSignal) {
      try {
        yield Buffer.from("first");
        await once(signal, "abort");
      } finally {
        returned += 1;
      }
    }
    await using rig = await startRig({
      handler: async ({ signal }) => ({ status: 200, body: endless(signal), trailer: {} }),
    });
    await using session = await openHttp2(rig.origin);
    for (let count = 0; count < 3; count += 1) {
      const stream = session.request({ ":path": "/" });
      stream.on("error", () => {});
      await once(stream, "data");
    }
    session.destroy();
    await eventually(() => returned === 3);
    expect(rig.requests.every(({ signal }) => signal.aborted)).toBe(true);
    expect(rig.log).toEqual([]);
  });

  it("tells a response body that does not heed the signal when its peer is gone, and counts it no longer when it is done", async () => {
    const returned = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<IteratorResult<Uint8Array>>();
    const body: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => ended.promise,
        async return() {
          returned.resolve();
          return { done: true, value: undefined };
        },
      }),
    };
    const handler = async ({ url }: HttpRequest) => (url.endsWith("/stuck") ? { status: 200, body } : hello());
    await using rig = await startRig({ handler, http2Limits: { maxConcurrentStreams: 1 } });
    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":path": "/stuck" });
    stream.on("error", () => {});
    await eventually(() => rig.requests.length === 1);
    stream.close(constants.NGHTTP2_CANCEL);
    await returned.promise;
    // Its work goes on, so its place is taken (CVE-2025-8671).
    const next = callHttp2(session, { ":path": "/" });
    await new Promise<void>((resolve) => session.ping(() => resolve()));
    expect(rig.requests).toHaveLength(1);
    ended.resolve({ done: true, value: undefined });
    expect((await next).status).toBe(200);
    expect(rig.log).toEqual([]);
  });

  it("does not abort the signal of a request that was answered in full", async () => {
    await using rig = await startRig({ handler: echo });
    await using session = await openHttp2(rig.origin);
    await callHttp2(session, { ":method": "POST", ":path": "/" }, "x");
    session.close();
    await once(session, "close");
    await eventually(() => rig.listener.counts().open === 0);
    expect(rig.requests[0]?.signal.aborted).toBe(false);
  });

  it("answers 500 without a word of the error when the handler rejects or throws, and logs neither message nor header", async () => {
    const handler = ({ url }: HttpRequest) => {
      const error = new TypeError("sk_live_never_show");
      if (url.endsWith("/throw")) {
        throw error;
      }
      return Promise.reject(error);
    };
    await using rig = await startRig({ handler });
    await using session = await openHttp2(rig.origin);
    for (const path of ["/throw", "/reject"]) {
      const answer = await callHttp2(session, { ":path": path, "x-key": "sk_live_header" });
      expect(answer).toMatchObject({ status: 500, body: "internal error\n" });
    }
    expect(rig.log).toHaveLength(2);
    expect(rig.log[0]?.fields).toMatchObject({ error: "TypeError" });
    expect(JSON.stringify(rig.log)).not.toContain("sk_live");
  });

  it("resets the stream when the body fails after the header was sent", async () => {
    async function* failing() {
      yield Buffer.from("some");
      throw new Error("broken");
    }
    await using rig = await startRig({
      handler: async () => ({ status: 200, body: failing(), trailer: { "grpc-status": "0" } }),
    });
    await using session = await openHttp2(rig.origin);
    const answer = await callHttp2(session, { ":path": "/" });
    expect(answer).toMatchObject({ status: 200, resetCode: constants.NGHTTP2_INTERNAL_ERROR, trailers: {} });
    expect(rig.log).toHaveLength(1);
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
  });

  it("answers 500 when the handler's body fails before its first chunk", async () => {
    const failing: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error("broken")) }),
    };
    await using rig = await startRig({ handler: async () => ({ status: 200, body: failing }) });
    await using session = await openHttp2(rig.origin);
    expect(await callHttp2(session, { ":path": "/" })).toMatchObject({ status: 500, body: "internal error\n" });
  });

  it("answers 500 for a status, header or trailer that HTTP cannot carry, and leaves out what HTTP/2 has no use for", async () => {
    const handler = async ({ url }: HttpRequest) => {
      if (url.endsWith("/status")) {
        return { status: 99, body: Buffer.from("x") };
      }
      if (url.endsWith("/header")) {
        return { status: 200, header: { "a b": "c" } };
      }
      if (url.endsWith("/line")) {
        return { status: 200, body: Buffer.from("x"), trailer: { a: "b\r\nc: d" } };
      }
      if (url.endsWith("/connection")) {
        return { status: 200, header: { connection: "close", "transfer-encoding": "chunked" }, body: Buffer.from("x") };
      }
      return { status: 200, body: Buffer.from("x"), trailer: { connection: "close", a: "b" } };
    };
    await using rig = await startRig({ handler });
    await using session = await openHttp2(rig.origin);
    for (const path of ["/status", "/header", "/line"]) {
      expect(await callHttp2(session, { ":path": path })).toMatchObject({ status: 500, body: "internal error\n" });
    }
    expect(rig.log).toHaveLength(3);
    const answer = await callHttp2(session, { ":path": "/connection" });
    expect(answer).toMatchObject({ status: 200, body: "x" });
    expect(answer.headers).not.toHaveProperty("connection");
    expect(answer.headers).not.toHaveProperty("transfer-encoding");
    const { body, trailers } = await callHttp2(session, { ":path": "/trailer" });
    expect(body).toBe("x");
    expect(Object.entries(trailers)).toEqual([["a", "b"]]);
  });

  it("answers HEAD, 204 and 304 without a body", async () => {
    const handler = async ({ url }: HttpRequest) => ({
      status: Number(new URL(url).pathname.slice(1)),
      body: Buffer.from("x"),
    });
    await using rig = await startRig({ handler });
    await using session = await openHttp2(rig.origin);
    expect(await callHttp2(session, { ":method": "HEAD", ":path": "/200" })).toMatchObject({ status: 200, body: "" });
    expect(await callHttp2(session, { ":path": "/204" })).toMatchObject({ status: 204, body: "" });
    expect(await callHttp2(session, { ":path": "/304" })).toMatchObject({ status: 304, body: "" });
  });

  it("answers before a body that the handler does not want, and tells the peer without an error to send no more", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    const answer = await callHttp2(session, { ":method": "POST", ":path": "/" }, "x".repeat(200_000));
    expect(answer).toMatchObject({ status: 200, body: "hello", resetCode: 0 });
  });

  it("leaves what the handler does not read at the peer, window by window", async () => {
    const release = Promise.withResolvers<void>();
    await using rig = await startRig({
      async handler(request) {
        const body = request.body[Symbol.asyncIterator]();
        const first = await body.next();
        await release.promise;
        const rest = await readAll({ [Symbol.asyncIterator]: () => body });
        const length = rest.byteLength + (first.done === true ? 0 : first.value.byteLength);
        return { status: 200, body: Buffer.from(String(length)) };
      },
      http2Limits: { streamWindowBytes: 10_000 },
    });
    await using session = await openHttp2(rig.origin);
    await once(session, "remoteSettings");
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.setEncoding("utf8");
    stream.end(Buffer.alloc(1_000_000));
    await eventually(() => rig.requests.length === 1);
    for (let round = 0; round < 5; round += 1) {
      await new Promise<void>((resolve) => session.ping(() => resolve()));
    }
    // The peer has sent a window and the first chunk's: the rest is still its own.
    expect(session.socket.bytesWritten).toBeLessThan(30_000);
    release.resolve();
    expect(await once(stream, "data")).toEqual(["1000000"]);
  });

  it("reads a whole window that comes together with the preface", async () => {
    await using rig = await startRig({ handler: echo });
    const socket = await connectRaw(rig.port);
    const data = [16_384, 16_384, 16_384, 16_383].map((length, index) =>
      frame(0, index === 3 ? 1 : 0, 1, Buffer.alloc(length, "x")),
    );
    const received: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    socket.write(Buffer.concat([preface, settingsFrame, postHeaders(1), ...data]));
    await eventually(() => Buffer.concat(received).toString("latin1").split("x").length > 65_000);
    socket.destroy();
  });

  it("knows a preface that comes byte by byte", async () => {
    await using rig = await startRig();
    const socket = await connectRaw(rig.port);
    socket.setNoDelay(true);
    for (const byte of preface) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [chunk] = await once(socket, "data");
    expect(chunk[3]).toBe(4);
    socket.destroy();
  });
});
