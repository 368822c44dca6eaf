import { authority } from "../baselines/authority.ts";
import { connectNode } from "../baselines/connect-node.ts";
import { grpcGo } from "../baselines/grpc-go.ts";
import { grpcJs } from "../baselines/grpc-js.ts";
import { http2Echo } from "../baselines/http2-echo.ts";
import { startNetEcho } from "../baselines/net-echo.ts";
import type { Cost } from "../loads/h2load.ts";
import type { LaneLoad, Shape } from "../loads/lane-load.ts";
import { createRepeatedAuthenticate } from "../loads/repeated-authenticate.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import type { Figure } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, cpuRatio, speedUp } from "./cost.ts";

type Targets = {
  /** How many times the calls of each baseline, by its name. */
  readonly speedUp: Readonly<Record<string, number>>;
  /** How much CPU a call, of the bare net echo's. */
  readonly cpuOfNetEcho?: number;
};

type Headers = LaneLoad["headers"];

const eightByEight: Shape = [8, 8];
const oneEach: Shape = [32, 1];
/** What must be left of each figure when the headers differ. */
const keptShare = { constant: 1, differing: 0.6 } satisfies Record<Headers, number>;

/** Authenticate of hot keys in cleartext, beside every baseline. */
export async function measureHot(context: BenchContext): Promise<void> {
  const ours = await context.start(authority());
  const fast = await context.startAll([http2Echo(), grpcGo()]);
  const slow = await context.startAll([grpcJs, connectNode]);
  await compare(context, "Authenticate of hot keys, 8×8", ours, [...fast, ...slow], eightByEight, {
    speedUp: { "node:http2 echo": 5, "grpc-go": 3, "grpc-js": 15, "connect-node": 60 },
  });
  const echoes = await startNetEcho(context, ours);
  await compare(context, "Authenticate of hot keys, 32×1", ours, [...fast, ...echoes], oneEach, {
    speedUp: { "node:http2 echo": 2.7, "grpc-go": 1.7 },
    cpuOfNetEcho: 1.4,
  });
}

/** The same over TLS 1.3. */
export async function measureHotTls(context: BenchContext): Promise<void> {
  const transport = "TLS 1.3";
  const ours = await context.start(authority({ transport }));
  const others = await context.startAll([http2Echo(transport), grpcGo(transport)]);
  await compare(context, "Authenticate of hot keys, TLS 1.3, 8×8", ours, others, eightByEight, {
    speedUp: { "node:http2 echo": 5, "grpc-go": 3 },
  });
  await compare(context, "Authenticate of hot keys, TLS 1.3, 32×1", ours, others, oneEach, {
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
  for (const headers of ["constant", "differing"] as const) {
    const run = loadOf(context, ours, shape, headers);
    if (run === null) {
      continue;
    }
    const ways = [ours, ...baselines];
    const costs = await interleave(context.rounds, Object.fromEntries(ways.map((way) => [way.name, () => run(way)])));
    const ourCosts = costs[ours.name] ?? [];
    figures.push(...ways.flatMap(({ name }) => costFigures(`${name}, ${headers} headers`, costs[name] ?? [])));
    const share = keptShare[headers];
    for (const { name, raw } of baselines) {
      const theirs = costs[name] ?? [];
      const against = { headers, name, ours: ourCosts, theirs };
      const least = targets.speedUp[name];
      const most = targets.cpuOfNetEcho;
      ratios.push(
        ...(raw === undefined
          ? speedUp(against, least === undefined ? undefined : least * share)
          : [cpuRatio(against, most === undefined ? undefined : most / share)]),
      );
    }
  }
  context.print(title, [...figures, ...ratios]);
}

/** In cleartext h2load repeats one header block. It has no certificate to show: over TLS go/load does the same. */
function loadOf(
  context: BenchContext,
  { transport }: RunningWay,
  shape: Shape,
  headers: Headers,
): ((way: RunningWay) => Promise<Cost>) | null {
  const byLane = (way: RunningWay) => context.authenticate(way, { shape, headers, keys: "hot" });
  try {
    if (headers === "differing" || transport !== "cleartext") {
      context.requireLaneLoad();
      return byLane;
    }
    const byH2load = createRepeatedAuthenticate(context, shape);
    return (way) => (way.raw === undefined ? byH2load(way) : byLane(way));
  } catch (error) {
    context.leaveOut(`Authenticate of hot keys with ${headers} headers, ${transport}`, error);
    return null;
  }
}
