import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Server } from "node:http";
import { expect, it } from "vitest";
import { startAdminListener } from "../../src/prometheus/admin-listener.ts";

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
