import { authority } from "../baselines/authority.ts";
import { warmDatabase } from "../population/warm-database.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { formatNumber } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { costFigures, rates } from "./cost.ts";

/** Authenticate of uniformly random keys: all but some are not in memory, and cost a read. */
export async function measureRandom(context: BenchContext): Promise<void> {
  context.requireLaneLoad();
  warmDatabase(context.setup);
  const server = await context.start(authority());
  const load = { shape: [8, 8], keys: "random" } as const;
  const results = await interleave(context.rounds, {
    constant: () => context.authenticate(server, { ...load, headers: "constant" }),
    differing: () => context.authenticate(server, { ...load, headers: "differing" }),
    hot: () => context.authenticate(server, { ...load, headers: "differing", keys: "hot" }),
  });
  const target = { atLeast: 30_000 };
  const { anonymousMib, residentMib } = server.memory();
  context.print(`Uniformly random keys of ${formatNumber(context.population.tokens)} tokens, 8×8`, [
    { name: "constant headers", unit: "calls/s", values: rates(results.constant), target },
    { name: "differing headers", unit: "calls/s", values: rates(results.differing), target },
    ...costFigures("differing headers", results.differing).slice(1),
    { name: "differing headers: p99", unit: "us", values: results.differing.map(({ known }) => known.p99Us) },
    ...costFigures("hot keys, differing headers", results.hot),
    {
      name: "RssAnon after it, with the default cache",
      unit: "MB",
      values: [megabytes(anonymousMib)],
      target: { atMost: 300 },
    },
    { name: "VmRSS after it", unit: "MB", values: [megabytes(residentMib)] },
  ]);
}

function megabytes(mebibytes: number): number {
  return (mebibytes * 2 ** 20) / 1e6;
}
