import { once } from "node:events";
import { connect } from "node:http2";
import { createConnection } from "node:net";
import { expect, it } from "vitest";
import { startPort } from "../../src/calls/port/start-port.ts";
import type { HttpHandler } from "../../src/wire/exchange.ts";
import { type ByteBudget, createByteBudget } from "../../src/wire/port/byte-budget.ts";
import { echo } from "./http-rig.ts";

/** Connections that hold so many bytes, until they are cut. */
function holding(...bytes: number[]) {
  const cut: number[] = [];
  const holders = bytes.map((heldBytes, at) => ({
    get heldBytes() {
      return cut.includes(at) ? 0 : heldBytes;
    },
    cut: () => void cut.push(at),
  }));
  return { cut, holders };
}

const warnings: string[] = [];
const log = { info() {}, warn: (_fields: object, message: string) => void warnings.push(message), error() {} };

function startWith(budget: ByteBudget, handler: HttpHandler) {
  return startPort({
    address: { host: "127.0.0.1", port: 0 },
    ...{ reusePort: false, tls: null, knowsCallers: false, handler, budget, log },
    lanes: { headers: [], paths: new Map() },
    ...{ maxConnections: 100, maxConcurrentStreams: 100, handshakesPerSecond: 100 },
  });
}

it("cuts the connections that hold most of too much, until a quarter is free, and says so", async () => {
  using budget = createByteBudget(100, log);
  const [one, other] = [holding(10, 50, 5), holding(30, 20)];
  budget.watch(() => one.holders);
  budget.watch(() => other.holders);
  expect(budget.readings()).toEqual({ heldBytes: 115, cut: 0 });
  budget.account.take(101);
  await expect.poll(() => one.cut).toEqual([1]);
  expect(other.cut).toEqual([]);
  expect(budget.readings()).toEqual({ heldBytes: 65, cut: 1 });
  expect(warnings).toHaveLength(1);
});

it("looks by itself at what no account counts, such as what waits in sockets, and cuts nobody below the most", async () => {
  using budget = createByteBudget(100, log);
  const { cut, holders } = holding(60, 40);
  let shown = holders;
  budget.watch(() => shown);
  budget.account.take(200);
  budget.account.give(200);
  await new Promise(setImmediate);
  await new Promise(setImmediate);
  expect(cut).toEqual([]);
  shown = [...holders, ...holding(1).holders];
  await expect.poll(() => cut).toEqual([0]);
});

it("cuts who takes nothing of what it asked for, over HTTP/2 and HTTP/1.1, and counts nothing once all have gone", async () => {
  const answer = { status: 200, body: Buffer.alloc(1_048_576) };
  using budget = createByteBudget(4_194_304, log);
  await using port = await startWith(budget, async () => answer);
  const ask = async () => {
    const session = connect(`http://${port.addressText}`, { settings: { initialWindowSize: 0 } });
    await once(session.request({ ":path": "/" }), "response");
    return session;
  };
  const modest = await ask();
  const greedy = connect(`http://${port.addressText}`, { settings: { initialWindowSize: 0 } });
  for (let at = 0; at < 4; at += 1) {
    greedy.request({ ":path": "/" }).on("error", () => {});
  }
  await new Promise((resolve) => greedy.on("error", () => {}).once("close", resolve));
  expect([modest.closed, budget.readings().cut]).toEqual([false, 1]);
  // Of a header list of four fields, all but the authority is 165 bytes (RFC 9113 section 6.5.2).
  expect(budget.account.heldBytes).toBe(1_048_576 + 165 + port.addressText.length);
  modest.destroy();
  await expect.poll(() => budget.account.heldBytes).toBe(0);

  const [host = "", number] = port.addressText.split(":");
  const silent = createConnection(Number(number), host).on("error", () => {});
  silent.pause().write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
  await expect.poll(() => budget.readings().heldBytes).toBeGreaterThan(0);
  silent.destroy();
  await expect.poll(() => budget.readings().heldBytes).toBe(0);
});

it("cuts who keeps HTTP/2 streams open whose header fields are long", async () => {
  using budget = createByteBudget(1_048_576, log);
  await using port = await startWith(budget, () => new Promise(() => {}));
  const ask = (requests: number, headerBytes: number) => {
    const session = connect(`http://${port.addressText}`).on("error", () => {});
    for (let at = 0; at < requests; at += 1) {
      session.request({ ":path": "/", "x-long": "x".repeat(headerBytes) }).on("error", () => {});
    }
    return session;
  };
  const modest = ask(100, 1_000);
  await expect.poll(() => budget.account.heldBytes).toBeGreaterThan(100_000);
  const greedy = ask(80, 14_000);
  await new Promise((resolve) => greedy.once("close", resolve));
  expect([modest.closed, budget.readings().cut]).toEqual([false, 1]);
  modest.destroy();
  await expect.poll(() => budget.account.heldBytes).toBe(0);
});

it("cuts who sends bodies without their ends to handlers that read them", async () => {
  using budget = createByteBudget(4_194_304, log);
  await using port = await startWith(budget, echo);
  const send = (requests: number, bytes: number) => {
    const session = connect(`http://${port.addressText}`).on("error", () => {});
    const streams = Array.from({ length: requests }, () => {
      const stream = session.request({ ":method": "POST", ":path": "/" }).on("error", () => {});
      stream.write(Buffer.alloc(bytes));
      return stream;
    });
    return { session, streams };
  };
  const modest = send(4, 50_000);
  await expect.poll(() => budget.readings().heldBytes).toBeGreaterThan(200_000);
  const greedy = send(90, 60_000);
  await new Promise((resolve) => greedy.session.once("close", resolve));
  expect([modest.session.closed, budget.readings().cut]).toEqual([false, 1]);
  const [first] = modest.streams;
  const answered = new Promise((resolve) => first?.once("end", resolve).resume());
  first?.end();
  await answered;
  await expect.poll(() => budget.readings().heldBytes).toBeLessThan(160_000);
  modest.session.destroy();
  await expect.poll(() => budget.readings().heldBytes).toBe(0);
});

it("counts what handlers have read of bodies of HTTP/1.1 that lack their ends, until they have answered", async () => {
  using budget = createByteBudget(1_048_576, log);
  await using port = await startWith(budget, echo);
  const [host = "", number] = port.addressText.split(":");
  const send = (bytes: number) => {
    const socket = createConnection(Number(number), host).on("error", () => {});
    socket.resume().write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n${"a".repeat(bytes)}`);
    return socket;
  };
  const modest = send(30_000);
  await expect.poll(() => budget.readings().heldBytes, { timeout: 10_000 }).toBeGreaterThan(30_000);
  modest.write("a".repeat(30_000));
  await expect.poll(() => budget.readings().heldBytes, { timeout: 10_000 }).toBe(0);
  const greedy = Array.from({ length: 20 }, () => send(59_999));
  await expect.poll(() => budget.readings().cut, { timeout: 10_000 }).toBeGreaterThan(0);
  expect(modest.closed).toBe(false);
  for (const socket of [modest, ...greedy]) {
    socket.destroy();
  }
  await expect.poll(() => budget.readings().heldBytes, { timeout: 10_000 }).toBe(0);
});

it("cuts who sends one HTTP/1.1 request after the other without a word of the first answer", async () => {
  const release = Promise.withResolvers<void>();
  using budget = createByteBudget(1_048_576, log);
  await using port = await startWith(budget, () => release.promise.then(() => ({ status: 200 })));
  const [host = "", number] = port.addressText.split(":");
  const send = (text: string) => {
    const socket = createConnection(Number(number), host).on("error", () => {});
    socket.resume().write(text);
    return { socket, closed: new Promise((resolve) => socket.once("close", resolve)) };
  };
  const first = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const modest = send(first);
  const ofHeaders = send(first + `${first.slice(0, -2)}X-A: ${"a".repeat(15_000)}\r\n\r\n`.repeat(90));
  await ofHeaders.closed;
  const ofBodies = send(first + `${first.slice(0, -2)}Content-Length: 30000\r\n\r\n${"a".repeat(30_000)}`.repeat(50));
  await ofBodies.closed;
  expect([modest.socket.closed, budget.readings().cut]).toEqual([false, 2]);
  release.resolve();
  await expect.poll(() => budget.readings().heldBytes).toBe(0);
  modest.socket.destroy();
});
