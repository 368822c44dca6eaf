import { authority } from "../baselines/authority.ts";
import { connectNode } from "../baselines/connect-node.ts";
import { grpcGo } from "../baselines/grpc-go.ts";
import { grpcJs } from "../baselines/grpc-js.ts";
import { http2Echo } from "../baselines/http2-echo.ts";
import { startNetEcho } from "../baselines/net-echo.ts";
import type { LaneLoad, LaneResult, Shape } from "../loads/lane-load.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

const differingName = "authority, differing headers";

/** How long one call takes, alone and among 64 connections with one call each. */
export async function measureLatency(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  const ours = await context.start(authority());
  const baselines = await context.startAll([http2Echo(), grpcGo(), grpcJs, connectNode]);
  const echoes = await startNetEcho(context, ours);

  const alone = await measure(context, ours, [...echoes, ...baselines], [1, 1]);
  context.print("Hot keys, one call at a time (constant headers unless said)", [
    ...latencyFigures(alone),
    ...["authority", differingName].flatMap((name) => [
      ...echoes.map((echo) => p50Ratio(name, alone, echo, 1.3)),
      ...baselines.map((baseline) => p50Ratio(name, alone, baseline, 1)),
    ]),
  ]);

  const among = await measure(context, ours, baselines, [64, 1]);
  context.print("Hot keys, 64×1 (constant headers unless said)", [
    ...latencyFigures(among),
    ...["authority", differingName].flatMap((name) =>
      baselines.map((baseline) =>
        ratio(`${name}: p99, of ${baseline.name}'s p50`, p99(among[name]), p50(among[baseline.name]), { atMost: 1 }),
      ),
    ),
  ]);
}

type Results = Readonly<Record<string, readonly LaneResult[]>>;

function measure(
  context: BenchContext,
  ours: RunningWay,
  others: readonly RunningWay[],
  shape: Shape,
): Promise<Results> {
  const load = (headers: LaneLoad["headers"]) => ({ shape, headers, keys: "hot" }) as const;
  return interleave<string, LaneResult>(context.rounds, {
    ...Object.fromEntries(
      [ours, ...others].map((way) => [way.name, () => context.authenticate(way, load("constant"))]),
    ),
    [differingName]: () => context.authenticate(ours, load("differing")),
  });
}

function latencyFigures(results: Results): readonly Figure[] {
  return Object.entries(results).flatMap(([name, values]) => [
    { name: `${name}: p50`, unit: "us", values: p50(values) },
    { name: `${name}: p99`, unit: "us", values: p99(values) },
  ]);
}

function p50Ratio(name: string, results: Results, baseline: RunningWay, atMost: number): Figure {
  return ratio(`${name}: p50, of ${baseline.name}'s`, p50(results[name]), p50(results[baseline.name]), { atMost });
}

function p50(results: readonly LaneResult[] = []): readonly number[] {
  return results.map(({ known }) => known.p50Us);
}

function p99(results: readonly LaneResult[] = []): readonly number[] {
  return results.map(({ known }) => known.p99Us);
}
