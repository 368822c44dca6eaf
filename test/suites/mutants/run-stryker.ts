import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { runProgram } from "../support/run-program.ts";
import { survivors } from "./survivors.ts";

const root = resolve(import.meta.dirname, "../../..");
const timeoutMs = 40 * 60_000;
const leastScore = 0.9;

type Mutant = {
  readonly mutatorName: string;
  readonly replacement: string;
  readonly status: string;
  readonly location: { readonly start: Position; readonly end: Position };
};
type Position = { readonly line: number; readonly column: number };
type Files = Readonly<Record<string, { readonly source: string; readonly mutants: readonly Mutant[] }>>;

/**
 * Lets Stryker mutate what its configuration names; throws when too many live. Names those without a reason in
 * survivors.ts.
 */
export async function runStryker(scratch: string): Promise<void> {
  const stryker = join(root, "node_modules/@stryker-mutator/core/bin/stryker.js");
  const results = join(scratch, "stryker.json");
  const env = { STRYKER_RESULTS: results };
  const args = [stryker, "run", join(import.meta.dirname, "stryker.config.mjs")];
  const { exitCode, stdout, stderr } = await runProgram(process.execPath, args, { timeoutMs, cwd: root, env });
  assert.equal(exitCode, 0, `${stdout}${stderr}`.slice(-8000));
  const { files } = JSON.parse(readFileSync(results, "utf8")) as { readonly files: Files };
  const texts: string[] = [];
  let [killed, all] = [0, 0];
  for (const [file, { source, mutants }] of Object.entries(files)) {
    const counted = mutants.filter(({ status }) => ["Killed", "Timeout", "Survived", "NoCoverage"].includes(status));
    const living = counted.filter(({ status }) => status === "Survived" || status === "NoCoverage");
    all += counted.length;
    killed += counted.length - living.length;
    texts.push(...living.map((mutant) => describe(file, source, mutant)));
  }
  const unknown = texts.filter((text) => !survivors.some(({ mutant }) => mutant === text));
  const gone = survivors.filter(({ mutant }) => !texts.includes(mutant));
  console.log(`     ${killed} of ${all} mutants killed (${((100 * killed) / all).toFixed(1)} %), ${texts.length} live`);
  for (const { mutant } of gone) {
    console.log(`     lives no more, and may leave survivors.ts: ${mutant}`);
  }
  // Which of them time out, and so count as killed, depends on the load of the machine: only the score is judged.
  for (const mutant of unknown) {
    console.log(`     lives without a reason in survivors.ts: ${mutant}`);
  }
  assert.ok(all > 0 && killed / all >= leastScore, `fewer than ${100 * leastScore} % were killed`);
}

/** What the mutant changes, in words that stay the same while lines come and go. */
function describe(file: string, source: string, { location: { start, end }, replacement }: Mutant): string {
  const lines = source.split("\n").slice(start.line - 1, end.line);
  const last = lines.length - 1;
  const text = lines
    .map((line, at) => line.slice(at === 0 ? start.column - 1 : 0, at === last ? end.column - 1 : undefined).trim())
    .join(" ");
  return `${file}: ${text} -> ${replacement.replaceAll(/\s+/g, " ")}`;
}
