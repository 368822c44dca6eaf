import { join } from "node:path";
import { authority } from "../baselines/authority.ts";
import { grpcJsWriter } from "../baselines/grpc-js.ts";
import type { CallPlan } from "../loads/calls.ts";
import type { Shape } from "../loads/lane-load.ts";
import { openBareStore } from "../population/bare-store.ts";
import { copyData } from "../population/copy-data.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";

const alone: Shape = [1, 1];
const together: Shape = [8, 8];
const atLeast = 3;
/** More would make the big account much bigger than it was. */
const maxInBigAccount = 500;
/** One in ten of a block's tokens is revoked already, and each connection makes a call that is not counted. */
const revocableShare = 0.8;

/**
 * Create and Revoke, 64 at a time and alone, beside one transaction for each call on the same disk: in grpc-js over the
 * same statements, and in those statements with nothing around them.
 */
export async function measureChanges(context: BenchContext): Promise<void> {
  const { setup } = context;
  const directory = join(setup.scratch, "grpc-js-writer");
  copyData(setup.copy, directory);
  const ours = await context.start(authority());
  const grpcJs = await context.start(grpcJsWriter(directory));
  await measureCreate(context, ours, grpcJs);
  await measureRevoke(context, ours, grpcJs);
}

async function measureCreate(context: BenchContext, ours: RunningWay, grpcJs: RunningWay): Promise<void> {
  const { population, roundMs, rounds, setup } = context;
  using store = openBareStore(setup.copy, population);
  const calls: CallPlan = { kind: "create", population };
  const inBigAccount: CallPlan = { kind: "create_in_big_account", population };
  const rate = async (way: RunningWay, shape: Shape) => (await context.call(way, { shape, calls })).callsPerSecond;
  const results = await interleave(rounds, {
    alone: () => rate(ours, alone),
    together: () => rate(ours, together),
    grpcJs: () => rate(grpcJs, together),
    bareAlone: async () => store.createFor(roundMs, 1),
    bareTogether: async () => store.createFor(roundMs, 64),
    big: async () =>
      (await context.call(ours, { shape: together, calls: inBigAccount, maxCalls: maxInBigAccount })).callsPerSecond,
  });
  context.print("Create, in random small accounts, synchronous=FULL", [
    ...figuresOf(results),
    { name: "64 at a time, in the account with 10 000 tokens", unit: "calls/s", values: results.big },
    ...ratiosOf(results),
  ]);
}

async function measureRevoke(context: BenchContext, ours: RunningWay, grpcJs: RunningWay): Promise<void> {
  const { population, roundMs, rounds, setup } = context;
  using store = openBareStore(setup.copy, population);
  // Each directory has the same tokens. Within one, every round of every arm has a block of its own.
  const blockTokens = Math.floor(population.tokens / (2 * (rounds + 1)));
  const maxCalls = Math.floor(blockTokens * revocableShare);
  const firstOf = (round: number, arm: 0 | 1) => (2 * round + arm) * blockTokens;
  const rate = async (way: RunningWay, shape: Shape, first: number) =>
    (await context.call(way, { shape, calls: { kind: "revoke", population, first }, maxCalls })).callsPerSecond;
  const results = await interleave(rounds, {
    alone: (round) => rate(ours, alone, firstOf(round, 0)),
    together: (round) => rate(ours, together, firstOf(round, 1)),
    grpcJs: (round) => rate(grpcJs, together, firstOf(round, 0)),
    bareAlone: async (round) => store.revokeFor(roundMs, 1, { first: firstOf(round, 0), atMost: maxCalls }),
    bareTogether: async (round) => store.revokeFor(roundMs, 64, { first: firstOf(round, 1), atMost: maxCalls }),
  });
  context.print("Revoke, each token once, synchronous=FULL", [...figuresOf(results), ...ratiosOf(results)]);
}

type Results = Readonly<Record<"alone" | "together" | "grpcJs" | "bareAlone" | "bareTogether", readonly number[]>>;

function figuresOf({ alone, together, grpcJs, bareAlone, bareTogether }: Results): readonly Figure[] {
  return [
    { name: "one at a time", unit: "calls/s", values: alone },
    { name: "64 at a time (8×8)", unit: "calls/s", values: together },
    { name: "grpc-js, 64 at a time, a transaction for each call", unit: "calls/s", values: grpcJs },
    { name: "bare better-sqlite3 loop, a transaction for each", unit: "tokens/s", values: bareAlone },
    { name: "bare better-sqlite3 loop, 64 in a transaction", unit: "tokens/s", values: bareTogether },
  ];
}

function ratiosOf({ alone, together, grpcJs, bareAlone, bareTogether }: Results): readonly Figure[] {
  return [
    ratio("64 at a time, of grpc-js with a transaction for each call", together, grpcJs, { atLeast }),
    ratio("64 at a time, of the bare loop with a transaction for each", together, bareAlone, { atLeast }),
    ratio("64 at a time, of one at a time", together, alone),
    ratio("64 at a time, of the bare loop with 64 in a transaction", together, bareTogether),
    ratio("bare loop: 64 in a transaction, of a transaction for each", bareTogether, bareAlone),
  ];
}
