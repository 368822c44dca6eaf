import { authority } from "../baselines/authority.ts";
import { envoy, envoyKeyHeader } from "../baselines/envoy.ts";
import { redis } from "../baselines/redis.ts";
import { type Cost, runH2load } from "../loads/h2load.ts";
import type { Shape } from "../loads/lane-load.ts";
import { paced } from "../loads/paced.ts";
import { runRedisLoad, setRedisRecord } from "../loads/redis-load.ts";
import { createRepeatedAuthenticate } from "../loads/repeated-authenticate.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpuRatio } from "./cost.ts";

type Arm = { readonly name: string; readonly atMost: number | undefined; run(): Promise<Cost> };

/** What a decision costs elsewhere, on the same core: a GET from Redis, and Envoy's own filter for API keys. */
export async function measureOthers(context: BenchContext): Promise<void> {
  const ours = await context.start(authority());
  const [cache] = await context.startAll([redis]);
  const [proxy] = await context.startAll([envoy]);
  if (cache !== undefined) {
    await setRedisRecord(cache);
  }
  await compare(
    context,
    "Beside other ways to decide, 8×8",
    ours,
    [8, 8],
    [
      ...redisArm(context, cache, "Redis GET, 64×1", [64, 1], 1),
      // Few clients of Redis send a command before the last is answered: printed, and not judged.
      ...redisArm(context, cache, "Redis GET, 8 connections with 8 commands pipelined", [8, 8], undefined),
      ...envoyArm(context, proxy, [8, 8]),
    ],
  );
  await compare(
    context,
    "Beside other ways to decide, 32×1",
    ours,
    [32, 1],
    [...redisArm(context, cache, "Redis GET, 32×1", [32, 1], 1), ...envoyArm(context, proxy, [32, 1])],
  );
}

async function compare(
  context: BenchContext,
  title: string,
  ours: RunningWay,
  shape: Shape,
  others: readonly Arm[],
): Promise<void> {
  const repeated = createRepeatedAuthenticate(context, shape);
  const arms = Object.fromEntries(others.map(({ name, run }) => [name, run]));
  const costs = await interleave<string, Cost>(context.rounds, { [ours.name]: () => repeated(ours), ...arms });
  const ourCosts = costs[ours.name] ?? [];
  context.print(title, [
    ...Object.entries(costs).flatMap(([name, values]) => costFigures(name, values)),
    ...others.map(({ name, atMost }) =>
      cpuRatio({ load: "hot key", name, ours: ourCosts, theirs: costs[name] ?? [] }, atMost),
    ),
  ]);
}

function redisArm(
  { roundMs }: BenchContext,
  cache: RunningWay | undefined,
  name: string,
  shape: Shape,
  atMost: number | undefined,
): readonly Arm[] {
  const load = paced(roundMs, (way, calls) => runRedisLoad(way, shape, calls));
  return cache === undefined ? [] : [{ name, atMost, run: () => load(cache) }];
}

function envoyArm({ setup, roundMs }: BenchContext, proxy: RunningWay | undefined, shape: Shape): readonly Arm[] {
  const headers = { [envoyKeyHeader]: setup.hotKey };
  const load = paced(roundMs, (way, calls) => runH2load(way, { shape, calls, path: "/", headers, body: null }));
  return proxy === undefined ? [] : [{ name: proxy.name, atMost: 1, run: () => load(proxy) }];
}
