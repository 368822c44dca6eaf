import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { expect, it } from "vitest";
import { type Authority, type AuthorityError, connect, type Decision, UndecidedError } from "../src/index.ts";
import { AuthorityProcess, rigFile } from "./support/authority-process.ts";
import { unknownKey } from "./support/keys.ts";
import { SilentProxy } from "./support/silent-proxy.ts";

const plaintext = { security: "plaintext" } as const;

/** What the call rejected with, and how long that took. */
async function failed(call: Promise<unknown>): Promise<{ readonly error: unknown; readonly tookMs: number }> {
  const startMs = performance.now();
  const error = await call.then(
    () => null,
    (reason: unknown) => reason,
  );
  return { error, tookMs: performance.now() - startMs };
}

it("says within the deadline that nothing was decided while nobody listens", async () => {
  using authority = connect("127.0.0.1:1", { ...plaintext, authenticateTimeoutMs: 700 });
  const { error, tookMs } = await failed(authority.authenticate(unknownKey));
  expect(error).toBeInstanceOf(UndecidedError);
  expect(error).toMatchObject({ code: "UNAVAILABLE", reason: null, isMistake: false });
  expect((error as Error).message).toContain("ECONNREFUSED");
  expect((error as Error).message).not.toContain(unknownKey);
  expect(tookMs).toBeLessThan(1_700);
  expect(await failed(authority.get("tok_1", { timeoutMs: 300 }))).toMatchObject({
    error: { name: "AuthorityError", code: "UNAVAILABLE" },
  });
});

it("keeps the deadline while the authority hangs, and decides again when it goes on", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, plaintext);
  expect(await authority.authenticate(unknownKey)).toMatchObject({ reason: "KEY_UNKNOWN" });
  server.pause();
  const { error, tookMs } = await failed(authority.authenticate(unknownKey, {}, { timeoutMs: 500 }));
  expect(error).toMatchObject({ name: "UndecidedError", code: "DEADLINE_EXCEEDED" });
  expect(tookMs).toBeGreaterThan(450);
  expect(tookMs).toBeLessThan(1_500);
  const late = authority.authenticate(unknownKey, {}, { timeoutMs: 20_000 });
  server.resume();
  expect(await late).toMatchObject({ reason: "KEY_UNKNOWN" });
});

it("keeps the deadline while a connection is never made", async () => {
  await using hole = await BlackHole.open();
  using authority = connect(hole.address, { ...plaintext, authenticateTimeoutMs: 500 });
  const { error, tookMs } = await failed(authority.authenticate(unknownKey));
  expect(error).toMatchObject({ name: "UndecidedError", code: "DEADLINE_EXCEEDED" });
  expect(tookMs).toBeLessThan(1_500);
});

it("gives up a connection whose handshake never ends, and makes another", async () => {
  const sockets: Socket[] = [];
  const mute = createServer((socket) => sockets.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(mute, "listening");
  const security = { ca: rigFile("ca.pem"), cert: rigFile("gateway.pem"), key: rigFile("gateway.key") };
  using authority = connect(`127.0.0.1:${(mute.address() as AddressInfo).port}`, { security });
  const { error, tookMs } = await failed(authority.authenticate(unknownKey, {}, { timeoutMs: 6_000 }));
  expect(error).toMatchObject({
    code: "UNAVAILABLE",
    message: expect.stringContaining("no connection within 5000 ms"),
  });
  expect(tookMs).toBeLessThan(7_000);
  expect(sockets.length).toBeGreaterThanOrEqual(2);
  for (const socket of sockets) {
    socket.destroy();
  }
  mute.close();
});

it("finds out by itself that an idle connection was forgotten, before the next call", async () => {
  await using server = await AuthorityProcess.start();
  await using proxy = await SilentProxy.to(server.address);
  using authority = connect(proxy.address, { ...plaintext, keepalive: { intervalMs: 1_000, timeoutMs: 500 } });
  expect(await authority.authenticate(unknownKey)).toMatchObject({ reason: "KEY_UNKNOWN" });
  const { latest } = proxy;
  if (latest === null) {
    throw new Error("no connection came through the proxy");
  }
  const givenUp = once(latest, "close");
  proxy.forget();
  await givenUp;
  const startMs = performance.now();
  expect(await authority.authenticate(unknownKey)).toMatchObject({ reason: "KEY_UNKNOWN" });
  expect(performance.now() - startMs).toBeLessThan(1_000);
  expect(proxy.opened).toBe(2);
});

it("keeps an idle connection by asking for a sign of life", async () => {
  await using server = await AuthorityProcess.start();
  await using proxy = await SilentProxy.to(server.address);
  using authority = connect(proxy.address, { ...plaintext, keepalive: { intervalMs: 1_000, timeoutMs: 5_000 } });
  await authority.authenticate(unknownKey);
  const heard: Buffer[] = [];
  proxy.latest?.on("data", (chunk: Buffer) => heard.push(chunk));
  // A PING frame has type 6 and 8 bytes.
  await expect
    .poll(() => heard.filter((chunk) => chunk[3] === 6 && chunk.length === 17).length, { timeout: 10_000 })
    .toBe(3);
  expect(proxy.opened).toBe(1);
});

it("rides out restarts under load: no call fails, no decision is wrong, each creation makes one token", async () => {
  await using server = await AuthorityProcess.start();
  // Pings often: those of a session that a kill -9 ended must not fall on nothing.
  const keepalive = { intervalMs: 1_000, timeoutMs: 20_000 };
  using authority = connect(server.address, {
    ...plaintext,
    keepalive,
    authenticateTimeoutMs: 20_000,
    timeoutMs: 20_000,
  });
  const good = await authority.create({ ...newToken("good"), account: "acct_other" });
  const gone = await authority.create({ ...newToken("gone"), account: "acct_other" });
  await authority.revoke(gone.token.id);
  const load = new Load(authority);
  const decides = Array.from({ length: 12 }, () => load.run((decided) => decided(good.key, "principal")));
  decides.push(load.run((decided) => decided(gone.key, "TOKEN_REVOKED")));
  decides.push(load.run((decided) => decided(unknownKey, "KEY_UNKNOWN")));
  const creates = Array.from({ length: 3 }, (_, worker) => load.create(worker));

  for (const signal of ["SIGTERM", "SIGKILL", "SIGTERM", "SIGKILL"] as const) {
    await load.passed(200);
    await server.end(signal);
    await server.start();
  }
  await load.passed(200);
  load.stop();
  await Promise.all([...decides, ...creates]);
  console.log(
    `4 restarts: ${load.calls} calls, ${load.failures.length} failed, longest ${Math.round(load.longestMs)} ms`,
  );
  expect(load.failures).toStrictEqual([]);
  expect(load.wrong).toStrictEqual([]);
  const names = (await Array.fromAsync(authority.eachToken({ account: "acct_load" }))).map(({ name }) => name);
  expect(names.sort()).toStrictEqual(load.created.sort());
  expect(load.created.length).toBeGreaterThan(20);
});

it("sends a Create without request id once", async () => {
  await using server = await AuthorityProcess.start({ SEALING_SECRET: "" });
  using authority = connect(server.address, { ...plaintext, requestIds: false });
  await authority.create(newToken("first"));
  await server.end("SIGKILL");
  const { error, tookMs } = await failed(authority.create(newToken("second")));
  expect(error).toMatchObject({ code: "UNAVAILABLE", requestId: null });
  expect(tookMs).toBeLessThan(1_000);
});

it("names the request id of a Create that failed, with which it is repeated later", async () => {
  await using server = await AuthorityProcess.start();
  using authority = connect(server.address, plaintext);
  await server.end("SIGKILL");
  const { error } = await failed(authority.create(newToken("late"), { timeoutMs: 300 }));
  expect(error).toMatchObject({ code: "UNAVAILABLE", requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  const { requestId } = error as AuthorityError;
  if (requestId === null) {
    throw new Error("the error names no request id");
  }
  await server.start();
  const first = await authority.create({ ...newToken("late"), requestId });
  const again = await authority.create({ ...newToken("late"), requestId });
  expect([again.token.id, again.key]).toStrictEqual([first.token.id, first.key]);
});

function newToken(name: string) {
  return { account: "acct_load", name, type: "restricted", livemode: true, permissions: ["charges:read"] } as const;
}

type Decided = (key: string, expected: string) => Promise<void>;

/** Calls without a pause, and what became of them. */
class Load {
  readonly #authority: Authority;
  readonly #waiting: { readonly atCalls: number; readonly resolve: () => void }[] = [];
  #isOver = false;
  calls = 0;
  longestMs = 0;
  readonly failures: unknown[] = [];
  readonly wrong: string[] = [];
  readonly created: string[] = [];

  constructor(authority: Authority) {
    this.#authority = authority;
  }

  async run(step: (decided: Decided) => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await this.#timed(() =>
        step(async (key, expected) => {
          const decision = await this.#authority.authenticate(key);
          if (told(decision) !== expected) {
            this.wrong.push(`${told(decision)} in place of ${expected}`);
          }
        }),
      );
    }
  }

  async create(worker: number): Promise<void> {
    for (let count = 0; !this.#isOver; count += 1) {
      const name = `load ${worker} ${count}`;
      this.created.push(name);
      await this.#timed(() => this.#authority.create(newToken(name)));
    }
  }

  /** Resolves once this many more calls came back. */
  passed(calls: number): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ atCalls: this.calls + calls, resolve }));
  }

  stop(): void {
    this.#isOver = true;
  }

  async #timed(call: () => Promise<unknown>): Promise<void> {
    const startMs = performance.now();
    await call().catch((error: unknown) => this.failures.push(error));
    this.longestMs = Math.max(this.longestMs, performance.now() - startMs);
    this.calls += 1;
    for (const { atCalls, resolve } of this.#waiting) {
      if (this.calls >= atCalls) {
        resolve();
      }
    }
  }
}

function told(decision: Decision): string {
  return decision.kind === "principal" ? "principal" : decision.reason;
}

/** A port whose queue of connections is full, so that the kernel answers no SYN. */
class BlackHole implements AsyncDisposable {
  readonly address: string;
  readonly #child: ChildProcessByStdio<null, Readable, null>;
  readonly #fillers: readonly Socket[];

  private constructor(port: number, child: ChildProcessByStdio<null, Readable, null>) {
    this.address = `127.0.0.1:${port}`;
    this.#child = child;
    child.kill("SIGSTOP");
    this.#fillers = Array.from({ length: 4 }, () => connectTcp(port, "127.0.0.1").on("error", () => {}));
  }

  static async open(): Promise<BlackHole> {
    const listen = `const server = require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 });
      server.on("listening", () => console.log(server.address().port));`;
    const child = spawn(process.execPath, ["-e", listen], { stdio: ["ignore", "pipe", "inherit"] });
    const [port] = await once(child.stdout, "data");
    const hole = new BlackHole(Number(String(port)), child);
    await once(hole.#fillers[0] as Socket, "connect");
    return hole;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const filler of this.#fillers) {
      filler.destroy();
    }
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await exited;
  }
}
