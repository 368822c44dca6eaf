import { openBareStore } from "../bare-store.ts";
import { type BenchContext, runRound } from "../bench-context.ts";
import { printFigures, ratio } from "../figures.ts";
import { interleave } from "../interleave.ts";

/** More would make the big account much bigger than it was. */
const maxInBigAccount = 500;

/** Create one at a time and 64 at a time, beside the store's own statements with nothing around them. */
export async function measureCreate(context: BenchContext): Promise<void> {
  const { authority, population, roundMs } = context;
  const calls = { kind: "create", population } as const;
  const inBigAccount = { kind: "create_in_big_account", population } as const;
  using store = openBareStore(context.copy, population);
  const results = await interleave(context.rounds, {
    alone: async () => (await runRound(context, authority, [1, 1], calls)).callsPerSecond,
    together: async () => (await runRound(context, authority, [8, 8], calls)).callsPerSecond,
    bareAlone: async () => store.createFor(roundMs, 1),
    bareTogether: async () => store.createFor(roundMs, 64),
    big: async () =>
      (await runRound(context, authority, [8, 8], inBigAccount, { maxCalls: maxInBigAccount })).callsPerSecond,
  });
  printFigures("Create, in random small accounts, synchronous=FULL", [
    { name: "one at a time", unit: "calls/s", values: results.alone },
    { name: "64 at a time (8×8)", unit: "calls/s", values: results.together },
    { name: "64 at a time (8×8), in the account with 10 000 tokens", unit: "calls/s", values: results.big },
    { name: "bare better-sqlite3 loop, a transaction for each", unit: "tokens/s", values: results.bareAlone },
    { name: "bare better-sqlite3 loop, 64 in a transaction", unit: "tokens/s", values: results.bareTogether },
    ratio("64 at a time, of one at a time", results.together, results.alone),
    ratio("64 at a time, of the bare loop with a transaction for each", results.together, results.bareAlone),
    ratio("64 at a time, of the bare loop with 64 in a transaction", results.together, results.bareTogether),
    ratio("bare loop: 64 in a transaction, of a transaction for each", results.bareTogether, results.bareAlone),
  ]);
}
