import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { once } from "node:events";
import { Server } from "node:http";
import { connect, Socket } from "node:net";
import { expect, it } from "vitest";
import { startAdminListener } from "../../src/telemetry/prometheus/admin-listener.ts";
import type { Expose } from "../../src/telemetry/prometheus/paced-exposition.ts";

it("warns of a connection that cannot be accepted, and lives on", async () => {
  const warnings: string[] = [];
  await using listener = await startAdminListener({
    address: { host: "127.0.0.1", port: 0 },
    expose: async () => ({ contentType: "text/plain", text: "" }),
    isReady: () => true,
    log: { info() {}, warn: (_fields, message) => warnings.push(message), error() {} },
  });
  const isAlive = async () => (await fetch(`http://${listener.address}/livez`)).ok;
  const server = await serverOf(isAlive);
  server.emit("error", Object.assign(new Error("accept EMFILE"), { code: "EMFILE" }));
  expect(warnings).toEqual(["an admin connection could not be accepted"]);
  expect(await isAlive()).toBe(true);
});

const alive = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

/** Opens a connection that sends `text` and goes on to hold it. */
async function hold(address: string, text: string): Promise<Socket> {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.on("error", () => {}).resume();
  await once(socket, "connect");
  socket.write(text);
  return socket;
}

async function startListener(expose: Expose = async () => ({ contentType: "text/plain", text: "" })) {
  return await startAdminListener({
    address: { host: "127.0.0.1", port: 0 },
    expose,
    isReady: () => true,
    log: { info() {}, warn() {}, error() {} },
  });
}

it.each([
  ["silent", ""],
  ["half a request", "GET /livez HTTP/1.1\r\nX: "],
  ["one request after the other", alive],
  ["waiting for metrics", "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"],
])("answers probes whoever holds connections: %s", async (_what, text) => {
  await using listener = await startListener(() => new Promise(() => {}));
  const held = await Promise.all(Array.from({ length: 100 }, () => hold(listener.address, text)));
  for (const path of ["livez", "readyz", "livez"]) {
    const response = await fetch(`http://${listener.address}/${path}`, { signal: AbortSignal.timeout(5000) });
    expect([response.status, response.headers.get("connection")]).toEqual([200, "close"]);
  }
  for (const socket of held) {
    socket.destroy();
  }
});

it("cuts the oldest of more than a hundred connections, and counts it", async () => {
  await using listener = await startListener();
  const [first] = await Promise.all(Array.from({ length: 100 }, () => hold(listener.address, "")));
  const cut = once(first ?? new Socket(), "close");
  expect(listener.refused()).toBe(0);
  const last = await hold(listener.address, "");
  await cut;
  expect([listener.refused(), last.destroyed]).toEqual([1, false]);
});

it("closes a connection that does not come to ask", async () => {
  await using listener = await startListener();
  const socket = await hold(listener.address, "GET /livez");
  await once(socket, "close");
});

it("makes metrics once a second at most, and tells nobody what was true before the question", async () => {
  let made = 0;
  await using listener = await startListener(async () => {
    made += 1;
    return { contentType: "text/plain", text: String(made) };
  });
  const ask = async () => await (await fetch(`http://${listener.address}/metrics`)).text();
  const startedAtMs = performance.now();
  expect(await ask()).toBe("1");
  expect(new Set(await Promise.all(Array.from({ length: 50 }, ask)))).toEqual(new Set(["2"]));
  expect(await ask()).toBe("3");
  expect(made).toBeLessThanOrEqual(1 + (performance.now() - startedAtMs) / 1000);
});

/** The server that answers a request: Node tells it on this channel. */
async function serverOf(request: () => Promise<unknown>): Promise<Server> {
  let server: Server | null = null;
  const note = (message: unknown) => {
    if (typeof message === "object" && message !== null && "server" in message && message.server instanceof Server) {
      server = message.server;
    }
  };
  subscribe("http.server.request.start", note);
  await request();
  unsubscribe("http.server.request.start", note);
  if (server === null) {
    throw new Error("no server answered");
  }
  return server;
}

it("says which methods there are to one that is none of them", async () => {
  await using listener = await startListener();
  for (const method of ["POST", "DELETE", "OPTIONS"]) {
    const response = await fetch(`http://${listener.address}/metrics`, { method });
    expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  }
});
