import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { pinned, serverCore } from "./pinned.ts";

const startTimeoutMs = 60_000;
const stopTimeoutMs = 20_000;
const retryMs = 20;
const keptLines = 20;

/** How to start a server. It ends on SIGTERM. */
export type Program = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** HOST:PORT where that is known beforehand; other programs print `"address":"HOST:PORT"`. */
  readonly address?: string;
};

export type ProgramPlace = {
  /** Kills it, also while it starts. */
  readonly interrupted: AbortSignal;
  /** `server` is one core, for all its threads. */
  readonly cores: "server" | "any";
};

/** A server that says where it listens. */
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

export async function startProgram(program: Program, { interrupted, cores }: ProgramPlace): Promise<ServerProcess> {
  const commandLine =
    cores === "server" ? pinned(serverCore, program.command, program.args) : [program.command, ...program.args];
  const [command = "", ...args] = commandLine;
  const spawnedAtMs = performance.now();
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, ...program.env },
    stdio: ["ignore", "pipe", "pipe"],
    signal: interrupted,
    killSignal: "SIGKILL",
  });
  const lines: string[] = [];
  const address = await listening(child, lines, program.address);
  const { pid } = child;
  if (address === null || pid === undefined) {
    await stop(child);
    throw new Error(`${program.command} did not start:\n${lines.join("\n")}`);
  }
  return {
    pid,
    address,
    spawnedAtMs,
    memory: () => readMemory(pid),
    [Symbol.asyncDispose]: () => stop(child),
  };
}

/** A port of 127.0.0.1 that is free now. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Null when it ended, or took too long. */
async function listening(child: ChildProcess, lines: string[], known: string | undefined): Promise<string | null> {
  const settled = Promise.withResolvers<string | null>();
  function take(line: string): void {
    lines.push(line);
    lines.splice(0, lines.length - keptLines);
    const address = /"address":"([^"]+)"/.exec(line)?.[1];
    if (address !== undefined && known === undefined) {
      settled.resolve(address);
    }
  }
  for (const output of [child.stdout, child.stderr]) {
    if (output !== null) {
      createInterface({ input: output }).on("line", take);
    }
  }
  child.once("close", () => settled.resolve(null));
  child.on("error", settled.reject);
  if (known !== undefined) {
    void untilConnected(known, child).then(() => settled.resolve(known));
  }
  const timer = setTimeout(() => child.kill("SIGKILL"), startTimeoutMs);
  try {
    return await settled.promise;
  } finally {
    clearTimeout(timer);
  }
}

async function untilConnected(address: string, child: ChildProcess): Promise<void> {
  const [host = "", port] = address.split(":");
  while (isRunning(child)) {
    const socket = connect(Number(port), host);
    try {
      await once(socket, "connect");
      return;
    } catch {
      await sleep(retryMs);
    } finally {
      socket.destroy();
    }
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null && child.pid !== undefined;
}

async function stop(child: ChildProcess): Promise<void> {
  if (!isRunning(child)) {
    return;
  }
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const killTimer = setTimeout(() => child.kill("SIGKILL"), stopTimeoutMs);
  await exited;
  clearTimeout(killTimer);
}

function readMemory(pid: number): ProcessMemory {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  function mib(name: string): number {
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) / 1024;
  }
  return { anonymousMib: mib("RssAnon"), residentMib: mib("VmRSS"), peakMib: mib("VmHWM") };
}
