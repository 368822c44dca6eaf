import assert from "node:assert/strict";
import { mkdtempDisposableSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { runProgram } from "../support/run-program.ts";
import type { Rig } from "./rig.ts";

const root = resolve(import.meta.dirname, "../../..");
const folder = join(root, "clients/typescript");
const bin = join(root, "node_modules/.bin");

/** The client of Node: its generated code is up to date, and its own tests pass. `npm run check` has its format and types. */
export async function checkTypeScript({ environment }: Rig): Promise<void> {
  using fresh = mkdtempDisposableSync(join(tmpdir(), "token-authority-gen-"));
  const env = { PATH: `${bin}:${process.env.PATH}`, ...environment };
  const generated = await runProgram(join(bin, "buf"), ["generate", "--output", fresh.path], {
    cwd: folder,
    env,
    timeoutMs: 60_000,
  });
  assert.equal(generated.exitCode, 0, generated.stderr);
  assert.deepEqual(
    readTree(join(folder, "gen")),
    readTree(join(fresh.path, "gen")),
    "run buf generate in clients/typescript",
  );
  const tests = await runProgram(join(bin, "vitest"), ["run"], { cwd: folder, env, timeoutMs: 300_000 });
  assert.equal(tests.exitCode, 0, `${tests.stdout}${tests.stderr}`);
  console.log(/\d+ restarts: .*/.exec(tests.stdout)?.[0] ?? "");
}

function readTree(directory: string): ReadonlyMap<string, string> {
  const files = readdirSync(directory, { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".ts"));
  return new Map(files.sort().map((path) => [path, readFileSync(join(directory, path), "utf8")]));
}
