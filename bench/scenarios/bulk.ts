import { authority } from "../baselines/authority.ts";
import { revisionOf, seededToken } from "../population/seeded-token.ts";
import { warmDatabase } from "../population/warm-database.ts";
import type { BenchContext, NodeJob } from "../runner/bench-context.ts";
import { ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { authenticateBeside, p99s } from "./beside.ts";

const atMost = 2;
const maxSeconds = 15;
const tokensPerCall = 1000;
const callsMeasured = 10;
/** Of all tokens: those that the rounds revoke from. The rest is for the ten calls that are timed. */
const shareOfRounds = 0.4;

/**
 * RevokeTokens: how long 10 000 tokens take, and what Authenticate waits beside it: on one core, where the writer's
 * thread must share it, and on all cores.
 */
export async function measureBulk(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  warmDatabase(context.setup);
  const { population, rounds } = context;
  const pinned = await context.start(authority());
  const free = await context.start(authority({ directory: "copy" }), "any");
  const blockTokens = Math.floor((shareOfRounds * population.tokens) / (rounds + 1));
  const between = (first: number, end: number): NodeJob["calls"] => ({
    kind: "revoke_tokens",
    createdFromMs: seededToken(population, first).createdAtMs,
    upToRevision: revisionOf(population, end - 1),
  });
  // Made before: to count the revisions takes a while.
  const blocks: readonly NodeJob[] = Array.from({ length: rounds + 1 }, (_, round) => {
    const first = round * blockTokens;
    return { shape: [1, 1], calls: between(first, first + blockTokens) };
  });
  const block = (round: number) => blocks[round] ?? null;
  const results = await interleave(rounds, {
    idle: () => authenticateBeside(context, pinned, null),
    bulk: (round) => authenticateBeside(context, pinned, block(round)),
    freeIdle: () => authenticateBeside(context, free, null),
    freeBulk: (round) => authenticateBeside(context, free, block(round)),
  });
  const whole: NodeJob = {
    ...{ shape: [1, 1], maxMs: 4 * maxSeconds * 1000, maxCalls: callsMeasured },
    calls: between(Math.floor(shareOfRounds * population.tokens), population.tokens),
  };
  const { callsPerSecond } = await context.call(pinned, whole);
  const perSecond = (values: typeof results.bulk) => values.map(({ otherCallsPerSecond }) => otherCallsPerSecond);
  context.print("RevokeTokens, and Authenticate of random keys, 1×1, beside it", [
    {
      ...{ name: `one core: ${callsMeasured * tokensPerCall} tokens, nothing beside`, unit: "s" },
      ...{ values: [callsMeasured / callsPerSecond], target: { atMost: maxSeconds } },
    },
    { name: "one core, idle: p99", unit: "us", values: p99s(results.idle) },
    { name: "one core, a RevokeTokens in flight: p99", unit: "us", values: p99s(results.bulk) },
    { name: "all cores, idle: p99", unit: "us", values: p99s(results.freeIdle) },
    { name: "all cores, a RevokeTokens in flight: p99", unit: "us", values: p99s(results.freeBulk) },
    { name: "one core: RevokeTokens meanwhile", unit: "calls/s", values: perSecond(results.bulk) },
    { name: "all cores: RevokeTokens meanwhile", unit: "calls/s", values: perSecond(results.freeBulk) },
    ratio("one core: p99 with a RevokeTokens in flight, of idle", p99s(results.bulk), p99s(results.idle), { atMost }),
    ratio("all cores: p99 with a RevokeTokens in flight, of idle", p99s(results.freeBulk), p99s(results.freeIdle), {
      atMost,
    }),
  ]);
}
