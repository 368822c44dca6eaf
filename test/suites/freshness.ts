// The promise of a revocation, over real processes: an authority, gateways in three languages and an edge behind links
// that fail, and a driver that records when it asked and when it was answered. porcupine judges the record of a round.
//
//   npm run suite:freshness -- [--rounds 200] [--seed N] [--gateways go,python,typescript,edge] [--scenario NAME]
//                              [--no-cache]
//   npm run suite:freshness -- --planted-bugs [--bug NAME]
//
// --planted-bugs shows that the suite would see it: with each of the bugs in a copy of the project, a round must be
// found illegal. What is illegal is kept in a folder that the output names, with porcupine's pictures.
import { mkdirSync, mkdtempDisposableSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildChecker, type Finding, judge } from "./freshness/checker.ts";
import { installFakeClock } from "./freshness/fake-clock.ts";
import { type PlantedBug, plantedBugs } from "./freshness/planted-bugs.ts";
import { type GatewayKind, gatewayPrograms } from "./freshness/programs.ts";
import { Rig } from "./freshness/rig.ts";
import { Round } from "./freshness/round.ts";
import { type ScenarioName, scenarios } from "./freshness/scenarios.ts";
import { plantedCopy } from "./support/planted-copy.ts";
import { createRandom, type Random, seedFrom } from "./support/random.ts";
import { installGoProgram } from "./support/tools.ts";

const cacheMib = 8;
const roundsOfBug = 20;
const maxRoundMs = 60_000;
const allScenarios = Object.keys(scenarios) as ScenarioName[];

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string" },
    gateways: { type: "string", default: "go,python,typescript,edge" },
    scenario: { type: "string" },
    "no-cache": { type: "boolean", default: false },
    "planted-bugs": { type: "boolean", default: false },
    bug: { type: "string" },
  },
});
const seed = seedFrom(values.seed);
const projectRoot = resolve(import.meta.dirname, "../..");

using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-freshness-"));
const tools = {
  checker: await buildChecker(),
  toxiproxy: await installGoProgram("github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0"),
  fakeClockLibrary: await installFakeClock(),
};

type Run = {
  readonly root: string;
  readonly gateways: readonly GatewayKind[];
  readonly rounds: number;
  readonly scenarios: readonly ScenarioName[];
};

type Total = {
  rounds: number;
  answers: number;
  cacheHits: number;
  undecided: number;
  readonly waitsMs: number[];
  longestCall: { readonly scenario: ScenarioName; readonly ms: number } | null;
  illegal: { readonly scenario: ScenarioName; readonly finding: Finding } | null;
};

if (values["planted-bugs"]) {
  await runPlantedBugs();
} else {
  await runAsItIs();
}

async function runAsItIs(): Promise<void> {
  const total = await runRounds({
    root: projectRoot,
    gateways: values.gateways.split(",") as GatewayKind[],
    rounds: Number(values.rounds),
    scenarios: values.scenario === undefined ? allScenarios : [values.scenario as ScenarioName],
  });
  console.log(`freshness: seed ${seed}: ${describe(total)}, ${total.illegal === null ? "all legal" : "ILLEGAL"}`);
  process.exitCode = total.illegal === null ? 0 : 1;
}

async function runPlantedBugs(): Promise<void> {
  const bugs = plantedBugs.filter(({ name }) => values.bug === undefined || values.bug === name);
  const unseen: string[] = [];
  for (const bug of bugs) {
    const total = await runRounds(runOf(bug));
    const verdict = total.illegal === null ? "NOT SEEN" : `seen, where ${total.illegal.scenario}`;
    console.log(`${total.illegal === null ? "FAIL" : "ok  "} ${bug.name}: ${verdict}; ${describe(total)}`);
    if (total.illegal === null) {
      unseen.push(bug.name);
    }
  }
  const verdict = unseen.length === 0 ? "each was seen" : `not seen: ${unseen.join(", ")}`;
  console.log(`freshness: seed ${seed}: ${bugs.length} planted bugs, ${verdict}`);
  process.exitCode = unseen.length === 0 && bugs.length > 0 ? 0 : 1;
}

function runOf({ edits, gateways, scenarios }: PlantedBug): Run {
  const root = plantedCopy(mkdtempSync(join(scratch.path, "copy-")), edits);
  return { root, gateways, rounds: roundsOfBug, scenarios };
}

/** Every scenario in turn, in an order of the seed's, until a round is illegal. */
async function runRounds(run: Run): Promise<Total> {
  const random = createRandom(seed);
  const total: Total = {
    rounds: 0,
    answers: 0,
    cacheHits: 0,
    undecided: 0,
    waitsMs: [],
    longestCall: null,
    illegal: null,
  };
  // Short: a socket's path has 107 characters at the most.
  const directory = mkdtempSync(join(scratch.path, "run-"));
  const gateways = await Promise.all(run.gateways.map((kind) => gatewayPrograms[kind](run.root)));
  const { toxiproxy, fakeClockLibrary } = tools;
  const options = { scratch: directory, root: run.root, gateways, toxiproxy, fakeClockLibrary };
  await using rig = await Rig.start({ ...options, cacheMib: values["no-cache"] ? 0 : cacheMib }, random);
  let waiting: ScenarioName[] = [];
  while (total.rounds < run.rounds && total.illegal === null) {
    waiting = waiting.length === 0 ? shuffled(run.scenarios, random) : waiting;
    const scenario = waiting.pop();
    if (scenario !== undefined) {
      await runRound(rig, random, scenario, total);
    }
    if (total.rounds % 10 === 0 && run.root === projectRoot) {
      console.log(`round ${total.rounds}: ${describe(total)}`);
    }
  }
  return total;
}

async function runRound(rig: Rig, random: Random, scenario: ScenarioName, total: Total): Promise<void> {
  const round = new Round(rig, random);
  await within(maxRoundMs, scenario, round.run(scenarios[scenario]));
  const path = join(scratch.path, "history.jsonl");
  round.history.writeTo(path);
  const pictures = join(scratch.path, "pictures");
  mkdirSync(pictures, { recursive: true });
  const finding = await judge(tools.checker, path, pictures);
  total.rounds += 1;
  total.answers += round.history.answers;
  total.cacheHits += round.history.cacheHits;
  total.undecided += round.history.undecided;
  total.waitsMs.push(...round.waitsMs);
  const ms = Math.max(0, ...round.callsMs);
  total.longestCall = ms > (total.longestCall?.ms ?? 0) ? { scenario, ms } : total.longestCall;
  if (finding.result !== "Ok") {
    total.illegal = { scenario, finding };
    await keep(round, scenario, finding);
  }
}

/** A round without an end is a fault of the suite, or a call that is never answered. */
async function within(ms: number, scenario: ScenarioName, running: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const isLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the round where ${scenario} does not end`)), ms);
  });
  await Promise.race([running, isLate]).finally(() => clearTimeout(timer));
}

/** Pictures that are to be looked at outlive the suite; those of a planted bug do not. */
async function keep(round: Round, scenario: ScenarioName, { result, violations }: Finding): Promise<void> {
  if (values["planted-bugs"]) {
    return;
  }
  const folder = mkdtempSync(join(tmpdir(), "token-authority-freshness-illegal-"));
  const path = join(folder, "history.jsonl");
  round.history.writeTo(path);
  console.log(`${result}, where ${scenario}: ${violations.length} violations; history and pictures are in ${folder}`);
  await judge(tools.checker, path, folder);
}

function shuffled<T>(list: readonly T[], random: Random): T[] {
  const rest = [...list];
  return list.flatMap(() => rest.splice(random.below(rest.length), 1));
}

function describe({ rounds, answers, cacheHits, undecided, waitsMs, longestCall }: Total): string {
  const sorted = waitsMs.toSorted((left, right) => left - right);
  const [p50, p99] = [0.5, 0.99].map((part) => sorted[Math.floor(part * (sorted.length - 1))]?.toFixed(0));
  return (
    `${rounds} rounds, ${answers} answers, ${cacheHits} of them from caches, ${undecided} undecided; ` +
    `${sorted.length} changes took ${p50} ms (p50), ${p99} ms (p99), ` +
    `the longest call ${longestCall?.ms.toFixed(0)} ms, where ${longestCall?.scenario}`
  );
}
