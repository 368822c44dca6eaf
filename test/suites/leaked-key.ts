// Thieves make keys with a leaked key over REST, as fast as they can, while an operator or the merchant revokes it: no
// token of theirs is there that was not there when the revocation was answered. Half of the rounds have a slow disk.
// Some thieves leave before they are answered, and the process stops under load: still each change has its log line.
//
//   npm run suite:leaked-key -- [--rounds 200] [--seed N] [--planted-bug]
//
// --planted-bug shows that this suite would see it: it runs a copy of src/ that judges a key when its request comes,
// and no more.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { plantedCopy } from "./support/planted-copy.ts";
import { createRandom, seedFrom } from "./support/random.ts";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { type ServerProcess, startServerProcess } from "./support/server-process.ts";
import { createTokenClient, type TokenClient } from "./support/token-client.ts";

const thieves = 4;
const slowDiskMs = 30;
const maxMinutes = 15;
const printEvery = 20;

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
const deadlineMs = performance.now() + maxMinutes * 60_000;

const report = createReport("leaked-key");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-leaked-key-"));
const root = isPlanted
  ? plantedCopy(join(scratch.path, "planted"), [
      {
        file: "src/stores/changes/change-maker.ts",
        from: "if (context.bearerKey === null) {",
        to: "if (context.caller !== null) {",
      },
    ])
  : resolve(import.meta.dirname, "../..");
const dataDirectory = join(scratch.path, "data");
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
console.log(`leaked-key: ${rounds} rounds, seed ${seed}${isPlanted ? ", with a planted bug" : ""}`);

/** The revisions that have a log line of a change. */
const logged = new Set<number>();
let made = 0;
let roundsWithLate = 0;
let done = 0;

await report.step("no token of a leaked key is there that was not there when its revocation was answered", async () => {
  await using server = await startServerProcess({
    ...{ dataDirectory, sealingSecret, root, onLine: noteLine },
    settings: { REST_LISTEN: "127.0.0.1:0", THREADS: "2", MIN_FREE_MIB: "1" },
  });
  using client = createTokenClient(server.address);
  await runRounds(server, client, Math.ceil(rounds / 2));
  const strace = await slowDown(server.pid);
  try {
    await runRounds(server, client, rounds);
  } finally {
    strace.kill("SIGKILL");
  }
  console.log(
    `${done} rounds, ${made} tokens made by leaked keys, rounds with a token after the answer: ${roundsWithLate}`,
  );
  assert.ok(made > done, "the thieves made too little to tell anything");
  assert.equal(roundsWithLate > 0, isPlanted, isPlanted ? "the planted bug was not seen" : "a revoked key made tokens");
});

if (!isPlanted) {
  await report.step("each change has its log line, though thieves left and the process stopped meanwhile", async () => {
    await stopUnderLoad();
    const { stdout } = await runProgram(process.execPath, ["src/main.ts", "verify-journal", dataDirectory], {
      cwd: root,
      timeoutMs: 60_000,
    });
    const head = Number(/up to (\d+):/.exec(stdout)?.[1]);
    const missing = Array.from({ length: head }, (_, index) => index + 1).filter((revision) => !logged.has(revision));
    console.log(`${head} changes, ${head - missing.length} with a log line`);
    assert.deepEqual(missing, []);
  });
}
report.close();

async function runRounds(server: ServerProcess, client: TokenClient, until: number): Promise<void> {
  while (done < until && !(isPlanted && roundsWithLate > 0)) {
    assert.ok(performance.now() < deadlineMs, `${maxMinutes} minutes are over after ${done} rounds`);
    await runRound(server, client, done);
    done += 1;
    if (done % printEvery === 0) {
      console.log(`round ${done}: ${made} tokens made, rounds with a token after the answer: ${roundsWithLate}`);
    }
  }
}

async function runRound(server: ServerProcess, client: TokenClient, round: number): Promise<void> {
  const account = `acct_${round}`;
  const leaked = await createKey(client, account);
  const merchant = await createKey(client, account);
  const first = Promise.withResolvers<void>();
  const stealing = Array.from({ length: thieves }, (_, thief) =>
    steal(server.restAddress, leaked.key, thief === 0, first.resolve),
  );
  // The first of them may end, refused, before it has made anything.
  await Promise.race([first.promise, Promise.all(stealing)]);
  await sleep(random.below(20));
  await (round % 2 === 0
    ? revokeOverRpc(client, leaked.id)
    : revokeOverRest(server.restAddress, merchant.key, leaked.id));
  const before = await tokensMadeBy(client, account, leaked.id);
  await Promise.all(stealing);
  const after = await tokensMadeBy(client, account, leaked.id);
  made += after.size;
  roundsWithLate += Number([...after].some((id) => !before.has(id)));
}

/** Makes keys until it is refused. One that is impatient leaves some of its requests before they are answered. */
async function steal(address: string, key: string, isImpatient: boolean, onMade: () => void): Promise<void> {
  for (;;) {
    const signal = isImpatient && random.chance(0.5) ? AbortSignal.timeout(1 + random.below(4)) : null;
    try {
      const response = await fetch(`http://${address}/v1/tokens`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
        body: JSON.stringify({ name: "stolen", permissions: ["payouts:write"] }),
        signal,
      });
      await response.arrayBuffer();
      if (response.status === 401) {
        return;
      }
      if (response.status === 200) {
        onMade();
      } else {
        assert.equal(response.status, 429);
        await sleep(10);
      }
    } catch (error) {
      if (signal?.aborted !== true) {
        throw error;
      }
    }
  }
}

async function createKey(client: TokenClient, account: string): Promise<{ readonly id: string; readonly key: string }> {
  const request = { account, name: "a key", type: TokenType.SECRET };
  const { token, key } = await client.call(TokenService.method.create, request);
  return { id: token?.id ?? "", key };
}

async function revokeOverRpc(client: TokenClient, id: string): Promise<void> {
  await client.call(TokenService.method.revoke, { id, reason: "leaked" });
}

async function revokeOverRest(address: string, key: string, id: string): Promise<void> {
  const header = { authorization: `Bearer ${key}` };
  const response = await fetch(`http://${address}/v1/tokens/${id}/revoke`, { method: "POST", headers: header });
  assert.equal(response.status, 200, await response.text());
}

async function tokensMadeBy(client: TokenClient, account: string, createdBy: string): Promise<ReadonlySet<string>> {
  const page = await client.call(TokenService.method.list, { account, createdBy, pageSize: 1000 });
  assert.equal(page.nextPageToken, "");
  return new Set(page.tokens.map(({ id }) => id));
}

/** Stops the process while changes are under way. */
async function stopUnderLoad(): Promise<void> {
  await using server = await startServerProcess({
    ...{ dataDirectory, sealingSecret, root, onLine: noteLine },
    settings: { REST_LISTEN: "127.0.0.1:0", THREADS: "2", MIN_FREE_MIB: "1", SHUTDOWN_GRACE_MS: "1" },
  });
  using client = createTokenClient(server.address);
  const strace = await slowDown(server.pid);
  const keys = await Promise.all(Array.from({ length: 8 }, (_, index) => createKey(client, `acct_stop_${index}`)));
  const first = Promise.withResolvers<void>();
  // Their connections end, or are refused, when the process does.
  const ending = keys.map(({ key }) => steal(server.restAddress, key, false, first.resolve).catch(() => {}));
  await first.promise;
  assert.equal(await server.stop(), 0);
  await Promise.all(ending);
  strace.kill("SIGKILL");
}

/** Lets each flush to the disk take longer from now on. */
async function slowDown(pid: number): Promise<ChildProcess> {
  const calls = "fdatasync,fsync";
  const inject = `inject=${calls}:delay_enter=${slowDiskMs * 1000}`;
  const strace = spawn("strace", ["-f", "-o", "/dev/null", "-p", String(pid), "-e", `trace=${calls}`, "-e", inject]);
  let said = "";
  while (!said.includes("attached")) {
    const [data] = await once(strace.stderr, "data");
    said += data;
  }
  return strace;
}

function noteLine(line: string): void {
  if (line.includes('"msg":"changed"')) {
    logged.add(JSON.parse(line).revision);
  }
}
