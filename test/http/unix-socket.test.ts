import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { StartError } from "../../src/machine/start-error.ts";
import { maxUnixPathBytes } from "../../src/wire/port/unix-socket.ts";
import { callHttp2, readToEnd, startRig } from "./http-rig.ts";

describe("a listener on a unix socket", () => {
  let directory: string;
  let path: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "http-unix-"));
    path = join(directory, "authority.sock");
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  // What a person can mend is told in one line.
  function startError(why: string, at = path): StartError {
    return new StartError(`cannot listen on unix:${at}: ${why}`);
  }

  it("is only its user's, serves both protocols to local peers, and leaves nothing behind", async () => {
    const rig = await startRig({ address: { path } });
    expect(rig.listener.addressText).toBe(`unix:${path}`);
    expect(lstatSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory)).toEqual(["authority.sock"]);
    const session = connectHttp2("http://localhost", { createConnection: () => connect(path) });
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
    session.destroy();
    const socket = connect(path);
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 200/);
    expect(rig.requests.map(({ peer }) => peer)).toEqual(
      Array(2).fill({ transport: "unix", identity: "local", fault: null }),
    );
    await rig.listener.close(0);
    expect(readdirSync(directory)).toEqual([]);
  });

  it("takes an authority that a client made from the socket's path for localhost, and no other bad one", async () => {
    await using rig = await startRig({ address: { path } });
    const session = connectHttp2("http://localhost", { createConnection: () => connect(path) });
    for (const authority of ["%2Ftmp%2Fx.sock", "/tmp/x.sock", "unix:/tmp/x.sock", "unix:%2Ftmp%2Fx.sock"]) {
      expect((await callHttp2(session, { ":path": "/", ":authority": authority })).status).toBe(200);
    }
    expect(new Set(rig.requests.map(({ url }) => url))).toEqual(new Set(["http://localhost/"]));
    expect((await callHttp2(session, { ":path": "/", ":authority": "%" })).status).toBe(400);
    session.destroy();
  });

  it("replaces the socket of a process that crashed", async () => {
    const script = `require("node:net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
    const child = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(existsSync(path)).toBe(true);
    await using rig = await startRig({ address: { path } });
    expect(rig.listener.addressText).toBe(`unix:${path}`);
  });

  it("refuses a path where another listener answers, and leaves it in peace", async () => {
    await using rig = await startRig({ address: { path } });
    await expect(startRig({ address: { path } })).rejects.toThrow(startError("another process listens there"));
    const session = connectHttp2("http://localhost", { createConnection: () => connect(path) });
    expect((await callHttp2(session, { ":path": "/" })).status).toBe(200);
    session.destroy();
    expect(rig.requests).toHaveLength(1);
  });

  it("refuses a path where something else lies, and keeps that", async () => {
    writeFileSync(path, "precious");
    await expect(startRig({ address: { path } })).rejects.toThrow(
      startError("something that is not a socket is there"),
    );
    expect(lstatSync(path).size).toBe(8);
  });

  it("does not remove a socket that has taken its place", async () => {
    const first = await startRig({ address: { path } });
    rmSync(path);
    await using second = await startRig({ address: { path } });
    await first.listener.close(0);
    expect(existsSync(path)).toBe(true);
    expect(second.listener.counts().open).toBe(0);
  });

  it("refuses a directory that is not there, and a path too long for a socket", async () => {
    await expect(startRig({ address: { path: join(directory, "none", "x.sock") } })).rejects.toThrow("ENOENT");
    const long = join(directory, "x".repeat(maxUnixPathBytes - directory.length));
    await expect(startRig({ address: { path: long } })).rejects.toThrow(
      startError(`the path is longer than ${maxUnixPathBytes} bytes`, long),
    );
    expect(readdirSync(directory)).toEqual([]);
  });
});
