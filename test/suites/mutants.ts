// Bugs that the tests must see. First small ones that were thought of, planted one by one in a copy of the tree: each
// must turn one of its tests red. Then those that Stryker makes of the rules, of who may call, and of the readers of
// bytes.
//
//   npm run suite:mutants -- [--only TEXT] [--planted] [--stryker]
import assert from "node:assert/strict";
import { chmodSync, mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type PlantedBug, readPlantedBugs } from "./mutants/read-bugs.ts";
import { runStryker } from "./mutants/run-stryker.ts";
import { plant, plantedCopy } from "./support/planted-copy.ts";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";

const timeoutMs = 15 * 60_000;
/** So many bugs are looked for at once, each in a copy of its own. */
const lanes = 2;

/** `title` is a test's own name, `fullName` has those of the groups around it as well. */
type Test = { readonly status: string; readonly title: string; readonly fullName: string };
type TestRun = { readonly passed: number; readonly failed: readonly Test[]; readonly output: string };

const { values } = parseArgs({
  options: { only: { type: "string" }, planted: { type: "boolean" }, stryker: { type: "boolean" } },
});
/** The tests that saw a bug. */
const seeing: string[] = [];
const isEverything = values.planted !== true && values.stryker !== true;
const report = createReport("mutants");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-mutants-"));
// Some tests become another user, who must be able to read the copy.
chmodSync(scratch.path, 0o755);

if (isEverything || values.planted === true) {
  const bugs = await readPlantedBugs();
  await plantAll(bugs.filter(({ name }) => name.includes(values.only ?? "")));
}
if (isEverything || values.stryker === true) {
  await report.step("Stryker", () => runStryker(scratch.path));
}
report.close();

async function plantAll(bugs: readonly PlantedBug[]): Promise<void> {
  // A test may read any file of the project.
  const copies = Array.from({ length: lanes }, (_, lane) => plantedCopy(join(scratch.path, `copy-${lane}`), []));
  const waiting = bugs.values();
  await Promise.all(
    copies.map(async (copy) => {
      for (const bug of waiting) {
        await plantOne(copy, bug);
      }
    }),
  );
  await report.step("without the bugs, every test that saw one is green", async () => {
    // What is red here only while the machine is busy elsewhere may try again: the tests themselves are judged by
    // `npm test`.
    const flags = ["--maxWorkers=2", "--retry=2", only(seeing)];
    const files = [...new Set(bugs.flatMap(({ tests }) => tests))];
    const { passed, failed, output } = await runTests(copies[0] ?? "", files, flags);
    assert.ok(passed > 0 && failed.length === 0, `${namesOf(failed).join("\n")}\n${output}`);
  });
}

async function plantOne(copy: string, { name, tests, seenBy, ...edit }: PlantedBug): Promise<void> {
  await report.step(`${name} (${edit.file})`, async () => {
    const takeBack = plant(copy, edit);
    // What does not come within seconds does not come: most of these tests wait for something that the bug keeps away.
    const flags = ["--maxWorkers=1", "--testTimeout=15000", "--expect.poll.timeout=5000"];
    const named = seenBy === undefined ? [] : [only([seenBy])];
    const { failed, output } = await runTests(copy, tests, [...flags, ...named]).finally(takeBack);
    assert.ok(failed.length > 0, `no test saw it:\n${output}`);
    console.log(`     seen by: ${namesOf(failed)[0]}`);
    seeing.push(...failed.map(({ title }) => title));
  });
}

/** Of the tests, those with these texts in their names. */
function only(texts: readonly string[]): string {
  return `--testNamePattern=${texts.map((text) => RegExp.escape(text)).join("|")}`;
}

function namesOf(tests: readonly Test[]): string[] {
  return tests.map(({ fullName }) => fullName);
}

/** Until one fails. A test file that cannot be loaded is no test that failed. */
async function runTests(copy: string, tests: readonly string[], more: readonly string[]): Promise<TestRun> {
  const results = join(copy, ".results.json");
  writeFileSync(results, "");
  const vitest = join(copy, "node_modules/vitest/vitest.mjs");
  const flags = ["run", "--bail=1", "--reporter=json", `--outputFile=${results}`, ...more];
  const { stdout, stderr } = await runProgram(process.execPath, [vitest, ...flags, ...tests], { timeoutMs, cwd: copy });
  const text = readFileSync(results, "utf8");
  const { numPassedTests = 0, testResults = [] } = text === "" ? {} : JSON.parse(text);
  const all: readonly Test[] = testResults.flatMap(
    (file: { readonly assertionResults: readonly Test[] }) => file.assertionResults,
  );
  const failed = all.filter(({ status }) => status === "failed");
  return { passed: numPassedTests, failed, output: `${stdout}${stderr}`.slice(-4000) };
}
