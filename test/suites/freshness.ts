// The promise of a revocation, over real processes: an authority, gateways in three languages and an edge behind links
// that fail, and a driver that records when it asked and when it was answered. porcupine judges the record of a round.
//
//   npm run suite:freshness -- [--rounds 200] [--seed N] [--gateways go,python,typescript,edge] [--scenario NAME]
//                              [--no-cache]
//   npm run suite:freshness -- --planted-bugs [--bug NAME]
//
// --planted-bugs shows that the suite would see it: with each of the bugs in a copy of the project, a round must be
// found illegal. What is illegal is kept in a folder that the output names, with porcupine's pictures.
import { mkdtempDisposableSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildChecker } from "./freshness/checker.ts";
import { installFakeClock } from "./freshness/fake-clock.ts";
import { plantedBugs } from "./freshness/planted-bugs.ts";
import { describe, type Played, playRounds, showPlantedBugs } from "./freshness/play-rounds.ts";
import { type GatewayKind, gatewayPrograms } from "./freshness/programs.ts";
import { Rig } from "./freshness/rig.ts";
import { type ScenarioName, scenarios } from "./freshness/scenarios.ts";
import { plantedCopy } from "./support/planted-copy.ts";
import { createRandom, seedFrom } from "./support/random.ts";
import { installGoProgram } from "./support/tools.ts";

const cacheMib = 8;
/** Most are seen within three rounds; W1 in Python, whose lease is late in some of them alone, within about ten. */
const roundsOfBug = 40;
/** A round waits for most of its time. */
const bugsAtATime = 2;
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
  const unseen = await showPlantedBugs(bugs, bugsAtATime, ({ edits, gateways, scenarios }) => {
    const root = plantedCopy(mkdtempSync(join(scratch.path, "copy-")), edits);
    return runRounds({ root, gateways, rounds: roundsOfBug, scenarios });
  });
  const verdict = unseen.length === 0 ? "each was seen" : `not seen: ${unseen.join(", ")}`;
  console.log(`freshness: seed ${seed}: ${bugs.length} planted bugs, ${verdict}`);
  process.exitCode = unseen.length === 0 && bugs.length > 0 ? 0 : 1;
}

async function runRounds(run: Run): Promise<Played<ScenarioName>> {
  const random = createRandom(seed);
  // Short: a socket's path has 107 characters at the most.
  const directory = mkdtempSync(join(scratch.path, "run-"));
  const gateways = await Promise.all(run.gateways.map((kind) => gatewayPrograms[kind](run.root)));
  const { toxiproxy, fakeClockLibrary, checker } = tools;
  const options = { scratch: directory, root: run.root, gateways, toxiproxy, fakeClockLibrary };
  await using rig = await Rig.start({ ...options, cacheMib: values["no-cache"] ? 0 : cacheMib }, random);
  const { rounds, scenarios: names } = run;
  const reports = run.root === projectRoot;
  return await playRounds({ rig, random, rounds, scenarios, names, checker, scratch: directory, reports });
}
