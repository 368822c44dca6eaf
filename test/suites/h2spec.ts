// Runs h2spec --strict against the port. What is known to fail stands in h2spec-known-failures.txt; any change to that, for the
// better or the worse, fails this suite: then change the list.
//
// Some cases race: they send what is not allowed behind a request, and fail when the answer is faster. So a difference counts
// when it shows in each of three runs. The Go module proxy serves no later version of h2spec than this.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { startServerProcess } from "./support/server-process.ts";
import { installGoProgram } from "./support/tools.ts";

const version = "v2.2.1+incompatible";
const minCases = 140;
const maxRuns = 3;

type Result = { readonly summary: string; readonly failed: Set<string>; readonly count: number };

const report = createReport("h2spec");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-h2spec-"));

const h2spec = await report.step(`install h2spec ${version}`, () =>
  installGoProgram("github.com/summerwind/h2spec/cmd/h2spec", version),
);
if (h2spec !== null) {
  await report.step("h2spec --strict: as known", () => judge(h2spec));
}
report.close();

async function judge(program: string): Promise<void> {
  const known = readFileSync(join(import.meta.dirname, "h2spec-known-failures.txt"), "utf8")
    .split("\n")
    .filter(Boolean);
  let failedAlways = new Set<string>();
  let failedOnce = new Set<string>();
  for (let number = 1; number <= maxRuns; number += 1) {
    const { summary, failed, count } = await runH2spec(program, number);
    console.log(summary);
    assert.ok(count >= minCases, `only ${count} cases were run`);
    failedAlways = number === 1 ? failed : failedAlways.intersection(failed);
    failedOnce = failedOnce.union(failed);
    if (failedAlways.isSubsetOf(new Set(known)) && failedOnce.isSupersetOf(new Set(known))) {
      break;
    }
  }
  console.log(
    `known to fail: ${known.length}; failed now and then: ${[...failedOnce.difference(failedAlways)].join("; ") || "none"}`,
  );
  assert.deepEqual(
    [...failedAlways].filter((name) => !known.includes(name)),
    [],
    "these fail, and did not",
  );
  assert.deepEqual(
    known.filter((name) => !failedOnce.has(name)),
    [],
    "these pass now: take them from the list",
  );
}

async function runH2spec(program: string, number: number): Promise<Result> {
  const sealingSecret = join(scratch.path, "sealing-secret");
  writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
  await using server = await startServerProcess({ dataDirectory: join(scratch.path, `data-${number}`), sealingSecret });
  const reportFile = join(scratch.path, "report.xml");
  const args = ["--strict", "--host", "127.0.0.1", "--port", String(server.port), "--junit-report", reportFile];
  const { stdout } = await runProgram(program, args, { timeoutMs: 240_000 });
  assert.equal(await server.stop(), 0, "the server ends in good order");
  // Not quite XML: it holds bytes as they came.
  const cases = readFileSync(reportFile, "latin1").split("<testcase ").slice(1);
  const failed = cases.filter((text) => /<(?:failure|error)>/.test(text)).map(nameOf);
  return { summary: stdout.trim().split("\n").at(-1) ?? "", failed: new Set(failed), count: cases.length };
}

function nameOf(text: string): string {
  const match = /package="([^"]*)" classname="([^"]*)"/.exec(text);
  assert.ok(match !== null, text);
  return `${match[1]}: ${match[2]?.replaceAll("&#34;", '"')}`;
}
