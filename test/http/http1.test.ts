import { once } from "node:events";
import { request as requestHttp1 } from "node:http";
import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { HttpRequest } from "../../src/wire/exchange.ts";
import { eventually } from "../support/eventually.ts";
import { answersBoth, connectRaw, echo, hello, readAll, readToEnd, readUntil, sendRaw, startRig } from "./http-rig.ts";

const closing = "Host: localhost\r\nConnection: close\r\n";

describe("HTTP/1.1 on the same port", () => {
  it("hands the handler method, absolute URL, header and a local peer", async () => {
    await using rig = await startRig();
    const answer = await sendRaw(rig.port, `GET /a/b?c=d HTTP/1.1\r\n${closing}X-One: 1\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*\r\n\r\nhello$/);
    expect(rig.requests[0]).toMatchObject({
      httpVersion: "1.1",
      method: "GET",
      url: "http://localhost/a/b?c=d",
      peer: { transport: "loopback", identity: "local", fault: null },
    });
    expect(rig.requests[0]?.header.get("x-one")).toBe("1");
  });

  it("reads bodies of a known length and chunked ones", async () => {
    await using rig = await startRig({ handler: echo });
    const known = await sendRaw(rig.port, `POST / HTTP/1.1\r\n${closing}Content-Length: 5\r\n\r\n12345`);
    expect(known).toMatch(/12345/);
    const chunked = `POST / HTTP/1.1\r\n${closing}Transfer-Encoding: chunked\r\n\r\n2\r\n12\r\n3\r\n345\r\n0\r\n\r\n`;
    expect(await sendRaw(rig.port, chunked)).toMatch(/12345/);
  });

  it("streams a chunked response and its trailer", async () => {
    const trailer = new Headers();
    const firstArrived = Promise.withResolvers<void>();
    async function* body() {
      yield Buffer.from("one");
      await firstArrived.promise;
      yield Buffer.from("two");
      trailer.set("x-after", "all");
    }
    await using rig = await startRig({ handler: async () => ({ status: 200, body: body(), trailer }) });
    const socket = await connectRaw(rig.port);
    const whole = readToEnd(socket);
    socket.write(`GET / HTTP/1.1\r\n${closing}\r\n`);
    await readUntil(socket, /one/);
    firstArrived.resolve();
    expect(await whole).toMatch(/\r\n3\r\none\r\n3\r\ntwo\r\n0\r\nx-after: all\r\n\r\n$/);
  });

  it("serves HTTP/1.0 without Host, and closes", async () => {
    await using rig = await startRig();
    const answer = await sendRaw(rig.port, "GET /old HTTP/1.0\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK[\s\S]*hello$/);
    expect(rig.requests[0]).toMatchObject({ httpVersion: "1.0", url: "http://localhost/old" });
  });

  it("takes the authority of an absolute-form target, not Host", async () => {
    await using rig = await startRig();
    await sendRaw(rig.port, `GET http://LocalHost:1234/x?y HTTP/1.1\r\n${closing}\r\n`);
    await sendRaw(rig.port, `GET http://localhost?y HTTP/1.1\r\n${closing}\r\n`);
    expect(rig.requests.map(({ url }) => url)).toEqual(["http://LocalHost:1234/x?y", "http://localhost/?y"]);
  });

  it("never lets a path pose as an authority", async () => {
    await using rig = await startRig();
    await sendRaw(rig.port, `GET //evil.example/x HTTP/1.1\r\n${closing}\r\n`);
    expect(rig.requests[0]?.url).toBe("http://localhost//evil.example/x");
  });

  it("answers pipelined requests one after the other, in their order", async () => {
    let running = 0;
    let mostRunning = 0;
    async function handler({ url }: HttpRequest) {
      running += 1;
      mostRunning = Math.max(mostRunning, running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return { status: 200, body: Buffer.from(`<${new URL(url).pathname}>`) };
    }
    await using rig = await startRig({ handler });
    const one = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const answer = await sendRaw(rig.port, `${one("/1")}${one("/2")}${one("/3")}GET /4 HTTP/1.1\r\n${closing}\r\n`);
    expect(answer.match(/<\/\d>/g)).toEqual(["</1>", "</2>", "</3>", "</4>"]);
    expect(mostRunning).toBe(1);
  });

  it("throws an unread body away, so that what follows on the connection is a request", async () => {
    await using rig = await startRig();
    const hidden = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const first = `POST /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`;
    const answer = await sendRaw(rig.port, `${first}GET /2 HTTP/1.1\r\n${closing}\r\n`);
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    expect(rig.requests.map(({ url }) => new URL(url).pathname)).toEqual(["/1", "/2"]);
  });

  it("also when the handler read only its first bytes", async () => {
    await using rig = await startRig({
      async handler(request) {
        for await (const _ of request.body) {
          break;
        }
        return hello();
      },
    });
    const body = "x".repeat(150_000);
    const first = `POST /1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const answer = await sendRaw(rig.port, `${first}GET /2 HTTP/1.1\r\n${closing}\r\n`);
    expect(answer.match(/HTTP\/1\.1 200/g)).toHaveLength(2);
  });

  it("asks for no other request on a connection whose peer may be cut", async () => {
    await using rig = await startRig();
    const chunk = `40000\r\n${"x".repeat(0x40000)}\r\n`;
    const tooLong = await connectRaw(rig.port);
    const answer = readToEnd(tooLong);
    tooLong.write(`POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n${chunk}${chunk}${chunk}`);
    expect(await answer).toMatch(/^HTTP\/1\.1 200 OK\r\n.*connection: close\r\n.*hello$/is);

    const short = await connectRaw(rig.port);
    short.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nsome");
    expect(await readUntil(short, /hello$/)).toMatch(/connection: keep-alive/i);
    short.destroy();
  });

  it("says 100 Continue to a client that expects it", async () => {
    await using rig = await startRig({ handler: echo });
    const socket = await connectRaw(rig.port);
    socket.write(`POST / HTTP/1.1\r\n${closing}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`);
    await readUntil(socket, /^HTTP\/1\.1 100 Continue\r\n\r\n/);
    const rest = readToEnd(socket);
    socket.write("ok");
    expect(await rest).toMatch(/^HTTP\/1\.1 200[\s\S]*ok/);
  });

  it("answers a client that has closed its sending side behind its requests, and closes then", async () => {
    await using rig = await startRig({
      handler: async (request) => {
        const body = await readAll(request.body);
        await setTimeout(20);
        return { status: 200, body: Buffer.from(`made of ${body}`) };
      },
    });
    const socket = connect({ host: "127.0.0.1", port: rig.port, allowHalfOpen: true });
    const whole = readToEnd(socket);
    const post = (body: string) =>
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    socket.end(post("one") + post("two"));
    expect(await whole).toMatch(/made of one[\s\S]*made of two$/);
    await eventually(() => rig.listener.counts().open === 0);
  });

  it("closes a connection that its client has closed between two requests, within one, or before the first", async () => {
    await using rig = await startRig({ handler: echo });
    const sent = [
      "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12",
      "",
    ];
    for (const bytes of sent) {
      const socket = connect({ host: "127.0.0.1", port: rig.port, allowHalfOpen: true });
      const whole = readToEnd(socket);
      socket.write(bytes);
      await eventually(() => rig.listener.counts().open === 1);
      socket.end();
      expect(await whole).not.toMatch(/200 OK[\s\S]*12$/);
      await eventually(() => rig.listener.counts().open === 0);
    }
  });

  it("answers no request with a transfer coding that it does not know, whose bytes nobody would undo", async () => {
    await using rig = await startRig({ handler: echo });
    const post = (codings: string) =>
      sendRaw(rig.port, `POST / HTTP/1.1\r\n${closing}Transfer-Encoding: ${codings}\r\n\r\n2\r\n12\r\n0\r\n\r\n`);
    expect(await post("gzip, chunked")).toMatch(/^HTTP\/1\.1 501 /);
    expect(await post("identity, chunked")).toMatch(/^HTTP\/1\.1 501 /);
    expect(await post("chunked, gzip")).toMatch(/^HTTP\/1\.1 (400|501) /);
    expect(rig.requests).toEqual([]);
    expect(await post(" Chunked ")).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("answers early what asks to upgrade to h2c, as often as the client likes, and leaves no connection silent", async () => {
    await using rig = await startRig({ handler: async () => ({ status: 429 }) });
    for (let attempt = 0; attempt < 5; attempt++) {
      const socket = await connectRaw(rig.port);
      const upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
      const head = `POST / HTTP/1.1\r\nHost: localhost\r\n${upgrade}Content-Length: 70000\r\n\r\n`;
      const whole = readToEnd(socket);
      socket.write(head + "x".repeat(10_000));
      await eventually(() => rig.requests.length > attempt);
      socket.write("x".repeat(60_000));
      expect(await whole).toMatch(/^HTTP\/1\.1 429 [\s\S]*\r\nconnection: close\r\n/i);
    }
  });

  it("ignores an upgrade to h2c and answers in HTTP/1.1", async () => {
    await using rig = await startRig();
    const upgrade =
      "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    expect(await sendRaw(rig.port, `GET / HTTP/1.1\r\nHost: localhost\r\n${upgrade}\r\n`)).toMatch(/^HTTP\/1\.1 200/);
    const websocket = "Connection: Upgrade, close\r\nUpgrade: websocket\r\n";
    expect(await sendRaw(rig.port, `GET / HTTP/1.1\r\nHost: localhost\r\n${websocket}\r\n`)).toMatch(/^HTTP\/1\.1 200/);
  });

  it("aborts the signal when the client goes away, and breaks the body off", async () => {
    const outcome = Promise.withResolvers<unknown>();
    await using rig = await startRig({
      async handler(request) {
        await readAll(request.body).catch((error: Error) => outcome.resolve(error.name));
        return hello();
      },
    });
    const socket = await connectRaw(rig.port);
    socket.write("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhalf");
    await eventually(() => rig.requests.length === 1);
    socket.resetAndDestroy();
    expect(await outcome.promise).toBe("BodyTruncatedError");
    await eventually(() => rig.requests[0]?.signal.aborted === true);
    expect(rig.log).toEqual([]);
  });

  it("closes the connection under a response whose body fails, so that it cannot pass for whole", async () => {
    async function* failing() {
      yield Buffer.from("some");
      await new Promise((resolve) => setImmediate(resolve));
      throw new Error("broken");
    }
    await using rig = await startRig({ handler: async () => ({ status: 200, body: failing() }) });
    const answer = await sendRaw(rig.port, `GET / HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    expect(answer).toMatch(/some\r\n$/);
    expect(answer).not.toMatch(/0\r\n\r\n$/);
    expect(rig.log).toHaveLength(1);
  });

  it("closes without a word when nonsense follows a request whose response has begun", async () => {
    async function* waiting() {
      yield Buffer.from("begun");
      await new Promise(() => {});
    }
    await using rig = await startRig({ handler: async () => ({ status: 200, body: waiting() }) });
    const socket = await connectRaw(rig.port);
    const whole = readToEnd(socket);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await readUntil(socket, /begun/);
    socket.write("nonsense\r\n\r\n");
    expect(await whole).not.toContain("400");
  });

  it("answers 500 when the handler rejects, and keeps the connection", async () => {
    await using rig = await startRig({
      handler: ({ url }) => (url.endsWith("/bad") ? Promise.reject(new Error("sk_live_x")) : hello()),
    });
    const answer = await sendRaw(
      rig.port,
      `GET /bad HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n${closing}\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1\.1 500[\s\S]*internal error\n[\s\S]*HTTP\/1\.1 200/);
    expect(JSON.stringify(rig.log)).not.toContain("sk_live");
  });

  it("keeps a connection for the next request of node's own client", async () => {
    await using rig = await startRig({ handler: echo });
    const { Agent } = await import("node:http");
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (const text of ["one", "two"]) {
      const request = requestHttp1({ port: rig.port, host: "localhost", method: "POST", agent });
      request.end(text);
      const [response] = await once(request, "response");
      expect((await readAll(response)).toString()).toBe(text);
    }
    expect(rig.listener.counts()).toMatchObject({ open: 1, http1: 1, http2: 0 });
    agent.destroy();
    expect(await answersBoth(rig)).toBe(true);
  });
});
