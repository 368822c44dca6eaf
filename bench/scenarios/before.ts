import { statSync } from "node:fs";
import { join } from "node:path";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { authority } from "../baselines/authority.ts";
import { treeBefore } from "../baselines/tree-before.ts";
import type { CallPlan } from "../loads/calls.ts";
import type { LaneLoad, Shape } from "../loads/lane-load.ts";
import { readWhole, warmDatabase } from "../population/warm-database.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Figure, formatNumber } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { cpuRatio } from "./cost.ts";

const shape: Shape = [8, 8];
const name = "the tree before";
const atMost = 1.02;
/** One in ten of a block's tokens is revoked already, and each connection makes a call that is not counted. */
const revocableShare = 0.8;

/** What a change of the project costs those who do not use what is new in it: this tree beside the one before. */
export async function measureBefore(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  const { setup, population, before } = context;
  const bytes = statSync(dataFiles(setup.directory).database).size;
  const directory = join(setup.scratch, "before");
  const tree = treeBefore(before, directory, population);
  warmDatabase(setup);
  readWhole(dataFiles(directory).database);
  const ours = await context.start(authority());
  const theirs = await context.start(tree.way);
  context.print(`Beside the tree before, with ${formatNumber(population.tokens)} tokens, 8×8`, [
    await authenticate(context, ours, theirs, "hot"),
    await authenticate(context, ours, theirs, "random"),
    ...(await changes(context, ours, theirs)),
    {
      name: "bytes a token, as seeded, of the tree before's",
      unit: "x",
      values: [bytes / tree.bytes],
      target: { atMost: 1.05 },
    },
  ]);
}

async function authenticate(
  context: BenchContext,
  ours: RunningWay,
  theirs: RunningWay,
  keys: LaneLoad["keys"],
): Promise<Figure> {
  const load = { shape, keys, headers: "constant" } as const;
  const results = await interleave(context.rounds, {
    ours: () => context.authenticate(ours, load),
    theirs: () => context.authenticate(theirs, load),
  });
  return cpuRatio({ load: `Authenticate of ${keys} keys`, name, ...results }, atMost);
}

async function changes(context: BenchContext, ours: RunningWay, theirs: RunningWay): Promise<readonly Figure[]> {
  const { population, rounds } = context;
  const create: CallPlan = { kind: "create", population };
  const created = await interleave(rounds, {
    ours: () => context.call(ours, { shape, calls: create }),
    theirs: () => context.call(theirs, { shape, calls: create }),
  });
  const blockTokens = Math.floor(population.tokens / (rounds + 1));
  const revoke = (way: RunningWay, round: number) =>
    context.call(way, {
      shape,
      calls: { kind: "revoke", population, first: round * blockTokens },
      maxCalls: Math.floor(blockTokens * revocableShare),
    });
  const revoked = await interleave(rounds, {
    ours: (round) => revoke(ours, round),
    theirs: (round) => revoke(theirs, round),
  });
  return [
    cpuRatio({ load: "Create", name, ...created }, undefined),
    cpuRatio({ load: "Revoke", name, ...revoked }, 1.03),
  ];
}
