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

type TestRun = { readonly passed: number; readonly failed: readonly string[]; readonly output: string };

const { values } = parseArgs({
  options: { only: { type: "string" }, planted: { type: "boolean" }, stryker: { type: "boolean" } },
});
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
  await report.step("as it stands, every test that a planted bug must turn red is green", async () => {
    const [named, unnamed] = [bugs.filter(isNamed), bugs.filter((bug) => !isNamed(bug))];
    for (const group of [named, unnamed].filter(({ length }) => length > 0)) {
      const tests = [...new Set(group.flatMap((bug) => bug.tests))];
      // What is red here only while the machine is busy elsewhere may try again: the tests themselves are judged by
      // `npm test`.
      const flags = ["--maxWorkers=2", "--retry=2", ...only(group)];
      const { passed, failed, output } = await runTests(copies[0] ?? "", tests, flags);
      assert.ok(passed > 0 && failed.length === 0, `${failed.join("\n")}\n${output}`);
    }
  });
  const waiting = bugs.values();
  await Promise.all(
    copies.map(async (copy) => {
      for (const bug of waiting) {
        await plantOne(copy, bug);
      }
    }),
  );
}

async function plantOne(copy: string, bug: PlantedBug): Promise<void> {
  const { name, tests, seenBy: _, ...edit } = bug;
  await report.step(`${name} (${edit.file})`, async () => {
    const takeBack = plant(copy, edit);
    // What does not come within seconds does not come: most of these tests wait for something that the bug keeps away.
    const flags = ["--maxWorkers=1", "--testTimeout=15000", "--expect.poll.timeout=5000", ...only([bug])];
    const { failed, output } = await runTests(copy, tests, flags);
    takeBack();
    assert.ok(failed.length > 0, `no test saw it:\n${output}`);
    console.log(`     seen by: ${failed[0]}`);
  });
}

function isNamed({ seenBy }: PlantedBug): boolean {
  return seenBy !== undefined;
}

/** Of the tests, those that are named. */
function only(bugs: readonly PlantedBug[]): string[] {
  const names = bugs.flatMap(({ seenBy }) => seenBy ?? []).map((name) => RegExp.escape(name));
  return names.length === 0 ? [] : [`--testNamePattern=${names.join("|")}`];
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
  const all: readonly { readonly status: string; readonly fullName: string }[] = testResults.flatMap(
    (file: { readonly assertionResults: readonly object[] }) => file.assertionResults,
  );
  const failed = all.filter(({ status }) => status === "failed").map(({ fullName }) => fullName);
  return { passed: numPassedTests, failed, output: `${stdout}${stderr}`.slice(-4000) };
}
