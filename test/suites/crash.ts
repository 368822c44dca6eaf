// Kills the server with kill -9 at random moments, load running, and holds it to what it had answered. One data
// directory lives through all rounds. Then it kills a store at every system call of a rotation and of its end.
//
//   npm run suite:crash -- [--rounds 200] [--seed N] [--planted-bug]
//
// --planted-bug shows that this suite would see it: it runs a copy of src/ that answers before COMMIT, and expects
// faults.
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { killAtEveryCall } from "./crash/every-call.ts";
import { createLedger, type Ledger } from "./crash/ledger.ts";
import { runLoad } from "./crash/load.ts";
import { plantBug } from "./crash/planted-bug.ts";
import { verifyRevocationLog } from "./crash/revocation-log.ts";
import { settle, verifyAll, verifyRecent } from "./crash/verification.ts";
import { createRandom, seedFrom } from "./support/random.ts";
import { runProgram } from "./support/run-program.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { createTokenClient } from "./support/token-client.ts";

const maxLoadMs = 800;
const maxStartMs = 500;
const startKillProbability = 0.15;
const maxMinutes = 30;

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "200" },
    seed: { type: "string" },
    "planted-bug": { type: "boolean", default: false },
  },
});
const isPlanted = values["planted-bug"];
const rounds = Number(values.rounds);
const seed = seedFrom(values.seed);
const random = createRandom(seed);
const startMs = performance.now();

using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-crash-"));
const root = isPlanted ? plantBug(join(scratch.path, "planted")) : resolve(import.meta.dirname, "../..");
const dataDirectory = join(scratch.path, "data");
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });

const ledger = createLedger();
console.log(`crash: ${rounds} rounds, seed ${seed}${isPlanted ? ", with a planted bug" : ""}`);
let round = 0;
while (round < rounds && !isDecided()) {
  round += 1;
  if (performance.now() - startMs > maxMinutes * 60_000) {
    throw new Error(`${maxMinutes} minutes are over after ${round - 1} rounds`);
  }
  await runRound(round);
  if (round % 10 === 0) {
    console.log(`round ${round}: ${ledger.summary()}`);
  }
}
if (!isPlanted) {
  const { fault, kills } = await killAtEveryCall(scratch.path);
  console.log(`killed at each of ${kills} system calls of a rotation and of its end`);
  if (fault !== null) {
    ledger.fault("after a restart", fault);
  }
}
await finish();

/** The planted bug can be seen under load already, but it is the restarts that have to tell. */
function isDecided(): boolean {
  return ledger.faults.some(({ when }) => when === "after a restart" || !isPlanted);
}

async function runRound(number: number): Promise<void> {
  if (random.chance(startKillProbability)) {
    await killWhileStarting(random.below(maxStartMs));
  }
  // Without a server in one round, beside it in the next.
  if (number % 2 === 0) {
    await verifyJournal();
  }
  const server = await startOrFault();
  if (server === null) {
    return;
  }
  if (number % 2 === 1) {
    await verifyJournal();
  }
  using client = createTokenClient(server.address);
  await settle(ledger, client, number);
  await verifyRecent({ ledger, client, random, round: number });
  let isKilled = false;
  const load = runLoad({ ledger, client, random, round: number, isOver: () => isKilled });
  await sleep(random.below(maxLoadMs));
  isKilled = true;
  await server.kill();
  await load;
  verifyRevocationLog(ledger, join(dataDirectory, "revocations.log"));
}

/** A revocation log that is ahead of the database stops a start: then something was answered that is not there. */
async function startOrFault(): Promise<ServerProcess | null> {
  try {
    return await start();
  } catch (error) {
    ledger.fault("after a restart", String(error));
    return null;
  }
}

async function killWhileStarting(afterMs: number): Promise<void> {
  try {
    await using server = await start(afterMs);
    await sleep(maxStartMs);
    await server.kill();
  } catch {
    // It did not come to serve, as meant.
  }
}

function start(killAfterMs?: number): Promise<ServerProcess> {
  return startServerProcess({
    root,
    dataDirectory,
    sealingSecret,
    onLine: (line) => ledger.noteLogLine(line),
    ...(killAfterMs === undefined ? {} : { killAfterMs }),
  });
}

async function verifyJournal(): Promise<void> {
  const head = ledger.loggedHead();
  const args = ["src/main.ts", "verify-journal", dataDirectory, ...(head === null ? [] : ["--head", head])];
  const { exitCode, stdout, stderr } = await runProgram(process.execPath, args, { cwd: root, timeoutMs: 60_000 });
  // Before the first start has got far enough, there is no journal.
  if (exitCode !== 0 && (head !== null || ledger.keys.length > 0)) {
    ledger.fault("after a restart", `verify-journal, up to ${head}: ${stdout}${stderr}`);
  }
}

async function finish(): Promise<void> {
  if (!isDecided()) {
    await using server = await start();
    using client = createTokenClient(server.address);
    await settle(ledger, client, round);
    await verifyAll(ledger, client);
    const exitCode = await server.stop();
    if (exitCode !== 0) {
      ledger.fault("after a restart", `the last server ended with ${exitCode}`);
    }
    await verifyJournal();
  }
  report(ledger);
}

function report({ faults, summary }: Ledger): void {
  for (const { when, text } of faults.slice(0, 20)) {
    console.log(`FAULT ${when}: ${text}`);
  }
  const minutes = ((performance.now() - startMs) / 60_000).toFixed(1);
  const result = `${round} rounds in ${minutes} min, seed ${seed}: ${summary()}, ${faults.length} faults`;
  const isAsItMustBe = isPlanted ? isDecided() : faults.length === 0;
  const verdict = isPlanted ? `, the planted bug was ${isDecided() ? "seen" : "NOT SEEN"}` : "";
  console.log(`crash: ${result}${verdict}`);
  process.exitCode = isAsItMustBe ? 0 : 1;
}
