// Runs connectconformance, whose reference clients call ConformanceService on our listener: gRPC, gRPC-Web and Connect,
// in every configuration of conformance/config.yaml. What fails for reasons of others stands in
// conformance/known-failing.txt; another failure, or a known one that does not happen, fails this suite. Authenticate's
// lane cannot carry ConformanceService: the cases that make sense for it are in test/grpc/conformance-cases.test.ts.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposableSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { installGoProgram } from "./support/tools.ts";

const version = "v1.0.5";
/** Fewer would mean that the configuration asks for less than the product does. */
const minCases = 3_800;
/** Some two minutes on two idle cores; the limit is for a busy machine. */
const runTimeoutMs = 15 * 60 * 1000;

const buildTimeoutMs = 2 * 60 * 1000;

const root = resolve(import.meta.dirname, "../..");
const suite = join(import.meta.dirname, "conformance");
const serverFile = fileURLToPath(import.meta.resolve("./conformance/server.ts"));

const report = createReport("conformance");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-conformance-"));

const program = await report.step(`install connectconformance ${version}`, () =>
  installGoProgram("connectrpc.com/conformance/cmd/connectconformance", version),
);
const descriptors = await report.step("build the descriptors of its protos", buildDescriptors);
if (program !== null && descriptors !== null) {
  await report.step("connectconformance: all cases but the known", () => judge(program, descriptors));
}
report.close();

/** The protos come with the module that the program was built from. */
async function buildDescriptors(): Promise<string> {
  const descriptorFile = join(scratch.path, "descriptors.binpb");
  const download = await finish("go", ["mod", "download", "-json", `connectrpc.com/conformance@${version}`]);
  const { Dir: module }: { Dir: string } = JSON.parse(download);
  const buf = join(root, "node_modules", ".bin", "buf");
  await finish(buf, ["build", join(module, "proto"), "--as-file-descriptor-set", "--output", descriptorFile]);
  return descriptorFile;
}

async function finish(command: string, args: readonly string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await runProgram(command, args, {
    timeoutMs: buildTimeoutMs,
    cwd: scratch.path,
  });
  assert.equal(exitCode, 0, `${command} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function judge(connectconformance: string, descriptorFile: string): Promise<void> {
  const { exitCode, lastLines } = await run(connectconformance, [
    ...["--mode", "server"],
    ...["--conf", join(suite, "config.yaml")],
    ...["--known-failing", `@${join(suite, "known-failing.txt")}`],
    ...["--max-servers", String(availableParallelism())],
    ...["--", process.execPath, serverFile, descriptorFile],
  ]);
  const summary = /^Total cases: (\d+)\n\d+ passed, \d+ failed$/m.exec(lastLines.join("\n"));
  assert.ok(summary !== null, "the runner ended without a summary");
  assert.ok(Number(summary[1]) >= minCases, `only ${summary[1]} cases were run`);
  assert.equal(exitCode, 0, "cases fail that are not known to, or pass that are");
}

/** Runs the program to its end and prints what it says: failures, then a summary. */
async function run(connectconformance: string, args: readonly string[]) {
  const child = spawn(connectconformance, args, {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
    timeout: runTimeoutMs,
    killSignal: "SIGKILL",
  });
  const lastLines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    console.log(line);
    lastLines.push(line);
    lastLines.splice(0, lastLines.length - 10);
  });
  await once(child, "close");
  return { exitCode: child.exitCode, lastLines };
}
