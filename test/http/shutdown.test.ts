import { once } from "node:events";
import { constants } from "node:http2";
import { describe, expect, it } from "vitest";
import type { HttpRequest } from "../../src/wire/exchange.ts";
import { eventually } from "../support/eventually.ts";
import { callHttp2, closed, connectRaw, hello, openHttp2, readToEnd, sendRaw, startRig } from "./http-rig.ts";

const longMs = 60_000;
const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

function waitingHandler() {
  const release = Promise.withResolvers<void>();
  const handler = async ({ url }: HttpRequest) => {
    await (url.endsWith("/wait") ? release.promise : undefined);
    return hello();
  };
  return { handler, release: () => release.resolve() };
}

describe("closing the listener", () => {
  it("refuses new connections, lets calls end on both protocols, and resolves when the last is gone", async () => {
    const { handler, release } = waitingHandler();
    await using rig = await startRig({ handler });
    await using session = await openHttp2(rig.origin);
    const answer = callHttp2(session, { ":path": "/wait" });
    const text = sendRaw(rig.port, "GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await eventually(() => rig.requests.length === 2);
    const goaway = once(session, "goaway");
    const closing = rig.listener.close(longMs);
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    expect(await connectRaw(rig.port).catch((error) => error.code)).toBe("ECONNREFUSED");
    release();
    expect(await answer).toMatchObject({ status: 200, body: "hello", resetCode: 0 });
    expect(await text).toMatch(/^HTTP\/1\.1 200[\s\S]*connection: close[\s\S]*hello$/i);
    await closing;
    expect(rig.listener.counts().open).toBe(0);
  });

  it("closes connections that are idle, silent, or have streams of no end, within the grace", async () => {
    const { handler } = waitingHandler();
    await using rig = await startRig({ handler });
    await using session = await openHttp2(rig.origin);
    const answer = callHttp2(session, { ":path": "/wait" });
    const silent = readToEnd(await connectRaw(rig.port));
    const idle = await connectRaw(rig.port);
    idle.write(request);
    await once(idle, "data");
    await eventually(() => rig.requests.length === 2);
    const [request1] = rig.requests;
    await rig.listener.close(50);
    expect(await silent).toBe("");
    await closed(idle);
    expect(request1?.signal.aborted).toBe(true);
    expect((await answer).status).toBe(null);
    expect(rig.listener.counts().open).toBe(0);
  });

  it("does not wait for the grace when nothing is under way", async () => {
    await using rig = await startRig();
    await using session = await openHttp2(rig.origin);
    await callHttp2(session, { ":path": "/" });
    await rig.listener.close(longMs);
  });

  it("does not wait for a peer that reads the GOAWAY and never closes", async () => {
    await using rig = await startRig();
    const socket = await connectRaw(rig.port);
    socket.allowHalfOpen = true;
    socket.resume();
    socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    await eventually(() => rig.listener.counts().http2 === 1);
    await rig.listener.close(longMs);
    socket.destroy();
  });

  it("may be called again, and by disposal", async () => {
    const rig = await startRig();
    await Promise.all([rig.listener.close(10), rig.listener.close(longMs)]);
    await rig.listener[Symbol.asyncDispose]();
  });

  it("rejects when the address is taken", async () => {
    await using rig = await startRig();
    await expect(startRig({ address: { host: "127.0.0.1", port: rig.port } })).rejects.toThrow("EADDRINUSE");
  });
});
