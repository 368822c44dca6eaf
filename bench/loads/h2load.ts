import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { cpuTimeUs } from "../runner/cpu-time.ts";
import { MissingError } from "../runner/missing-error.ts";
import { loadCore, pinned } from "../runner/pinned.ts";
import type { ServerProcess } from "../runner/server-process.ts";
import type { Shape } from "./lane-load.ts";

/** What every load tells of a server. */
export type Cost = {
  readonly callsPerSecond: number;
  readonly serverCpuUs: number;
  /** How much of its core the load took, where it tells. */
  readonly loadBusy?: number;
};

export type H2loadJob = {
  readonly shape: Shape;
  readonly calls: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** The file with the body of each request. */
  readonly body: string | null;
};

const timeoutMs = 120_000;

/** Throws a MissingError unless it is installed. */
export function requireH2load(): void {
  if (spawnSync("h2load", ["--version"]).status !== 0) {
    throw new MissingError("h2load (Debian nghttp2-client) is not installed");
  }
}

/** Runs h2load on the load's core, in cleartext: it repeats one header block, and has no certificate to show. */
export async function runH2load({ address, pid }: ServerProcess, job: H2loadJob): Promise<Cost> {
  const {
    shape: [connections, streams],
    calls,
    path,
    headers,
    body,
  } = job;
  const [command = "", ...args] = pinned(loadCore, "h2load", [
    ...["-t1", `-n${calls}`, `-c${connections}`, `-m${streams}`],
    ...(body === null ? [] : ["-d", body]),
    ...Object.entries(headers).flatMap(([name, value]) => ["-H", `${name}: ${value}`]),
    `http://${address}${path}`,
  ]);
  const before = cpuTimeUs(pid);
  const { stdout } = await promisify(execFile)(command, args, { timeout: timeoutMs });
  const serverCpuUs = (cpuTimeUs(pid) - before) / calls;
  if (!stdout.includes(`status codes: ${calls} 2xx`)) {
    throw new Error(`h2load did not get all answers:\n${stdout}`);
  }
  return { callsPerSecond: Number(/finished in [^,]*, ([\d.]+) req\/s/.exec(stdout)?.[1]), serverCpuUs };
}

/** GETs the URIs of a file over HTTP/1.1, one after another on each connection, whatever their status. */
export async function runUriLoad(
  { pid }: ServerProcess,
  { uris, connections, maxMs }: { readonly uris: string; readonly connections: number; readonly maxMs: number },
): Promise<Cost> {
  const flags = ["--h1", "-t1", `-c${connections}`, `--duration=${maxMs}ms`, "-i", uris];
  const [command = "", ...args] = pinned(loadCore, "h2load", flags);
  const before = cpuTimeUs(pid);
  const { stdout } = await promisify(execFile)(command, args, { timeout: timeoutMs });
  const usedUs = cpuTimeUs(pid) - before;
  const done = Number(/(\d+) done, /.exec(stdout)?.[1]);
  return { callsPerSecond: (done * 1_000) / maxMs, serverCpuUs: usedUs / done };
}
