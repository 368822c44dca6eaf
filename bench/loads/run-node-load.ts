import { cpuTimeUs } from "../runner/cpu-time.ts";
import { type Call, callsOf } from "./calls.ts";
import { type GrpcConnection, openGrpcConnection } from "./grpc-connection.ts";
import type { LoadJob, LoadResult } from "./node-load-job.ts";

/** Makes the calls of a job from this process. */
export async function runLoad(job: LoadJob): Promise<LoadResult> {
  using connections = new DisposableStack();
  const opened = await Promise.all(Array.from({ length: job.connections }, () => openGrpcConnection(job.address)));
  opened.forEach((connection) => {
    connections.use(connection);
  });
  const calls = callsOf(job.calls);
  // The first call of a connection also pays for what a connection costs once.
  await Promise.all(opened.map((connection) => make(connection, calls.next())));

  const latenciesMs: number[] = [];
  const failures: Record<string, number> = {};
  let started = 0;
  const cpuBefore = process.cpuUsage();
  const serverCpuBeforeUs = cpuTimeUs(job.serverPid);
  const startMs = performance.now();

  async function callOnAndOn(connection: GrpcConnection): Promise<void> {
    while (started < job.maxCalls && performance.now() - startMs < job.maxMs) {
      started += 1;
      const call = calls.next();
      const calledAtMs = performance.now();
      const { status, message } = await make(connection, call);
      latenciesMs.push(performance.now() - calledAtMs);
      if (status !== "0" || !calls.isExpected(message)) {
        const what = status === "0" ? "another answer" : `status ${status}`;
        failures[what] = (failures[what] ?? 0) + 1;
      }
    }
  }

  await Promise.all(opened.flatMap((one) => Array.from({ length: job.streams }, () => callOnAndOn(one))));
  const tookMs = performance.now() - startMs;
  const { user, system } = process.cpuUsage(cpuBefore);
  latenciesMs.sort((a, b) => a - b);
  return {
    calls: latenciesMs.length,
    callsPerSecond: (latenciesMs.length * 1000) / tookMs,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
    greatestMs: quantile(latenciesMs, 1),
    serverCpuUs: (cpuTimeUs(job.serverPid) - serverCpuBeforeUs) / latenciesMs.length,
    loadBusy: (user + system) / 1000 / tookMs,
    failures,
  };
}

async function make(connection: GrpcConnection, { path, message }: Call) {
  try {
    return await connection.call(path, message);
  } catch (error) {
    return { status: String(error), message: new Uint8Array() };
  }
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
