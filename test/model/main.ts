// Runs the model of leases for longer than the tests do.
//
//   npm run model -- [--rounds 200] [--seed 1] [--without RULE | --without-each] [--project]
//                        [--calm] [--long-freezes] [--fleet]
//
// --fleet runs nodes over a database, by the project's own rules of nodes; its rules are others: "N1 sent" and so on.
// --project runs the authority's own watchers and the TypeScript client's own cache in place of the model's.
// --without RULE takes one rule away, by its name, and expects faults; --without-each does so for each rule in turn.
import { parseArgs } from "node:util";
import { runFleetRound } from "./fleet/fleet-round.ts";
import { nodeRuleNames, nodeRules } from "./fleet/node-rules.ts";
import type { RoundResult } from "./history.ts";
import { runRound } from "./round.ts";
import { ruleNames, rules } from "./rules.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    without: { type: "string" },
    "without-each": { type: "boolean", default: false },
    project: { type: "boolean", default: false },
    calm: { type: "boolean", default: false },
    "long-freezes": { type: "boolean", default: false },
    fleet: { type: "boolean", default: false },
  },
});
const rounds = Number(values.rounds);
const firstSeed = Number(values.seed);

for (const without of rulesToRemove()) {
  const startMs = performance.now();
  const results: RoundResult[] = [];
  while (results.length < rounds && (without === null || !results.some(isFaulty))) {
    results.push(run(firstSeed + results.length, without));
  }
  report(without, results, performance.now() - startMs);
}

function rulesToRemove(): readonly (string | null)[] {
  const names: readonly string[] = values.fleet ? nodeRuleNames : ruleNames;
  if (values["without-each"]) {
    return names;
  }
  const rule = names.find((name) => name === values.without);
  if (values.without !== undefined && rule === undefined) {
    throw new Error(`there is no rule "${values.without}": there are "${names.join('", "')}"`);
  }
  return [rule ?? null];
}

function run(seed: number, name: string | null): RoundResult {
  const options = { seed, isCalm: values.calm, hasLongFreezes: values["long-freezes"] };
  if (values.fleet) {
    const without = nodeRuleNames.find((rule) => rule === name);
    // What this rule is for does not befall a node otherwise.
    const hasLongFreezes = options.hasLongFreezes || without === "N1 clocks";
    return runFleetRound({ ...options, hasLongFreezes, ...(without === undefined ? {} : { without }) });
  }
  const without = ruleNames.find((rule) => rule === name);
  const pieces = values.project ? "project" : "model";
  return runRound({ ...options, pieces, ...(without === undefined ? {} : { without }) });
}

function meaningOf(name: string): string {
  return new Map<string, string>([...Object.entries(rules), ...Object.entries(nodeRules)]).get(name) ?? "";
}

function isFaulty(result: RoundResult): boolean {
  return faultsOf(result).length > 0;
}

function faultsOf({ stale, wentBack }: RoundResult): readonly string[] {
  return values.fleet ? stale : [...stale, ...wentBack];
}

function report(without: string | null, results: readonly RoundResult[], tookMs: number): void {
  const decisions = results.reduce((sum, result) => sum + result.decisions, 0);
  const changes = results.reduce((sum, result) => sum + result.answeredChanges, 0);
  const waitsMs = results.flatMap((result) => result.waitsMs).sort((left, right) => left - right);
  const [p50, p99, most] = [0.5, 0.99, 1].map((part) => waitsMs[Math.floor(part * (waitsMs.length - 1))]?.toFixed(0));
  const faulty = results.findIndex(isFaulty);
  const isAsItMustBe = (faulty === -1) === (without === null && (values.fleet || !values["long-freezes"]));
  console.log(
    `${isAsItMustBe ? "ok  " : "FAIL"} ${without === null ? "all rules" : `without ${without}: ${meaningOf(without)}`}`,
  );
  console.log(
    `     ${results.length} rounds from seed ${firstSeed} in ${(tookMs / 1000).toFixed(1)} s: ${decisions} decisions, ` +
      `${changes} changes answered after ${p50} ms (p50), ${p99} ms (p99), ${most} ms (most)`,
  );
  if (faulty !== -1) {
    const faults = results.slice(faulty, faulty + 1).flatMap(faultsOf);
    console.log(`     seed ${firstSeed + faulty}: ${faults.length} faults, ${faults[0]}`);
  }
  process.exitCode = isAsItMustBe ? process.exitCode : 1;
}
