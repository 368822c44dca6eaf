// Backups beside a server under load, killed, and without room; restores that are killed.
//
//   npm run suite:backup -- [--tokens 200000] [--kills 8] [--seed N]
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, mkdtempDisposableSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { RefusalReason, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { seed } from "../../bench/population/seed.ts";
import { startLoad } from "./backup/load.ts";
import { createRandom, seedFrom } from "./support/random.ts";
import { createReport } from "./support/report.ts";
import { type Finished, runProgram } from "./support/run-program.ts";
import { startServerProcess } from "./support/server-process.ts";
import { createTokenClient } from "./support/token-client.ts";

const loadMs = 3000;
const timeoutMs = 300_000;
/** Writes go on while pages are copied; what a call may wait for is one slow checkpoint more. */
const longestStallMs = 1000;

const { values } = parseArgs({
  options: {
    tokens: { type: "string", default: "200000" },
    kills: { type: "string", default: "8" },
    seed: { type: "string" },
  },
});
const tokens = Number(values.tokens);
const kills = Number(values.kills);
const randomSeed = seedFrom(values.seed);
const random = createRandom(randomSeed);
const root = resolve(import.meta.dirname, "../..");
const report = createReport("backup");
console.log(`backup: ${tokens} tokens, ${kills} kills, seed ${randomSeed}`);

using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-backup-"));
const data = join(scratch.path, "data");
const log = join(data, "revocations.log");
const backup = join(scratch.path, "backup.db");
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
seed(data, { tokens, seed: "backup", nowMs: Date.now() });

const leaked = await report.step("beside a server under load", backUpUnderLoad);
await report.step(`kill -9 of ${kills} backups: none leaves a file that looks like one`, killBackups);
await report.step("on a disk without room: one line, and nothing left", backUpOnFullDisk);
await report.step(`kill -9 of ${kills} restores: the database is there as a whole, or not at all`, killRestores);
report.close();

/** Returns keys that were revoked, most of them after the backup. */
async function backUpUnderLoad(): Promise<readonly string[]> {
  await using server = await startServerProcess({ dataDirectory: data, sealingSecret });
  using client = createTokenClient(server.address);
  await using load = startLoad(client);
  await sleep(loadMs);
  const before = load.takeLongest();
  const startMs = performance.now();
  must(await run("backup", data, backup));
  const tookMs = performance.now() - startMs;
  const during = load.takeLongest();
  console.log(
    `     ${(statSync(backup).size / 1024 ** 2).toFixed(0)} MiB in ${(tookMs / 1000).toFixed(1)} s; longest call ${during.longestMs.toFixed(0)} ms of ${during.calls}, before it ${before.longestMs.toFixed(0)} ms of ${before.calls}`,
  );
  if (during.calls === 0 || during.longestMs > longestStallMs) {
    throw new Error(`a call waited ${during.longestMs} ms beside the backup`);
  }
  await sleep(loadMs);
  return load.revoked;
}

async function killBackups(): Promise<void> {
  const whole = await timeOf(() => run("backup", data, join(scratch.path, "timed.db")));
  for (let count = 0; count < kills; count += 1) {
    const target = join(scratch.path, `killed-${count}.db`);
    const { exitCode } = await runKilled(random.below(whole), "backup", data, target);
    if (existsSync(target)) {
      must(await run("restore", target, join(scratch.path, `of-killed-${count}`), "--accept-lost-revocations"));
    } else if (exitCode === 0) {
      throw new Error("a backup ended well, and left no file");
    }
    for (const name of readdirSync(scratch.path).filter((one) => one.includes("killed-"))) {
      rmSync(join(scratch.path, name), { recursive: true });
    }
  }
}

async function backUpOnFullDisk(): Promise<void> {
  const small = join(scratch.path, "small");
  mkdirSync(small);
  const command = [process.execPath, join(root, "src/main.ts"), "backup", data, join(small, "backup.db")];
  const script = `mount -t tmpfs -o size=1m tmpfs "$0" && { "$@"; code=$?; ls -A "$0"; exit $code; }`;
  const finished = await runProgram("unshare", ["-rm", "sh", "-c", script, small, ...command], { timeoutMs });
  if (
    finished.exitCode !== 2 ||
    finished.stdout !== "" ||
    !/^the disk of .* is full: make room on it, and try again\n$/.test(finished.stderr)
  ) {
    throw new Error(`it ended with ${finished.exitCode}: ${finished.stdout}${finished.stderr}`);
  }
}

async function killRestores(): Promise<void> {
  const order = (directory: string) => ["restore", backup, directory, "--revocations", log];
  const whole = await timeOf(() => run(...order(join(scratch.path, "timed"))));
  for (let count = 0; count < kills; count += 1) {
    const directory = join(scratch.path, `restored-${count}`);
    await runKilled(random.below(whole), ...order(directory));
    if (!existsSync(join(directory, "tokens.db"))) {
      must(await run(...order(directory)));
    }
    await verifyRestored(directory);
    rmSync(directory, { recursive: true });
  }
}

async function verifyRestored(directory: string): Promise<void> {
  must(await run("verify-journal", directory));
  await using server = await startServerProcess({ dataDirectory: directory, sealingSecret });
  using client = createTokenClient(server.address);
  for (const key of leaked ?? []) {
    const { outcome } = await client.call(TokenService.method.authenticate, { key });
    // Those that were created after the backup are unknown.
    const reasons: readonly RefusalReason[] = [RefusalReason.TOKEN_REVOKED, RefusalReason.KEY_UNKNOWN];
    if (outcome.case !== "refusal" || !reasons.includes(outcome.value.reason)) {
      throw new Error("a revoked key lives again");
    }
  }
}

function run(...args: readonly string[]): Promise<Finished> {
  return runProgram(process.execPath, [join(root, "src/main.ts"), ...args], { timeoutMs });
}

/** `timeout` ends itself with the signal, so that its exit code says nothing of a program that was killed. */
function runKilled(afterMs: number, ...args: readonly string[]): Promise<Finished> {
  const seconds = (1 + afterMs) / 1000;
  const command = ["-s", "KILL", String(seconds), process.execPath, join(root, "src/main.ts"), ...args];
  return runProgram("sh", ["-c", '"$@"; exit $?', "sh", "timeout", ...command], { timeoutMs });
}

async function timeOf(act: () => Promise<Finished>): Promise<number> {
  const startMs = performance.now();
  must(await act());
  return performance.now() - startMs;
}

function must({ exitCode, stdout, stderr }: Finished): void {
  if (exitCode !== 0) {
    throw new Error(`it ended with ${exitCode}: ${stdout}${stderr}`);
  }
}
