import { join } from "node:path";
import { authority } from "../baselines/authority.ts";
import { type CallPlan, callsOf } from "../loads/calls.ts";
import { openGrpcConnection } from "../loads/grpc-connection.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { formatNumber } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

/** From the spawn of the process to the first answered Authenticate, with the population and with nothing. */
export async function measureStart(context: BenchContext): Promise<void> {
  const { seeded, empty } = await interleave(context.rounds, {
    seeded: () => startOnce(context, {}),
    empty: () => startOnce(context, { DATA_DIR: join(context.setup.scratch, "empty") }),
  });
  const tokens = `${formatNumber(context.population.tokens)} tokens`;
  context.print("Start: spawn to first answered Authenticate, files in the page cache", [
    { name: tokens, unit: "ms", values: seeded.map(({ firstAnswerMs }) => firstAnswerMs), target: { atMost: 1000 } },
    { name: "no token", unit: "ms", values: empty.map(({ firstAnswerMs }) => firstAnswerMs) },
    { name: `${tokens}: RssAnon after it`, unit: "MiB", values: seeded.map(({ anonymousMib }) => anonymousMib) },
    { name: `${tokens}: VmRSS after it`, unit: "MiB", values: seeded.map(({ residentMib }) => residentMib) },
    { name: "no token: RssAnon after it", unit: "MiB", values: empty.map(({ anonymousMib }) => anonymousMib) },
  ]);
}

async function startOnce(context: BenchContext, settings: Readonly<Record<string, string>>) {
  const plan: CallPlan = { kind: "authenticate", population: context.population };
  await using server = await context.start(authority({ settings }));
  using connection = await openGrpcConnection(server.address);
  const { path, message } = callsOf(plan).next();
  const { status } = await connection.call(path, message);
  if (status !== "0") {
    throw new Error(`the first Authenticate was answered with status ${status}`);
  }
  return { firstAnswerMs: performance.now() - server.spawnedAtMs, ...server.memory() };
}
