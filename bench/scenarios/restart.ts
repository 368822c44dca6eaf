import { authority } from "../baselines/authority.ts";
import { type CallPlan, callsOf } from "../loads/calls.ts";
import { openGrpcConnection } from "../loads/grpc-connection.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { formatNumber } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

/**
 * An upgrade, as its callers see it: from SIGTERM until the successor, which starts once the process has ended,
 * answers.
 */
export async function measureRestart(context: BenchContext): Promise<void> {
  // The very first start after an installation compiles what later ones find compiled.
  await answeringServer(context).then((server) => server[Symbol.asyncDispose]());
  const { restarts } = await interleave(context.rounds, { restarts: () => restartOnce(context) });
  context.print(`Restart, with ${formatNumber(context.population.tokens)} tokens`, [
    {
      name: "SIGTERM to the successor's first answered Authenticate",
      unit: "ms",
      values: restarts.map(({ totalMs }) => totalMs),
      target: { atMost: 1000 },
    },
    { name: "of these, until the process has ended", unit: "ms", values: restarts.map(({ stopMs }) => stopMs) },
  ]);
}

async function restartOnce(context: BenchContext) {
  const before = await answeringServer(context);
  const startMs = performance.now();
  await before[Symbol.asyncDispose]();
  const stopMs = performance.now() - startMs;
  await using _after = await answeringServer(context);
  return { totalMs: performance.now() - startMs, stopMs };
}

async function answeringServer(context: BenchContext) {
  const plan: CallPlan = { kind: "authenticate", population: context.population };
  const server = await context.start(authority());
  using connection = await openGrpcConnection(server.address);
  const { path, message } = callsOf(plan).next();
  const { status } = await connection.call(path, message);
  if (status !== "0") {
    throw new Error(`the first Authenticate was answered with status ${status}`);
  }
  return server;
}
