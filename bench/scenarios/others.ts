import { authority } from "../baselines/authority.ts";
import { envoy, envoyKeyHeader } from "../baselines/envoy.ts";
import { redis } from "../baselines/redis.ts";
import { type Cost, runH2load } from "../loads/h2load.ts";
import type { Shape } from "../loads/lane-load.ts";
import { runRedisLoad, setRedisRecord } from "../loads/redis-load.ts";
import { createRepeatedAuthenticate } from "../loads/repeated-authenticate.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpuRatio } from "./cost.ts";

const shapes: readonly Shape[] = [
  [8, 8],
  [32, 1],
];
/** About a round's worth. */
const callsPerMs = 60;

/** What a decision costs elsewhere, on the same core: a GET from Redis, and Envoy's own filter for API keys. */
export async function measureOthers(context: BenchContext): Promise<void> {
  const ours = await context.start(authority());
  const others = await context.startAll([redis, envoy]);
  await Promise.all(others.filter(({ name }) => name === redis.name).map(setRedisRecord));
  for (const shape of shapes) {
    const repeated = createRepeatedAuthenticate(context, shape);
    const calls = callsPerMs * context.roundMs;
    const arms = [
      [ours.name, () => repeated(ours)] as const,
      ...others.map((other) => [other.name, () => runOther(context, other, shape, calls)] as const),
    ];
    const costs = await interleave<string, Cost>(context.rounds, Object.fromEntries(arms));
    context.print(`Beside other ways to decide, ${shape.join("×")}`, [
      ...Object.entries(costs).flatMap(([name, values]) => costFigures(name, values)),
      ...others.map(({ name }) =>
        cpuRatio({ headers: "constant", name, ours: costs[ours.name] ?? [], theirs: costs[name] ?? [] }, 1),
      ),
    ]);
  }
}

function runOther({ setup }: BenchContext, other: RunningWay, shape: Shape, calls: number): Promise<Cost> {
  return other.name === redis.name
    ? runRedisLoad(other, shape, calls)
    : runH2load(other, { shape, calls, path: "/", headers: { [envoyKeyHeader]: setup.hotKey }, body: null });
}
