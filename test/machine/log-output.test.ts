import { type ChildProcess, execFileSync, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync, writeSync } from "node:fs";
import { createServer, connect as dial, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { openLogOutput } from "../../src/machine/log-output.ts";
import { logStandardError } from "../../src/machine/thread-log.ts";
import { AuthorityProcess, temporaryDirectory } from "../support/authority-process.ts";

const line = `${"x".repeat(1023)}\n`;

function temporary(): string {
  const path = mkdtempSync(join(tmpdir(), "log-output-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

function open(path: string, flags: number): number {
  const descriptor = openSync(path, flags);
  onTestFinished(() => {
    try {
      closeSync(descriptor);
    } catch {
      // The test closed it.
    }
  });
  return descriptor;
}

/** A pipe with a name: whoever has `reader` may read it, or not. */
function pipe(): { readonly path: string; readonly reader: number; readonly writer: number } {
  const path = join(temporary(), "pipe");
  execFileSync("mkfifo", [path]);
  const reader = open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { path, reader, writer: open(path, constants.O_WRONLY) };
}

/** What lies in a pipe now. */
function readNow(reader: number): string {
  const buffer = Buffer.alloc(1024 * 1024);
  let text = "";
  for (;;) {
    try {
      const bytes = readSync(reader, buffer);
      if (bytes === 0) {
        return text;
      }
      text += buffer.toString("utf8", 0, bytes);
    } catch {
      return text;
    }
  }
}

/** Reads until this many lines are there. */
async function readLines(reader: number, count: number): Promise<string[]> {
  let text = "";
  while (text.split("\n").length <= count) {
    text += readNow(reader);
    await sleep(1);
  }
  return text.split("\n").slice(0, -1);
}

describe("the output of log lines", () => {
  it("keeps a bounded number of lines while nobody reads, and says once how many were lost", async () => {
    const { reader, writer } = pipe();
    const told: number[] = [];
    const output = openLogOutput(writer, (lines) => {
      told.push(lines);
      output.write("told\n", false);
    });
    for (let at = 0; at < 4096; at += 1) {
      output.write(`${at} ${line}`, false);
    }
    const dropped = output.dropped();
    expect(dropped).toBeGreaterThan(2500);
    const lines = await readLines(reader, 4096 - dropped + 1);
    // The oldest, whole and in order.
    expect(lines.map((text) => text.split(" ")[0])).toEqual([
      ...Array.from({ length: 4096 - dropped }, (_, at) => String(at)),
      "told",
    ]);
    expect(lines.slice(0, -1).every((text) => text.endsWith(` ${line.trim()}`))).toBe(true);
    expect(told).toEqual([dropped]);
    expect(output.dropped()).toBe(dropped);
  });

  it("keeps lines that matter when the others have lost their room, and no more than 5 MiB of them", () => {
    const { writer } = pipe();
    const output = openLogOutput(writer, () => {});
    for (let at = 0; at < 2048; at += 1) {
      output.write(line, false);
    }
    const before = output.dropped();
    for (let at = 0; at < 4000; at += 1) {
      output.write(line, true);
    }
    expect(output.dropped()).toBe(before);
    for (let at = 0; at < 1000; at += 1) {
      output.write(line, true);
    }
    expect(output.dropped()).toBeGreaterThan(before + 800);
  });

  it("goes on with the next reader of a pipe", async () => {
    const { path, reader, writer } = pipe();
    const output = openLogOutput(writer, () => {});
    output.write("one\n", false);
    expect(readNow(reader)).toBe("one\n");
    closeSync(reader);
    output.write("two\n", false);
    const next = open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    expect(await readLines(next, 1)).toEqual(["two"]);
    output.write("three\n", false);
    await output.flush(1000);
    expect(readNow(next)).toBe("three\n");
  });

  it("neither waits nor throws when the disk is full", async () => {
    const output = openLogOutput(open("/dev/full", constants.O_WRONLY), () => {});
    for (let at = 0; at < 2048; at += 1) {
      output.write(line, false);
    }
    expect(output.dropped()).toBeGreaterThan(1000);
    await output.flush(20);
  });

  it("appends to a file where others left off", async () => {
    const file = join(temporary(), "log");
    const flags = constants.O_WRONLY | constants.O_CREAT;
    const descriptor = open(file, flags);
    writeSync(descriptor, "before\n");
    const output = openLogOutput(descriptor, () => {});
    output.write("line\n", false);
    writeSync(descriptor, "after\n");
    expect(readFileSync(file, "utf8")).toBe("before\nline\nafter\n");
  });
});

const main = resolve(import.meta.dirname, "../../src/main.ts");

/** The authority on a unix socket, with its standard output and error where a test wants them. */
async function serve(stdio: StdioOptions, isReady: (child: ChildProcess) => Promise<unknown>) {
  const directory = temporary();
  const path = join(directory, "s");
  const child = spawn(process.execPath, [main], {
    cwd: directory,
    env: {
      TOKEN_AUTHORITY_LISTEN: `unix:${path}`,
      TOKEN_AUTHORITY_ADMIN_LISTEN: "127.0.0.1:0",
      TOKEN_AUTHORITY_MIN_FREE_MIB: "1",
    },
    stdio,
  });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await isReady(child);
  const transport = createGrpcTransport({
    baseUrl: "http://localhost",
    nodeOptions: { createConnection: () => dial(path) },
  });
  return { child, tokens: createClient(TokenService, transport), ended: async () => (await ended)[0] };
}

async function saidOnStandardError(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = "";
  for await (const chunk of child.stderr ?? []) {
    text += chunk;
    if (pattern.test(text)) {
      return;
    }
  }
  throw new Error(`not said: ${text}`);
}

async function decides({ tokens }: { readonly tokens: Awaited<ReturnType<typeof serve>>["tokens"] }): Promise<void> {
  const { key } = await tokens.create({ account: "acct_1", name: "a key", type: TokenType.SECRET });
  expect((await tokens.authenticate({ key })).outcome.case).toBe("principal");
}

/** Takes no more, not even a byte. */
function fill(writer: number): void {
  const filler = openLogOutput(writer, () => {});
  for (let at = 0; at < 1024; at += 1) {
    filler.write(line, false);
  }
}

const begun = (child: ChildProcess) => saidOnStandardError(child, /first key/);

describe("a process whose log lines nobody takes", () => {
  it("decides, ends in good order, and has its lines where somebody reads again", async () => {
    const { reader, writer } = pipe();
    const filler = openSync(`/proc/self/fd/${writer}`, constants.O_WRONLY | constants.O_NONBLOCK);
    expect(() => {
      for (;;) {
        writeSync(filler, "\n");
      }
    }).toThrow("EAGAIN");
    closeSync(filler);
    const served = await serve(["ignore", writer, "pipe"], begun);
    await decides(served);
    let text = "";
    while (!/"revision":1\b/.test(text)) {
      text += readNow(reader);
      await sleep(1);
    }
    served.child.kill("SIGTERM");
    expect(await served.ended()).toBe(0);
    expect(text + readNow(reader)).toMatch(/"msg":"listening"[\s\S]*"msg":"stopping"[\s\S]*"msg":"stopped"/);
  });

  it.each([
    [
      "a pipe that nobody reads",
      () => {
        const { writer } = pipe();
        fill(writer);
        return writer;
      },
    ],
    ["a full disk", () => open("/dev/full", constants.O_WRONLY)],
    [
      "a pipe whose reader is gone",
      () => {
        const { reader, writer } = pipe();
        closeSync(reader);
        return writer;
      },
    ],
  ])("decides and ends in good order: %s", async (_what, target) => {
    const served = await serve(["ignore", target(), "pipe"], begun);
    await decides(served);
    served.child.kill("SIGTERM");
    expect(await served.ended()).toBe(0);
  });

  it("ends in good order when neither its standard output nor its standard error is read", async () => {
    const [{ writer: output }, { writer: error }] = [pipe(), pipe()];
    fill(output);
    fill(error);
    const served = await serve(["ignore", output, error], () => Promise.resolve());
    await vi.waitFor(() => decides(served), { timeout: 50_000 });
    served.child.kill("SIGTERM");
    expect(await served.ended()).toBe(0);
  });

  it("serves on a socket that nobody reads, as systemd hands one over", async () => {
    const path = join(temporary(), "journal");
    const listener = createServer({ pauseOnConnect: true }).listen(path);
    onTestFinished(() => void listener.close());
    const socket = dial(path);
    const [accepted] = (await once(listener, "connection")) as [Socket];
    await once(socket, "connect");
    onTestFinished(() => {
      socket.destroy();
      accepted.destroy();
    });
    const served = await serve(["ignore", socket, "pipe"], begun);
    // Some 300 bytes each: more than a socket holds.
    for (let at = 0; at < 1500; at += 1) {
      await served.tokens.list({});
    }
    await decides(served);
    served.child.kill("SIGTERM");
    expect(await served.ended()).toBe(0);
  });
});

describe("what else would be written", () => {
  // Node's own way to standard error, in the main thread: a signal calls it.
  const planted = (what: string) =>
    `import { isMainThread } from "node:worker_threads"; if (isMainThread) process.on("SIGUSR2", () => { ${what} });`;

  it.each([
    ["a warning", "process.emitWarning('planted')", /"message":"planted"[\s\S]*"msg":"Node warns"/, null],
    [
      "an error that nothing catches",
      "throw new Error('planted')",
      /"message":"planted".*"msg":"an error that nothing caught/,
      1,
    ],
  ])("is a log line: %s", async (_what, code, expected, exitCode) => {
    using here = temporaryDirectory();
    const preload = `--import=data:text/javascript,${encodeURIComponent(planted(code))}`;
    await using served = new AuthorityProcess(here.path, [], { NODE_OPTIONS: preload });
    await served.address();
    served.child.kill("SIGUSR2");
    await served.logged(expected);
    if (exitCode === null) {
      served.child.kill("SIGTERM");
    }
    expect(await served.ended()).toBe(exitCode ?? 0);
    expect(served.stderr).not.toContain("planted");
  });

  it("of a thread is a log line as well", async () => {
    const lines: object[] = [];
    const log = { info() {}, error() {}, warn: (fields: object) => void lines.push(fields) };
    const thread = new Worker("process.emitWarning('planted')", { eval: true, stderr: true });
    logStandardError(thread.stderr, log);
    await once(thread.stderr, "end");
    expect(lines).toEqual([{ text: expect.stringContaining("planted") }]);
  });
});

describe("the answer of a command", () => {
  async function help(stdout: number): Promise<{ readonly code: number | null; readonly stderr: string }> {
    const child = spawn(process.execPath, [main, "--help"], { stdio: ["ignore", stdout, "pipe"], env: {} });
    let stderr = "";
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    const [code] = await once(child, "close");
    return { code, stderr };
  }

  it("is not missed by a reader that has gone", async () => {
    const { reader, writer } = pipe();
    closeSync(reader);
    expect(await help(writer)).toEqual({ code: 0, stderr: "" });
  });

  it("is missed where a disk is full, with one line", async () => {
    expect(await help(open("/dev/full", constants.O_WRONLY))).toEqual({
      code: 2,
      stderr: "the answer could not be written to standard output (ENOSPC)\n",
    });
  });

  it("waits for a reader that is slow", async () => {
    const { reader, writer } = pipe();
    fill(writer);
    const asked = help(writer);
    let text = "";
    while (!text.includes("TOKEN_AUTHORITY_LOG_LEVEL")) {
      text += readNow(reader);
      await sleep(1);
    }
    expect(await asked).toEqual({ code: 0, stderr: "" });
  });
});
