import assert from "node:assert/strict";
import { dirname, join, resolve } from "node:path";
import { type Finished, type RunOptions, runProgram } from "../support/run-program.ts";
import { installGoProgram } from "../support/tools.ts";
import { checkGenerated } from "./check-generated.ts";
import type { Rig } from "./rig.ts";

const root = resolve(import.meta.dirname, "../../..");
const folder = join(root, "clients/go");
const timeoutMs = 6 * 60 * 1000;
const generators = [
  ["google.golang.org/protobuf/cmd/protoc-gen-go", "v1.36.12"],
  ["google.golang.org/grpc/cmd/protoc-gen-go-grpc", "v1.6.2"],
] as const;

/**
 * Checks clients/go: generated code, format, vet, and its tests, with the race detector where there is a C compiler for
 * it.
 */
export async function checkGoClient(rig: Rig, scratch: string): Promise<void> {
  await checkGenerated(folder, "gen", await installGenerators(), join(scratch, "go"));
  assert.equal((await run("gofmt", ["-l", "."])).stdout, "", "gofmt would change these files");
  await run("go", ["vet", "./..."]);
  const race = (await run("go", ["env", "CGO_ENABLED"])).stdout.trim() === "1" ? ["-race"] : [];
  // Most of the tests' time is waiting for processes and for silence.
  const flags = ["-count=1", "-v", "-parallel=6", "-timeout=5m", ...race];
  const { stdout } = await run("go", ["test", ...flags, "./..."], rig.environment);
  for (const [line] of stdout.matchAll(/\d+ restarts, .*/g)) {
    console.log(`     ${line}`);
  }
  assert.match(stdout, /^--- PASS: TestRestartsUnderLoadAreRiddenOut/m);
  assert.doesNotMatch(stdout, /^ *--- SKIP/m);
}

/** The folders of what makes its code, in their own versions. */
async function installGenerators(): Promise<readonly string[]> {
  return await Promise.all(
    generators.map(async ([program, version]) => dirname(await installGoProgram(program, version))),
  );
}

async function run(program: string, args: readonly string[], env: RunOptions["env"] = {}): Promise<Finished> {
  // Another Go than the one that is here would have to be downloaded.
  const options = { timeoutMs, cwd: folder, env: { ...env, GOTOOLCHAIN: "local" } };
  const finished = await runProgram(program, args, options);
  assert.equal(finished.exitCode, 0, `${program} ${args.join(" ")}:\n${finished.stdout}${finished.stderr}`);
  return finished;
}
