import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:http2";
import type { Socket } from "node:net";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { HttpRequest } from "../../src/wire/exchange.ts";
import { defaultHttpLimits } from "../../src/wire/port/limits.ts";
import { eventually } from "../support/eventually.ts";
import {
  answersBoth,
  callHttp2,
  connectRaw,
  echo,
  type HttpRig,
  hello,
  openHttp2,
  preface,
  readAll,
  readToEnd,
  readUntil,
  sendRaw,
  startRig,
} from "./http-rig.ts";
import { stopClock } from "./stop-clock.ts";

// Before a test's clock takes its place.
const { setTimeout: later } = globalThis;
const hosted = "Host: localhost\r\n";

/** A connection that has asked. */
async function speakTo(rig: HttpRig): Promise<Socket> {
  const socket = await connectRaw(rig.port);
  socket.write(`GET / HTTP/1.1\r\n${hosted}\r\n`);
  return socket;
}

afterEach(() => {
  vi.useRealTimers();
});

describe("connections", () => {
  it("closes a connection over the maximum at once, and takes one again when another ends", async () => {
    await using rig = await startRig({ limits: { maxConnections: 3 }, knowsCallers: true });
    const speak = () => speakTo(rig);
    const sockets = await Promise.all([speak(), speak(), speak()]);
    await eventually(() => rig.listener.counts().http1 === 3);
    expect(await readToEnd(await speak())).toBe("");
    expect(rig.listener.counts()).toMatchObject({ open: 3, refused: 1 });
    for (const socket of sockets) {
      socket.destroy();
    }
    await eventually(() => rig.listener.counts().open === 0);
    expect(await answersBoth(rig)).toBe(true);
  });

  it("cuts the longest idle of too many where whoever likes may connect, and none that has a request under way", async () => {
    const gate = Promise.withResolvers<void>();
    await using rig = await startRig({
      limits: { maxConnections: 3 },
      handler: async (request) => {
        if (request.url.endsWith("/slow")) {
          await gate.promise;
        }
        return hello();
      },
    });
    const busy = await connectRaw(rig.port);
    busy.write(`GET /slow HTTP/1.1\r\n${hosted}\r\n`);
    await eventually(() => rig.requests.length === 1);
    const idle = await speakTo(rig);
    await readUntil(idle, /hello/);
    const other = await speakTo(rig);
    await readUntil(other, /hello/);
    const newest = await speakTo(rig);
    await Promise.all([readToEnd(idle), readUntil(newest, /hello/)]);
    gate.resolve();
    await readUntil(busy, /hello/);
    for (const socket of [busy, other, newest]) {
      expect(socket.readyState).toBe("open");
      socket.destroy();
    }
  });

  it("cuts the oldest of too many that have not said what they speak, warns, and serves who comes to speak", async () => {
    await using rig = await startRig({ limits: { maxHandshakes: 2 } });
    const oldestRead = readToEnd(await connectRaw(rig.port));
    await eventually(() => rig.listener.counts().handshaking === 1);
    const younger = await connectRaw(rig.port);
    await eventually(() => rig.listener.counts().handshaking === 2);
    expect(await answersBoth(rig)).toBe(true);
    expect(await oldestRead).toBe("");
    expect(rig.listener.counts().refused).toBeGreaterThan(0);
    expect(rig.log.map(({ message }) => message)).toContain(
      "too many connections do not say what they speak: the oldest are cut",
    );
    younger.destroy();
  });

  it("cuts a connection that says nothing, one that stops inside the preface, and one without SETTINGS after it", async () => {
    stopClock();
    await using rig = await startRig({ limits: { handshakeMs: 300 }, http2Limits: { handshakeMs: 300 } });
    for (const bytes of ["", "PRI * HT", preface]) {
      const socket = await connectRaw(rig.port);
      const closed = readToEnd(socket);
      socket.write(bytes);
      await eventually(() => rig.listener.counts()[bytes === preface ? "http2" : "handshaking"] === 1);
      vi.advanceTimersByTime(299);
      expect(rig.listener.counts().open).toBe(1);
      vi.advanceTimersByTime(21);
      await closed;
      await eventually(() => rig.listener.counts().open === 0);
    }
    expect(await answersBoth(rig)).toBe(true);
  });

  it("does not cut a connection that has spoken within the time", async () => {
    stopClock();
    await using rig = await startRig({ limits: { handshakeMs: 400 }, http2Limits: { handshakeMs: 400 } });
    await using session = await openHttp2(rig.origin);
    // The second is sent behind the client's acknowledgement of our SETTINGS.
    for (let round = 0; round < 2; round += 1) {
      await new Promise<void>((resolve) => session.ping(() => resolve()));
    }
    vi.advanceTimersByTime(600);
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
  });

  it("survives the end of file descriptors", async () => {
    const script = new URL("./listener-process.ts", import.meta.url).pathname;
    const child = spawn("sh", ["-c", `ulimit -n 40 && exec "${process.execPath}" "${script}"`], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      output += chunk;
    });
    await eventually(() => output.includes("port "));
    const port = Number(/port (\d+)/.exec(output)?.[1]);
    const sockets = await Promise.all(Array.from({ length: 60 }, () => connectRaw(port)));
    for (const socket of sockets) {
      socket.resume();
    }
    // libuv accepts the ones over and closes them.
    await eventually(() => sockets.some((socket) => socket.closed));
    for (const socket of sockets) {
      socket.destroy();
    }
    const request = `GET / HTTP/1.1\r\n${hosted}Connection: close\r\n\r\n`;
    let answer = "";
    for (let tries = 0; tries < 100 && answer === ""; tries += 1) {
      answer = await sendRaw(port, request);
    }
    expect(answer).toContain("200 OK");
    child.kill();
    await once(child, "exit");
  });
});

describe("headers", () => {
  const header = (bytes: number) => `x-long: ${"y".repeat(bytes)}\r\n`;

  it("answers 431 to an HTTP/1.1 header above the bytes or the count, and 200 to the largest allowed", async () => {
    await using rig = await startRig({ limits: { maxHeaderBytes: 4_000, maxHeaderCount: 20 } });
    const get = (fields: string) => sendRaw(rig.port, `GET / HTTP/1.1\r\n${hosted}Connection: close\r\n${fields}\r\n`);
    expect(await get(header(3_500))).toMatch(/^HTTP\/1\.1 200/);
    expect(await get(header(4_000))).toMatch(/^HTTP\/1\.1 431/);
    expect(await get("x: y\r\n".repeat(18))).toMatch(/^HTTP\/1\.1 200/);
    expect(await get("x: y\r\n".repeat(19))).toMatch(/^HTTP\/1\.1 431/);
  });

  it("answers 431 to an HTTP/2 header above the bytes or the count, and keeps the connection", async () => {
    await using rig = await startRig({ http2Limits: { maxHeaderListBytes: 4_000, maxHeaderFields: 20 } });
    await using session = await openHttp2(rig.origin);
    await once(session, "remoteSettings");
    expect(session.remoteSettings.maxHeaderListSize).toBe(4_000);
    const statusOf = async (fields: Record<string, string>) =>
      (await callHttp2(session, { ":path": "/", ...fields })).status;
    expect(await statusOf({ "x-long": "y".repeat(3_500) })).toBe(200);
    expect(await statusOf({ "x-long": "y".repeat(4_000) })).toBe(431);
    const many = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, index) => [`x-${index}`, "y"]));
    expect(await statusOf(many(16))).toBe(200);
    expect(await statusOf(many(17))).toBe(431);
    expect(rig.requests).toHaveLength(2);
    expect(session.closed).toBe(false);
  });

  it("answers 408 to a header that does not end, the first of a connection and the second", async () => {
    await using rig = await startRig({ limits: { headersMs: 400 } });
    expect(await sendRaw(rig.port, "GET / HTTP/1.1\r\nHost: lo")).toMatch(/^HTTP\/1\.1 408/);
    const socket = await connectRaw(rig.port);
    socket.write(`GET / HTTP/1.1\r\n${hosted}\r\n`);
    await readUntil(socket, /hello$/);
    const rest = readToEnd(socket);
    socket.write("GET / HTTP/1.1\r\nHost: lo");
    expect(await rest).toMatch(/^HTTP\/1\.1 408/);
  });

  it("also when it drips in, byte by byte", async () => {
    await using rig = await startRig({ limits: { headersMs: 80 } });
    const socket = await connectRaw(rig.port);
    const received = readToEnd(socket);
    socket.write("GET / HTTP/1.1\r\nHost: ");
    const drip = setInterval(() => socket.write("x"), 10);
    expect(await received).toMatch(/^HTTP\/1\.1 408/);
    clearInterval(drip);
  });
});

describe("bodies", () => {
  it("takes no time in which it was stopped itself for a peer's silence: before the first byte, in a body, and while one is thrown away", async () => {
    stopClock();
    await using rig = await startRig({
      handler: (request) => (request.url.endsWith("/early") ? hello() : echo(request)),
      limits: { handshakeMs: 100, bodyStallMs: 100 },
    });
    const post = (path: string) => `POST ${path} HTTP/1.1\r\n${hosted}Content-Length: 10\r\n\r\n12345`;
    const [fresh, slow, early] = await Promise.all([connectRaw(rig.port), connectRaw(rig.port), connectRaw(rig.port)]);
    slow.write(post("/"));
    early.write(post("/early"));
    await readUntil(early, /hello/);
    const answers = [readUntil(fresh, /hello/), readUntil(slow, /1234567890/), readUntil(early, /hello/)];
    // After a stop all timers that are due run, then what has come is read.
    later(() => {
      fresh.write(`GET /early HTTP/1.1\r\n${hosted}\r\n`);
      slow.write("67890");
      early.write(`67890GET /early HTTP/1.1\r\n${hosted}\r\n`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
      vi.advanceTimersByTime(300);
    }, 0);
    expect((await Promise.all(answers)).join("")).not.toContain("408");
  });

  it("gives up a request whose body stopped: 408 on HTTP/1.1, a reset on HTTP/2", async () => {
    const outcomes: string[] = [];
    const handler = async (request: HttpRequest) => {
      await readAll(request.body).catch((error: Error) => outcomes.push(error.name));
      return hello();
    };
    await using rig = await startRig({ handler, limits: { bodyStallMs: 50 }, http2Limits: { bodyIdleMs: 50 } });
    const socket = await connectRaw(rig.port);
    const answer = readToEnd(socket);
    socket.write(`POST / HTTP/1.1\r\n${hosted}Content-Length: 10\r\n\r\nhalf`);
    expect(await answer).toMatch(/^HTTP\/1\.1 408[\s\S]*connection: close[\s\S]*the request body stopped\n$/i);

    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.on("error", () => {});
    stream.resume();
    stream.write("half");
    await once(stream, "close");
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
    expect(outcomes).toEqual(["BodyStalledError", "StreamAborted"]);
    expect(rig.log).toEqual([]);
  });

  it("lets a body take long as long as it moves", async () => {
    stopClock();
    await using rig = await startRig({ handler: echo, http2Limits: { bodyIdleMs: 500 } });
    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.resume();
    const response = once(stream, "response");
    for (let count = 0; count < 8; count += 1) {
      stream.write("x");
      await new Promise<void>((resolve) => session.ping(() => resolve()));
      vi.advanceTimersByTime(400);
    }
    stream.end();
    expect((await response)[0][":status"]).toBe(200);
  });

  it("lets a peer be silent once its response has begun", async () => {
    async function* reply(request: HttpRequest) {
      for await (const chunk of request.body) {
        yield chunk;
      }
    }
    const handler = async (request: HttpRequest) => ({ status: 200, body: reply(request), trailer: {} });
    stopClock();
    await using rig = await startRig({ handler, http2Limits: { bodyIdleMs: 50 } });
    await using session = await openHttp2(rig.origin);
    const stream = session.request({ ":method": "POST", ":path": "/" });
    stream.setEncoding("utf8");
    stream.write("one");
    await once(stream, "data");
    vi.advanceTimersByTime(5_000);
    stream.end("two");
    expect(await once(stream, "data")).toEqual(["two"]);
    await once(stream, "close");
    expect(stream.rstCode).toBe(0);
  });

  it("throws away no more of an unread HTTP/1.1 body than it may", async () => {
    await using rig = await startRig({ limits: { maxDiscardedBytes: 10_000 } });
    const socket = await connectRaw(rig.port);
    const answer = readToEnd(socket);
    socket.write(`POST / HTTP/1.1\r\n${hosted}Content-Length: 100000000\r\n\r\n`);
    const chunk = Buffer.alloc(100_000);
    while (!socket.closed && socket.writable) {
      await new Promise((resolve) => socket.write(chunk, resolve));
    }
    await answer;
    expect(socket.bytesWritten).toBeLessThan(20_000_000);
  });

  it("waits no longer for the rest of an unread HTTP/1.1 body than it may", async () => {
    await using rig = await startRig({ limits: { bodyStallMs: 50 } });
    const answer = await sendRaw(rig.port, `POST / HTTP/1.1\r\n${hosted}Content-Length: 10\r\n\r\nhalf`);
    expect(answer).toMatch(/^HTTP\/1\.1 200/);
  });

  it("takes no more of an unread HTTP/2 body than its windows, and answers", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    const answered = await callHttp2(session, { ":method": "POST", ":path": "/" }, Buffer.alloc(10_000_000));
    expect(answered).toMatchObject({ status: 200, body: "hello", resetCode: 0 });
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
    expect(session.socket.bytesWritten).toBeLessThan(2_000_000);
  });

  it("closes an HTTP/1.1 connection that is old enough with the next response, and says so in it", async () => {
    stopClock();
    await using rig = await startRig({ limits: { maxAgeMs: 500 } });
    const socket = await connectRaw(rig.port);
    const ask = () => {
      socket.write(`GET / HTTP/1.1\r\n${hosted}\r\n`);
      return readUntil(socket, /hello$/);
    };
    expect(await ask()).toMatch(/connection: keep-alive/i);
    vi.advanceTimersByTime(400);
    expect(await ask()).toMatch(/connection: keep-alive/i);
    vi.advanceTimersByTime(200);
    const response = await ask();
    expect(response).toMatch(/^HTTP\/1.1 200 [\s\S]*connection: close/i);
    expect(await readToEnd(socket)).toBe("");
  });

  it("ends an HTTP/1.1 request that takes too long in all, however it moves", async () => {
    await using rig = await startRig({ handler: echo, limits: { requestMs: 300, headersMs: 200 } });
    const socket = await connectRaw(rig.port);
    const answer = readToEnd(socket);
    socket.write(`POST / HTTP/1.1\r\n${hosted}Content-Length: 100000\r\n\r\n`);
    const drip = setInterval(() => socket.write("x"), 10);
    expect(await answer).toMatch(/^HTTP\/1\.1 408/);
    clearInterval(drip);
  });
});

it("has a default for every limit", () => {
  expect(Object.values(defaultHttpLimits).every((limit) => Number.isSafeInteger(limit) && limit > 0)).toBe(true);
});
