import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { pinned, serverCore } from "./pinned.ts";
import { maxLiveTokens } from "./seed.ts";

const startTimeoutMs = 60_000;
const stopTimeoutMs = 20_000;
const keptLines = 20;

/** A server on its own core, which says where it listens. */
export type ServerProcess = AsyncDisposable & {
  readonly pid: number;
  /** HOST:PORT. */
  readonly address: string;
  /** When it was spawned, on the clock of performance.now(). */
  readonly spawnedAtMs: number;
  memory(): ProcessMemory;
};

export type ProcessMemory = {
  /** What it allocated itself. */
  readonly anonymousMib: number;
  /** With the pages of files that are mapped: programs and libraries. */
  readonly residentMib: number;
  readonly peakMib: number;
};

/** The authority as an operator starts it, on a data directory. `interrupted` kills it, also while it starts. */
export function startAuthority(dataDirectory: string, interrupted: AbortSignal): Promise<ServerProcess> {
  return startServer(new URL("../src/main.ts", import.meta.url), interrupted, {
    TOKEN_AUTHORITY_LISTEN: "127.0.0.1:0",
    TOKEN_AUTHORITY_ADMIN_LISTEN: "127.0.0.1:0",
    TOKEN_AUTHORITY_DATA_DIR: dataDirectory,
    TOKEN_AUTHORITY_MAX_TOKENS_PER_ACCOUNT: String(maxLiveTokens),
  });
}

/** The least that a node:http2 server can do for a call: see echo-server.ts. */
export function startEcho(interrupted: AbortSignal): Promise<ServerProcess> {
  return startServer(new URL("./echo-server.ts", import.meta.url), interrupted, {});
}

async function startServer(
  program: URL,
  interrupted: AbortSignal,
  settings: Readonly<Record<string, string>>,
): Promise<ServerProcess> {
  const [command = "", ...args] = pinned(serverCore, process.execPath, [fileURLToPath(program)]);
  const spawnedAtMs = performance.now();
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, ...settings },
    stdio: ["ignore", "pipe", "pipe"],
    signal: interrupted,
    killSignal: "SIGKILL",
  });
  const lines: string[] = [];
  const listening = Promise.withResolvers<string | null>();
  function take(line: string): void {
    lines.push(line);
    lines.splice(0, lines.length - keptLines);
    const address = /"address":"([^"]+)"/.exec(line)?.[1];
    if (address !== undefined) {
      listening.resolve(address);
    }
  }
  createInterface({ input: child.stdout }).on("line", take);
  createInterface({ input: child.stderr }).on("line", take);
  child.once("close", () => listening.resolve(null));
  child.on("error", (error) => listening.reject(error));
  const timer = setTimeout(() => child.kill("SIGKILL"), startTimeoutMs);
  const address = await listening.promise;
  clearTimeout(timer);
  const { pid } = child;
  if (address === null || pid === undefined) {
    throw new Error(`${program.pathname} did not start:\n${lines.join("\n")}`);
  }

  return {
    pid,
    address,
    spawnedAtMs,
    memory: () => readMemory(pid),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) {
        return;
      }
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const killTimer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
      await exited;
      clearTimeout(killTimer);
    },
  };
}

function readMemory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  function mib(name: string): number {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  }
  return { anonymousMib: mib("RssAnon"), residentMib: mib("VmRSS"), peakMib: mib("VmHWM") };
}
