import { authority } from "../baselines/authority.ts";
import { connectNode } from "../baselines/connect-node.ts";
import { grpcGo } from "../baselines/grpc-go.ts";
import { grpcJs } from "../baselines/grpc-js.ts";
import { http2Echo } from "../baselines/http2-echo.ts";
import { startNetEcho } from "../baselines/net-echo.ts";
import { tonic } from "../baselines/tonic.ts";
import type { Cost } from "../loads/h2load.ts";
import type { LaneLoad, Shape } from "../loads/lane-load.ts";
import { createRepeatedAuthenticate } from "../loads/repeated-authenticate.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import type { Figure } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { type Against, costFigures, cpuRatio, speedUp } from "./cost.ts";

type Targets = {
  /** How many times the calls of each baseline, by its name. */
  readonly speedUp: Readonly<Record<string, number>>;
  /** How much CPU a call, of the bare net echo's. */
  readonly cpuOfNetEcho?: number;
};

/** The same calls made in one way. */
type Load = {
  readonly label: string;
  /** What must be left of each target. */
  readonly keptShare: number;
  run(way: RunningWay): Promise<Cost>;
};

const eightByEight: Shape = [8, 8];
const oneEach: Shape = [32, 1];

/** Authenticate of hot keys in cleartext, beside every baseline. */
export async function measureHot(context: BenchContext): Promise<void> {
  const ours = await context.start(authority());
  const fast = await context.startAll([http2Echo(), grpcGo(), tonic]);
  const slow = await context.startAll([grpcJs, connectNode]);
  await compare(context, "Hot keys, 8×8", ours, [...fast, ...slow], eightByEight, {
    speedUp: { "node:http2 echo": 5, "grpc-go": 3, "grpc-js": 15, "connect-node": 60 },
  });
  await compare(context, "Hot keys, 32×1", ours, fast, oneEach, {
    speedUp: { "node:http2 echo": 2.7, "grpc-go": 1.7 },
  });
  const echoes = await startNetEcho(context, ours);
  await compare(context, "Hot keys, 32×1, beside bare sockets", ours, echoes, oneEach, {
    speedUp: {},
    cpuOfNetEcho: 1.4,
  });
}

/** The same over TLS 1.3. */
export async function measureHotTls(context: BenchContext): Promise<void> {
  const transport = "TLS 1.3";
  const ours = await context.start(authority({ transport }));
  const others = await context.startAll([http2Echo(transport), grpcGo(transport)]);
  await compare(context, "Hot keys, TLS 1.3, 8×8", ours, others, eightByEight, {
    speedUp: { "node:http2 echo": 5, "grpc-go": 3 },
  });
  await compare(context, "Hot keys, TLS 1.3, 32×1", ours, others, oneEach, {
    speedUp: { "node:http2 echo": 2.5, "grpc-go": 1.3 },
  });
}

async function compare(
  context: BenchContext,
  title: string,
  ours: RunningWay,
  baselines: readonly RunningWay[],
  shape: Shape,
  targets: Targets,
): Promise<void> {
  const figures: Figure[] = [];
  const ratios: Figure[] = [];
  const ways = [ours, ...baselines];
  for (const load of loadsOf(context, ways, shape)) {
    const arms = Object.fromEntries(ways.map((way) => [way.name, () => load.run(way)]));
    const costs = await interleave(context.rounds, arms);
    figures.push(...ways.flatMap(({ name }) => costFigures(`${name}, ${load.label}`, costs[name] ?? [])));
    ratios.push(
      ...baselines.flatMap(({ name }) =>
        ratiosTo({ load: load.label, name, ours: costs[ours.name] ?? [], theirs: costs[name] ?? [] }, load, targets),
      ),
    );
  }
  context.print(title, [...figures, ...ratios]);
}

function ratiosTo(against: Against, { keptShare }: Load, { speedUp: least, cpuOfNetEcho: most }: Targets) {
  if (most !== undefined) {
    return [cpuRatio(against, most / keptShare)];
  }
  const atLeast = least[against.name];
  return speedUp(against, atLeast === undefined ? undefined : atLeast * keptShare);
}

/**
 * h2load has no certificate to show, and speaks nothing but HTTP: what it cannot do, and differing headers, are left to
 * go/load.
 */
function loadsOf(context: BenchContext, ways: readonly RunningWay[], shape: Shape): readonly Load[] {
  const isForH2load = ways.every(({ transport, raw }) => transport === "cleartext" && raw === undefined);
  function byLane(headers: LaneLoad["headers"]): Load["run"] {
    context.requireLaneLoad();
    return (way) => context.authenticate(way, { shape, headers, keys: "hot" });
  }
  return [
    ...(isForH2load ? ifPossible(context, "h2load", 1, () => createRepeatedAuthenticate(context, shape)) : []),
    ...ifPossible(context, "constant headers", 1, () => byLane("constant")),
    ...ifPossible(context, "differing headers", 0.6, () => byLane("differing")),
  ];
}

/** None where it cannot be made here. */
function ifPossible(context: BenchContext, label: string, keptShare: number, make: () => Load["run"]): readonly Load[] {
  try {
    return [{ label, keptShare, run: make() }];
  } catch (error) {
    context.leaveOut(`hot keys by ${label}`, error);
    return [];
  }
}
