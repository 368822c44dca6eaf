import { type ChildProcess, type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

const projectRoot = resolve(import.meta.dirname, "../../..");
const startTimeoutMs = 60_000;
const stopTimeoutMs = 20_000;
const keptLines = 200;

/** A real `node src/main.ts`, which ends with the suite. */
export type ServerProcess = AsyncDisposable & {
  readonly pid: number;
  /** HOST:PORT. */
  readonly address: string;
  readonly port: number;
  /** HOST:PORT of metrics and probes, or `off`. */
  readonly adminAddress: string;
  /** HOST:PORT of the public REST API, or `off`. */
  readonly restAddress: string;
  /** HOST:PORT of the console, or `off`. */
  readonly consoleAddress: string;
  isRunning(): boolean;
  /** What it printed last. */
  output(): string;
  /** How many of its lines held a key. */
  linesWithKeys(): number;
  /** The first of its lines that told an error. */
  errorLines(): readonly string[];
  rssBytes(): number;
  /** The most it ever was. */
  peakRssBytes(): number;
  openFiles(): number;
  /** Asks it to end, and returns its exit code; null when it had to be killed. */
  stop(): Promise<number | null>;
  /** kill -9. */
  kill(): Promise<void>;
};

export type ServerProcessOptions = {
  readonly dataDirectory: string;
  readonly sealingSecret: string;
  /** More settings, without their prefix: `{ LOG_LEVEL: "warn" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More of the environment, by whole names. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Where the source lies. Default: this project. */
  readonly root?: string;
  readonly onLine?: (line: string) => void;
  /** Kill -9 it this long after its start, whether or not it serves by then. */
  readonly killAfterMs?: number;
};

/**
 * Starts a server on free ports of 127.0.0.1 and resolves when it serves; rejects with its output when it ends before
 * that.
 */
export async function startServerProcess(options: ServerProcessOptions): Promise<ServerProcess> {
  const child = spawnServer(options);
  const lines: string[] = [];
  const errorLines: string[] = [];
  let linesWithKeys = 0;
  const ended = once(child, "close").then(() => null);
  const serving = new Promise<Addresses>((resolveServing) => {
    function take(line: string): void {
      lines.push(line);
      lines.splice(0, lines.length - keptLines);
      linesWithKeys += /[srp]k_(live|test)_[0-9A-Za-z]{38}/.test(line) ? 1 : 0;
      if (/^\{"level":[56]0,/.test(line) && errorLines.length < keptLines) {
        errorLines.push(line);
      }
      options.onLine?.(line);
      const addresses = addressesIn(line);
      if (addresses !== null) {
        resolveServing(addresses);
      }
    }
    createInterface({ input: child.stdout }).on("line", take);
    createInterface({ input: child.stderr }).on("line", take);
  });
  const killTimer = setTimeout(() => child.kill("SIGKILL"), options.killAfterMs ?? startTimeoutMs);
  const addresses = await Promise.race([serving, ended]);
  if (options.killAfterMs === undefined || addresses === null) {
    clearTimeout(killTimer);
  }
  if (addresses === null || child.pid === undefined) {
    throw new Error(`the server did not start:\n${lines.join("\n")}`);
  }
  return runningServer(child, child.pid, addresses, { lines, errorLines, linesWithKeys: () => linesWithKeys });
}

type Printed = {
  readonly lines: readonly string[];
  readonly errorLines: readonly string[];
  linesWithKeys(): number;
};

type Addresses = { readonly main: string; readonly admin: string; readonly rest: string; readonly console: string };

function addressesIn(line: string): Addresses | null {
  const [, console, rest, main, admin] =
    /"console":"([^"]+)","rest":"([^"]+)","address":"([^"]+)","admin":"([^"]+)","msg":"listening"/.exec(line) ?? [];
  return console === undefined || rest === undefined || main === undefined || admin === undefined
    ? null
    : { main, admin, rest, console };
}

function spawnServer({
  dataDirectory,
  sealingSecret,
  settings = {},
  variables = {},
  root = projectRoot,
}: ServerProcessOptions): ChildProcessByStdio<null, Readable, Readable> {
  const all = {
    LISTEN: "127.0.0.1:0",
    ADMIN_LISTEN: "off",
    // An edge has nothing on disk.
    ...(settings.UPSTREAM === undefined ? { DATA_DIR: dataDirectory, SEALING_SECRET: sealingSecret } : {}),
    ...settings,
  };
  const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [`TOKEN_AUTHORITY_${name}`, value]));
  return spawn(process.execPath, ["src/main.ts"], {
    cwd: root,
    env: { PATH: process.env.PATH, ...env, ...variables },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function runningServer(
  child: ChildProcess,
  pid: number,
  { main, admin, rest, console }: Addresses,
  printed: Printed,
): ServerProcess {
  function isRunning(): boolean {
    return child.exitCode === null && child.signalCode === null;
  }

  function bytesOf(name: string): number {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024;
  }

  async function end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    if (!isRunning()) {
      return;
    }
    const exited = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
    await exited;
    clearTimeout(timer);
  }

  return {
    pid,
    address: main,
    port: Number(main.slice(main.lastIndexOf(":") + 1)),
    adminAddress: admin,
    restAddress: rest,
    consoleAddress: console,
    isRunning,
    output() {
      return printed.lines.join("\n");
    },
    linesWithKeys: printed.linesWithKeys,
    errorLines() {
      return printed.errorLines;
    },
    rssBytes() {
      return bytesOf("VmRSS");
    },
    peakRssBytes() {
      return bytesOf("VmHWM");
    },
    openFiles() {
      return readdirSync(`/proc/${pid}/fd`).length;
    },
    async stop() {
      await end("SIGTERM");
      return child.exitCode;
    },
    async kill() {
      await end("SIGKILL");
    },
    async [Symbol.asyncDispose]() {
      await end("SIGTERM");
    },
  };
}
