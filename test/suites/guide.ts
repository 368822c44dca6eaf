// The commands of README's five minutes, docs/rest.md, docs/operators-day.md, docs/edge.md, docs/getting-started.md,
// docs/many-machines.md and docs/operating.md, as they stand there, one after the other in one shell, in a copy of the
// project. What stands behind "# prints" must be in the answer. Only the ports are others.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type Block, blocksOf } from "./guide/blocks.ts";
import { copyProject } from "./support/planted-copy.ts";
import { freePort } from "./support/ports.ts";
import { createReport } from "./support/report.ts";
import { installDebianProgram, unpackDebianPackages } from "./support/tools.ts";

const timeoutMs = 11 * 60 * 1000;
const root = resolve(import.meta.dirname, "../..");
/** Each has more checked commands than this, or the suite has not seen them. */
const moreCheckedThan = {
  "README.md": 3,
  "docs/rest.md": 5,
  "docs/operators-day.md": 20,
  "docs/edge.md": 8,
  "docs/getting-started.md": 5,
  "docs/many-machines.md": 15,
  "docs/operating.md": 5,
};
const guides = Object.keys(moreCheckedThan);
/** As the guides and the examples for Envoy have them. */
const ports = ["50051", "50052", "50053", "9464", "9465", "9466", "8080", "8081"] as const;
const anyKey = /\b([sr]k_(?:live|test)_)[0-9A-Za-z]{38}\b/g;

const report = createReport("guide");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-guide-"));
const project = join(scratch.path, "project");
const outputs = join(scratch.path, "outputs");

const jq = await report.step("unpack jq", () => unpackDebianPackages(["jq", "libjq1", "libonig5"]));
await report.step("install PostgreSQL", () => installDebianProgram("psql", "postgresql"));
const moved = await report.step("a copy of the project, with free ports for those of the guides", copyWithFreePorts);
if (jq !== null && moved !== null) {
  const blocks = guides.flatMap((guide) => blocksOf(guide, moved(readFileSync(join(root, guide), "utf8"))));
  await report.step("all guides have commands, and say what they print", () => requireExpectations(blocks));
  const ending = await run(blocks, {
    PATH: `${jq.path}:${process.env.PATH}`,
    LD_LIBRARY_PATH: jq.libraryPath,
    // The settings that the guides leave at their defaults.
    TOKEN_AUTHORITY_LISTEN: moved("127.0.0.1:50051"),
    TOKEN_AUTHORITY_ADMIN_LISTEN: moved("127.0.0.1:9464"),
    // Another Go than the one that is here would have to be downloaded.
    GOTOOLCHAIN: "local",
  });
  const begun = blocks.filter((_, at) => existsSync(outputOf(at, 0)));
  for (const [at, block] of begun.entries()) {
    await report.step(`${block.place} ${block.heading}`, () => check(block, at));
  }
  await report.step("every command was run, and none has failed", () =>
    assert.equal(ending, "exit code 0", lastOutput(begun)),
  );
}
report.close();

/** Returns what puts the free ports into a text. */
async function copyWithFreePorts(): Promise<(text: string) => string> {
  const free = await Promise.all(ports.map(() => freePort()));
  const move = (text: string) =>
    ports.reduce((changed, port, at) => changed.replaceAll(new RegExp(`\\b${port}\\b`, "g"), String(free[at])), text);
  copyProject(project);
  for (const example of ["envoy", "many-machines"]) {
    const envoy = join(project, "examples", example, "envoy.yaml");
    writeFileSync(envoy, move(readFileSync(envoy, "utf8")));
  }
  return move;
}

function requireExpectations(blocks: readonly Block[]): void {
  for (const [guide, bound] of Object.entries(moreCheckedThan)) {
    const parts = blocks.filter(({ place }) => place.startsWith(`${guide}:`)).flatMap((block) => block.parts);
    assert.ok(parts.filter(({ expected }) => expected.length > 0).length > bound, guide);
  }
}

/** Runs them all in one `bash -e`, and what it left running is ended with it. Returns how it ended. */
async function run(blocks: readonly Block[], env: Readonly<Record<string, string>>): Promise<string> {
  mkdirSync(outputs);
  const script = blocks.flatMap((block, at) =>
    block.parts.map(({ commands }, part) => `exec >${outputOf(at, part)} 2>&1\n${commands}\n`),
  );
  const file = join(scratch.path, "guide.sh");
  writeFileSync(file, script.join(""));
  const shell = spawn("bash", ["-e", file], {
    cwd: project,
    env: { ...process.env, ...env },
    stdio: "ignore",
    detached: true,
  });
  const timer = setTimeout(endGroup, timeoutMs);
  const [exitCode, signal] = await once(shell, "exit");
  clearTimeout(timer);
  endGroup();
  return signal === null ? `exit code ${exitCode}` : `it took more than ${timeoutMs} ms`;

  function endGroup(): void {
    try {
      process.kill(-Number(shell.pid), "SIGKILL");
    } catch (error) {
      // Nothing is left of it.
      assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
    }
  }
}

/** Throws unless what its parts say is in what they printed. A part that was not reached is another step's matter. */
function check({ parts }: Block, at: number): void {
  for (const [part, { commands, expected }] of parts.entries()) {
    const output = outputFrom(at, part);
    const words = output?.replaceAll(/\s+/g, " ") ?? "";
    for (const text of output === null ? [] : expected) {
      const pattern = text.split("…").map(RegExp.escape).join(".*");
      assert.match(words, new RegExp(pattern), `${commands}\nhas printed:\n${output}`);
    }
  }
}

function lastOutput(begun: readonly Block[]): string {
  const at = begun.length - 1;
  const { place = "", parts = [] } = begun[at] ?? {};
  const part = parts.findLastIndex((_, index) => outputFrom(at, index) !== null);
  return `the shell ended in ${place}:\n${parts[part]?.commands}\nhas printed:\n${outputFrom(at, part)}`;
}

/** What a part printed, or null when it was not reached. */
function outputFrom(block: number, part: number): string | null {
  const file = outputOf(block, part);
  return existsSync(file) ? readFileSync(file, "utf8").replaceAll(anyKey, "$1…") : null;
}

function outputOf(block: number, part: number): string {
  return join(outputs, `${block}.${part}`);
}
