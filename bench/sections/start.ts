import { join } from "node:path";
import { type CallPlan, callsOf } from "../calls.ts";
import { printFigures } from "../figures.ts";
import { openGrpcConnection } from "../grpc-connection.ts";
import { interleave } from "../interleave.ts";
import type { Population } from "../seeded-token.ts";
import { startAuthority } from "../server-process.ts";

/** From the spawn of the process to the first answered Authenticate, with the population and with nothing. */
export async function measureStart(
  directory: string,
  scratch: string,
  population: Population,
  rounds: number,
  interrupted: AbortSignal,
): Promise<void> {
  const calls: CallPlan = { kind: "authenticate", population };
  const { seeded, empty } = await interleave(rounds, {
    seeded: () => startOnce(directory, calls, interrupted),
    empty: () => startOnce(join(scratch, "empty"), calls, interrupted),
  });
  printFigures("Start: spawn to first answered Authenticate, files in the page cache", [
    { name: "all tokens", unit: "ms", values: seeded.map(({ firstAnswerMs }) => firstAnswerMs) },
    { name: "no token", unit: "ms", values: empty.map(({ firstAnswerMs }) => firstAnswerMs) },
    { name: "all tokens: RssAnon after it", unit: "MiB", values: seeded.map(({ anonymousMib }) => anonymousMib) },
    { name: "all tokens: VmRSS after it", unit: "MiB", values: seeded.map(({ residentMib }) => residentMib) },
    { name: "no token: RssAnon after it", unit: "MiB", values: empty.map(({ anonymousMib }) => anonymousMib) },
  ]);
}

async function startOnce(directory: string, plan: CallPlan, interrupted: AbortSignal) {
  await using server = await startAuthority(directory, interrupted);
  using connection = await openGrpcConnection(server.address);
  const { path, message } = callsOf(plan).next();
  const { status } = await connection.call(path, message);
  if (status !== "0") {
    throw new Error(`the first Authenticate was answered with status ${status}`);
  }
  return { firstAnswerMs: performance.now() - server.spawnedAtMs, ...server.memory() };
}
