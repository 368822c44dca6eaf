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
  for (const headers of ["constant", "differing"] as const) {
    const ways = [ours, ...baselines];
    const run = loadOf(context, ways, shape, headers);
    if (run === null) {
      continue;
    }
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

/**
 * Constant headers are h2load's: it repeats one header block. Where it cannot go (it has no certificate to show, and speaks nothing
 * but HTTP), go/load repeats its headers. Differing ones are go/load's.
 */
function loadOf(
  context: BenchContext,
  ways: readonly RunningWay[],
  shape: Shape,
  headers: Headers,
): ((way: RunningWay) => Promise<Cost>) | null {
  const isForH2load = ways.every(({ transport, raw }) => transport === "cleartext" && raw === undefined);
  try {
    if (headers === "constant" && isForH2load) {
      return createRepeatedAuthenticate(context, shape);
    }
    context.requireLaneLoad();
    return (way) => context.authenticate(way, { shape, headers, keys: "hot" });
  } catch (error) {
    context.leaveOut(`hot keys with ${headers} headers`, error);
    return null;
  }
}
