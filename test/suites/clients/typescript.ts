import assert from "node:assert/strict";
import { join, resolve } from "node:path";
import { runProgram } from "../support/run-program.ts";
import { checkGenerated } from "./check-generated.ts";
import type { Rig } from "./rig.ts";

const root = resolve(import.meta.dirname, "../../..");
const folder = join(root, "clients/typescript");
const bin = join(root, "node_modules/.bin");

/** Checks the TypeScript client: its generated code, and its own tests. `npm run check` has its format and types. */
export async function checkTypeScriptClient({ environment }: Rig, scratch: string): Promise<void> {
  await checkGenerated(folder, "gen", [], join(scratch, "typescript"));
  const env = { PATH: `${bin}:${process.env.PATH}`, ...environment };
  const tests = await runProgram(join(bin, "vitest"), ["run"], { cwd: folder, env, timeoutMs: 600_000 });
  assert.equal(tests.exitCode, 0, `${tests.stdout}${tests.stderr}`);
  console.log(/\d+ restarts: .*/.exec(tests.stdout)?.[0] ?? "");
}
