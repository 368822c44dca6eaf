import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { delimiter, join, relative, resolve } from "node:path";
import { runProgram } from "../support/run-program.ts";

const root = resolve(import.meta.dirname, "../../..");
const timeoutMs = 60_000;

/** Makes a client's generated code again, in a scratch folder, and throws when it is not what the client has. */
export async function checkGenerated(client: string, generated: string, path: readonly string[], scratch: string) {
  const bin = join(root, "node_modules/.bin");
  const finished = await runProgram(join(bin, "buf"), ["generate", "--output", scratch], {
    cwd: client,
    env: { PATH: [...path, bin, process.env.PATH].join(delimiter) },
    timeoutMs,
  });
  assert.equal(finished.exitCode, 0, finished.stderr);
  const [kept, fresh] = [readTree(join(client, generated)), readTree(join(scratch, generated))];
  const stale = [...new Set([...kept.keys(), ...fresh.keys()])].filter((file) => kept.get(file) !== fresh.get(file));
  assert.deepEqual(
    stale,
    [],
    `${generated} is not that of the contract: run buf generate in ${relative(root, client)}`,
  );
}

function readTree(directory: string): ReadonlyMap<string, string> {
  const files = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = files.map((file) => join(file.parentPath, file.name)).filter((path) => !path.endsWith(".pyc"));
  return new Map(paths.map((path) => [relative(directory, path), readFileSync(path, "utf8")]));
}
