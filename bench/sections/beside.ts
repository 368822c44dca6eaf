import { setTimeout as sleep } from "node:timers/promises";
import { type BenchContext, runInBackground, runRound } from "../bench-context.ts";
import type { CallPlan } from "../calls.ts";
import { printFigures, ratio } from "../figures.ts";
import { interleave } from "../interleave.ts";

/** For the other load to be under way before the first measured call, and until after the last. */
const leadMs = 300;

/** Authenticate, one at a time, while the authority is idle, and while it has other work. */
export async function measureBeside(context: BenchContext): Promise<void> {
  const { population } = context;
  const results = await interleave(context.rounds, {
    idle: () => authenticate(context),
    creates: () => authenticateBeside(context, [8, 8], { kind: "create", population }),
    list: () => authenticateBeside(context, [1, 1], { kind: "list_in_vain" }),
  });
  const [idle, creates, list] = [results.idle, results.creates, results.list].map((all) => ({
    p50: all.map(({ p50Ms }) => p50Ms),
    p99: all.map(({ p99Ms }) => p99Ms),
    greatest: all.map(({ greatestMs }) => greatestMs),
  }));
  if (idle === undefined || creates === undefined || list === undefined) {
    return;
  }
  const beside = [results.creates, results.list].map((all) => all.map(({ besideRate }) => besideRate));
  printFigures("Authenticate of random keys, 1×1, beside other calls", [
    { name: "idle: p50", unit: "ms", values: idle.p50 },
    { name: "idle: p99", unit: "ms", values: idle.p99 },
    { name: "idle: greatest", unit: "ms", values: idle.greatest },
    { name: "64 Creates in flight: p50", unit: "ms", values: creates.p50 },
    { name: "64 Creates in flight: p99", unit: "ms", values: creates.p99 },
    { name: "64 Creates in flight: greatest", unit: "ms", values: creates.greatest },
    { name: "64 Creates in flight: Creates meanwhile", unit: "calls/s", values: beside[0] ?? [] },
    { name: "a List that looks at 10 000 tokens in flight: p50", unit: "ms", values: list.p50 },
    { name: "a List that looks at 10 000 tokens in flight: p99", unit: "ms", values: list.p99 },
    { name: "a List that looks at 10 000 tokens in flight: greatest", unit: "ms", values: list.greatest },
    { name: "a List that looks at 10 000 tokens in flight: Lists meanwhile", unit: "calls/s", values: beside[1] ?? [] },
    ratio("p99 with 64 Creates in flight, of idle", creates.p99, idle.p99),
    ratio("p99 with a List in flight, of idle", list.p99, idle.p99),
  ]);
}

async function authenticate(context: BenchContext) {
  const { population, authority } = context;
  return { ...(await runRound(context, authority, [1, 1], { kind: "authenticate", population })), besideRate: 0 };
}

async function authenticateBeside(
  context: BenchContext,
  shape: readonly [connections: number, streams: number],
  calls: CallPlan,
) {
  const other = runInBackground(context, context.authority, shape, calls, context.roundMs + 2 * leadMs);
  await sleep(leadMs);
  const result = await authenticate(context);
  return { ...result, besideRate: (await other).callsPerSecond };
}
