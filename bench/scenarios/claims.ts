import { authority } from "../baselines/authority.ts";
import { tonic } from "../baselines/tonic.ts";
import type { LaneLoad, Shape } from "../loads/lane-load.ts";
import { createRepeatedAuthenticate, createRepeatedCall } from "../loads/repeated-authenticate.ts";
import { warmDatabase } from "../population/warm-database.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Figure, formatNumber, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { authenticateBeside, createsInFlight, p99s } from "./beside.ts";
import { checkOf } from "./check.ts";
import { costFigures, cpus, rates } from "./cost.ts";

/** What must hold of hot keys in each shape: CPU a call, of tonic's at the most. */
const shapes: readonly (readonly [shape: Shape, atMost: number])[] = [
  [[8, 8], 0.65],
  [[32, 1], 1],
  [[1, 1], 1.1],
];
const eightByEight: Shape = [8, 8];

/** The figures that the project promises, each as the ratio of two arms that run in turn on one core. */
export async function measureClaims(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  warmDatabase(context.setup);
  const ours = await context.start(authority());
  const beside = await context.startAll([tonic]);
  const figures = [
    ...(await claimsOfKeys(context, ours)),
    ...(await claimsBesideTonic(context, ours, beside)),
    ...(await claimsOfCheck(context, ours)),
    ...(await claimsBesideCreates(context, ours)),
  ];
  context.print(`What is promised, with ${formatNumber(context.population.tokens)} tokens`, figures);
}

async function claimsOfKeys(context: BenchContext, server: RunningWay): Promise<readonly Figure[]> {
  const by = (keys: LaneLoad["keys"], headers: LaneLoad["headers"]) => () =>
    context.authenticate(server, { shape: eightByEight, keys, headers });
  const results = await interleave(context.rounds, {
    hot: by("hot", "constant"),
    differing: by("hot", "differing"),
    random: by("random", "constant"),
  });
  return [
    ...costFigures("random keys, 8×8", results.random),
    ratio("random keys: CPU a call, of hot ones", cpus(results.random), cpus(results.hot), { atMost: 3.5 }),
    ratio("differing headers, 8×8: calls, of constant ones", rates(results.differing), rates(results.hot), {
      atLeast: 0.65,
    }),
  ];
}

async function claimsBesideTonic(
  context: BenchContext,
  server: RunningWay,
  others: readonly RunningWay[],
): Promise<readonly Figure[]> {
  const figures: Figure[] = [];
  for (const [shape, atMost] of shapes) {
    const load = { shape, keys: "hot", headers: "constant" } as const;
    const name = `hot keys, ${shape.join("×")}`;
    for (const other of others) {
      const results = await interleave(context.rounds, {
        ours: () => context.authenticate(server, load),
        theirs: () => context.authenticate(other, load),
      });
      figures.push(
        { name: `${name}: server CPU a call`, unit: "us", values: cpus(results.ours) },
        { name: `${name}: ${other.name}'s CPU a call`, unit: "us", values: cpus(results.theirs) },
        ratio(`${name}: CPU a call, of ${other.name}'s`, cpus(results.ours), cpus(results.theirs), { atMost }),
      );
    }
  }
  return figures;
}

async function claimsOfCheck(context: BenchContext, server: RunningWay): Promise<readonly Figure[]> {
  try {
    const authenticate = createRepeatedAuthenticate(context, eightByEight);
    const check = createRepeatedCall(context, eightByEight, { name: "check", ...checkOf(context.setup.hotKey) });
    const results = await interleave(context.rounds, {
      authenticate: () => authenticate(server),
      check: () => check(server),
    });
    return [
      ratio("Check: CPU a call, of Authenticate's", cpus(results.check), cpus(results.authenticate), { atMost: 1.75 }),
    ];
  } catch (error) {
    context.leaveOut("Check beside Authenticate", error);
    return [];
  }
}

async function claimsBesideCreates(context: BenchContext, server: RunningWay): Promise<readonly Figure[]> {
  const results = await interleave(context.rounds, {
    idle: () => authenticateBeside(context, server, null),
    creates: () => authenticateBeside(context, server, createsInFlight(context)),
  });
  return [
    { name: "64 Creates in flight: p99", unit: "us", values: p99s(results.creates), target: { atMost: 5000 } },
    ratio("64 Creates in flight: p99, of idle", p99s(results.creates), p99s(results.idle)),
  ];
}
