// Three nodes of two threads on one PostgreSQL with a synchronous standby, gateways in three languages and edges, and
// all that fails between them. porcupine judges who accepted a key after it was revoked, and nothing that was answered
// may be lost.
//
//   npm run suite:nodes -- [--rounds 50] [--seed N] [--scenario NAME]
//   npm run suite:nodes -- --kills 200 [--seed N]
//   npm run suite:nodes -- --outages
//   npm run suite:nodes -- --planted-bugs [--bug NAME]
//
// --kills kills nodes and PostgreSQL with kill -9 under load, and looks for every answered change after that. --outages
// shows what callers see of an outage and of a failover, and prints how long a revocation takes. --planted-bugs shows
// that the suite would see each of the bugs in a copy of the project.
import { mkdtempDisposableSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { buildChecker } from "./freshness/checker.ts";
import { installFakeClock } from "./freshness/fake-clock.ts";
import { describe, type Played, playRounds, showPlantedBugs } from "./freshness/play-rounds.ts";
import { type GatewayKind, gatewayPrograms } from "./freshness/programs.ts";
import { Fleet } from "./nodes/fleet.ts";
import { killAndVerify } from "./nodes/kills.ts";
import { showOutages } from "./nodes/outages.ts";
import { plantedBugs } from "./nodes/planted-bugs.ts";
import { type NodeScenarioName, nodeScenarios } from "./nodes/scenarios.ts";
import { plantedCopy } from "./support/planted-copy.ts";
import { createRandom, seedFrom } from "./support/random.ts";
import { installGoProgram } from "./support/tools.ts";

const cacheMib = 8;
/** Most are seen within three rounds; N3, which the next poll would hide, within about ten. */
const roundsOfBug = 40;
const bugsAtATime = 2;
const projectRoot = resolve(import.meta.dirname, "../..");
const allScenarios = Object.keys(nodeScenarios) as NodeScenarioName[];
/** A row has one for each node. */
const kindsByNode = [
  ["go", "python", "typescript"],
  ["python", "typescript", "edge"],
  ["typescript", "edge", "go"],
] as const;
const allGateways: readonly GatewayKind[] = kindsByNode.flat();

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "50" },
    seed: { type: "string" },
    scenario: { type: "string" },
    kills: { type: "string" },
    outages: { type: "boolean", default: false },
    "planted-bugs": { type: "boolean", default: false },
    bug: { type: "string" },
  },
});
const seed = seedFrom(values.seed);
const random = createRandom(seed);

using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-nodes-"));
const checker = await buildChecker();
const toxiproxy = await installGoProgram("github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0");
const fakeClockLibrary = await installFakeClock();

type Run = {
  readonly root: string;
  readonly nodes: number;
  readonly gateways: readonly GatewayKind[];
};

if (values["planted-bugs"]) {
  await runPlantedBugs();
} else if (values.kills !== undefined) {
  await runKills(Number(values.kills));
} else if (values.outages) {
  await runOutages();
} else {
  await runAsItIs();
}

async function runAsItIs(): Promise<void> {
  const names = values.scenario === undefined ? allScenarios : [values.scenario as NodeScenarioName];
  const run = { root: projectRoot, nodes: 3, gateways: allGateways };
  const total = await playOn(run, names, Number(values.rounds));
  console.log(`nodes: seed ${seed}: ${describe(total)}, ${total.illegal === null ? "all legal" : "ILLEGAL"}`);
  process.exitCode = total.illegal === null ? 0 : 1;
}

async function runKills(rounds: number): Promise<void> {
  const faults = await killAndVerify((onLine) => start({ root: projectRoot, nodes: 3, gateways: [], onLine }), {
    rounds,
    random,
  });
  console.log(`nodes: seed ${seed}: ${faults.summary}`);
  process.exitCode = faults.count === 0 ? 0 : 1;
}

async function runOutages(): Promise<void> {
  await showOutages((diskMiB) => start({ root: projectRoot, nodes: 3, gateways: allGateways, diskMiB }), random);
}

async function runPlantedBugs(): Promise<void> {
  const bugs = plantedBugs.filter(({ name }) => values.bug === undefined || values.bug === name);
  const unseen = await showPlantedBugs(bugs, bugsAtATime, ({ edits, scenarios, gateways }) => {
    const root = plantedCopy(mkdtempSync(join(scratch.path, "copy-")), edits);
    return playOn({ root, nodes: 2, gateways }, scenarios, roundsOfBug);
  });
  const verdict = unseen.length === 0 ? "each was seen" : `not seen: ${unseen.join(", ")}`;
  console.log(`nodes: seed ${seed}: ${bugs.length} planted bugs, ${verdict}`);
  process.exitCode = unseen.length === 0 && bugs.length > 0 ? 0 : 1;
}

async function playOn(run: Run, names: readonly NodeScenarioName[], rounds: number): Promise<Played> {
  await using rig = await start(run);
  const reports = run.root === projectRoot;
  const inspect = () => rig.faults();
  const common = { random: createRandom(seed), rounds, scenarios: nodeScenarios, names, checker, reports, inspect };
  const total = await playRounds({ rig, ...common, scratch: rig.scratch });
  if (total.illegal === null && reports) {
    await rig.verifyJournal(null);
  }
  return total;
}

async function start({
  root,
  nodes,
  gateways,
  ...rest
}: Run & { readonly onLine?: (line: string) => void; readonly diskMiB?: number | undefined }): Promise<Fleet> {
  // Short: a socket's path has 107 characters at the most.
  const directory = mkdtempSync(join(scratch.path, "run-"));
  const programs = await Promise.all(gateways.map((kind) => gatewayPrograms[kind](root)));
  const options = { scratch: directory, root, nodes, gateways: programs, cacheMib, toxiproxy, fakeClockLibrary };
  return Fleet.start({ ...options, ...rest }, createRandom(seed));
}
