import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { promisify } from "node:util";
import { cpuTimeUs } from "../runner/cpu-time.ts";
import { loadCore, pinned } from "../runner/pinned.ts";
import type { ServerProcess } from "../runner/server-process.ts";
import type { Cost } from "./h2load.ts";
import type { Shape } from "./lane-load.ts";

const timeoutMs = 120_000;
const recordName = "token";
const recordBytes = 300;

/** Puts a record of a usual token's size where runRedisLoad asks for it. */
export async function setRedisRecord({ address }: ServerProcess): Promise<void> {
  const [host = "", port] = address.split(":");
  const socket = connect(Number(port), host);
  socket.end(`SET ${recordName} ${"x".repeat(recordBytes)}\r\nQUIT\r\n`);
  socket.resume();
  await once(socket, "close");
}

/** Runs redis-benchmark on the load's core: GETs of the one record, so many at once on each connection. */
export async function runRedisLoad({ address, pid }: ServerProcess, shape: Shape, calls: number): Promise<Cost> {
  const [connections, streams] = shape;
  const [, port = ""] = address.split(":");
  const [command = "", ...args] = pinned(loadCore, "redis-benchmark", [
    ...["-p", port, "-n", String(calls), "-c", String(connections), "-P", String(streams), "--csv"],
    ...["GET", recordName],
  ]);
  const before = cpuTimeUs(pid);
  const { stdout } = await promisify(execFile)(command, args, { timeout: timeoutMs });
  const serverCpuUs = (cpuTimeUs(pid) - before) / calls;
  const callsPerSecond = Number(/^"GET[^"]*","([\d.]+)"/m.exec(stdout)?.[1]);
  return { callsPerSecond, serverCpuUs };
}
