import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { authority } from "../baselines/authority.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { formatNumber } from "../runner/figures.ts";

const shownFunctions = 10;
const locationWidth = 60;

/** Which functions of the authority the CPU's time goes to at 8×8, by node --cpu-prof. A profiled server is slower. */
export async function measureProfile(context: BenchContext): Promise<void> {
  for (const headers of ["constant", "differing"] as const) {
    const directory = join(context.setup.scratch, `profile-${headers}`);
    mkdirSync(directory);
    const server = await context.start(authority({ nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${directory}`] }));
    const startupMs = performance.now() - server.spawnedAtMs;
    const load = { shape: [8, 8], headers, keys: "hot" } as const;
    for (let round = 0; round < context.rounds; round += 1) {
      await context.authenticate(server, load);
    }
    // The profile is written at the end.
    await server[Symbol.asyncDispose]();
    printSelfTimes(`Self times at 8×8, hot keys, ${headers} headers`, busiest(directory, startupMs));
  }
}

type Profile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** Each thread writes a profile: that of the serving one has most in it. */
function busiest(directory: string, skippedMs: number): ReadonlyMap<string, number> {
  const all = readdirSync(directory).map((name) =>
    selfTimes(JSON.parse(readFileSync(join(directory, name), "utf8")) as Profile, skippedMs),
  );
  const total = (times: ReadonlyMap<string, number>) => times.values().reduce((sum, time) => sum + time, 0);
  return all.toSorted((a, b) => total(b) - total(a))[0] ?? new Map();
}

/** Time by function, without the start and what waits. */
function selfTimes({ nodes, samples, timeDeltas }: Profile, skippedMs: number): ReadonlyMap<string, number> {
  const names = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => [
      id,
      `${functionName || "(anonymous)"} ${url.split("/").slice(-2).join("/")}${url === "" ? "" : `:${lineNumber + 1}`}`,
    ]),
  );
  const times = new Map<string, number>();
  let atUs = 0;
  samples.forEach((id, index) => {
    const tookUs = timeDeltas[index] ?? 0;
    atUs += tookUs;
    const name = names.get(id) ?? "";
    if (atUs > skippedMs * 1000 && !name.startsWith("(idle)")) {
      times.set(name, (times.get(name) ?? 0) + tookUs);
    }
  });
  return times;
}

function printSelfTimes(title: string, times: ReadonlyMap<string, number>): void {
  const total = times.values().reduce((sum, time) => sum + time, 0);
  console.log(`\n${title}`);
  const greatest = [...times].toSorted(([, a], [, b]) => b - a).slice(0, shownFunctions);
  for (const [name, time] of greatest) {
    console.log(`  ${name.padEnd(locationWidth)} ${formatNumber((100 * time) / total)} %`);
  }
}
