import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { needs } from "../support/needs.ts";
import { killedInRotation, statesOfRotation } from "./killed-in-rotation.ts";
import { injectFault } from "./store-process.ts";
import { openStore, startStoreChild, temporaryDataDirectory } from "./store-rig.ts";

/** Lets system calls of a running process fail until the test ends. */
async function inject(...parameters: Parameters<typeof injectFault>): Promise<ChildProcess> {
  const strace = await injectFault(...parameters);
  onTestFinished(() => {
    strace.kill("SIGKILL");
  });
  return strace;
}

it("answers undecided, stops serving and ends with an error when an fsync fails", async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  const directory = temporaryDataDirectory();
  const child = await startStoreChild(directory);
  const { id } = await child.ask({ do: "create" });
  await inject(child.pid, "fsync,fdatasync:error=EIO", join(directory, "tokens.db-wal"));

  const lines = [await child.ask({ do: "create" }), await child.next()];
  expect(lines).toContainEqual({ error: "UNDECIDED" });
  // Whichever file is synced first: the database's error has SQLite's words, that of the others has the system's.
  expect(lines).toContainEqual({ fatal: expect.stringMatching(/disk I\/O error|EIO/), isServing: false });
  expect(await child.exit).toBe(70);

  const store = await openStore(directory);
  expect(await store.get(String(id))).toMatchObject({ id });
  expect(verifyJournal(directory, null)).toEqual({ fault: null, head: store.head() });
});

it("answers undecided and ends with an error when one fsync fails, though the next would succeed", async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  const directory = temporaryDataDirectory();
  const child = await startStoreChild(directory);
  await child.ask({ do: "create" });
  await inject(child.pid, "fsync,fdatasync:error=EIO:when=1", join(directory, "tokens.db-wal"));

  const lines = [await child.ask({ do: "create" }), await child.next()];
  expect(lines).toContainEqual({ error: "UNDECIDED" });
  expect(lines).toContainEqual({ fatal: expect.stringContaining("disk I/O error"), isServing: false });
  expect(await child.exit).toBe(70);
}, 120_000);

it("a process that is killed at any write or flush of a hold leaves the account as it was, or held", async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  const states: unknown[] = [];
  for (let when = 1; states.at(-1) !== "answered"; when += 1) {
    const directory = temporaryDataDirectory();
    const child = await startStoreChild(directory);
    const { id } = await child.ask({ do: "create" });
    await inject(child.pid, `pwrite64,fdatasync,fsync:signal=KILL:when=${when}`);
    const answer = await child.ask({ do: "hold" }).catch(() => null);
    child.process.kill("SIGKILL");
    await child.exit;

    await using store = await openStore(directory);
    const token = await store.get(String(id));
    const { revision } = store.head();
    expect([token?.accountState, revision]).toEqual(revision === 1 ? ["active", 1] : ["held", 2]);
    expect(verifyJournal(directory, null)).toEqual({ fault: null, head: store.head() });
    const lines = readFileSync(join(directory, "revocations.log"), "utf8");
    expect(lines.includes('"action":"hold"')).toBe(revision === 2);
    states.push(answer === null ? token?.accountState : "answered");
  }
  expect([...new Set(states)]).toEqual(["active", "held", "answered"]);
}, 120_000);

// Every third write: suite:crash kills at each call of each kind.
it("a process that is killed while it writes a rotation leaves the old key alone or both keys, and of its end likewise", {
  timeout: 120_000,
}, async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  for (const order of ["rotate", "endRotation"] as const) {
    const states: unknown[] = [];
    for (let when = 1; states.at(-1) !== "answered"; when += 3) {
      states.push(await killedInRotation(temporaryDataDirectory(), order, "pwrite64", when));
    }
    expect(states[0]).toBe(statesOfRotation[order][0]);
  }
});

it("answers undecided and ends with an error when the revocation log cannot be flushed", async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  const directory = temporaryDataDirectory();
  const child = await startStoreChild(directory);
  const { id } = await child.ask({ do: "create" });
  await inject(child.pid, "fdatasync:error=EIO:when=1", join(directory, "revocations.log"));

  const lines = [await child.ask({ do: "revoke", id }), await child.next()];
  expect(lines).toContainEqual({ error: "UNDECIDED" });
  expect(lines).toContainEqual({ fatal: expect.stringContaining("EIO"), isServing: false });
}, 120_000);

it("answers no revocation whose log was moved away while its line was flushed", async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  const directory = temporaryDataDirectory();
  const log = join(directory, "revocations.log");
  const child = await startStoreChild(directory);
  const { id } = await child.ask({ do: "create" });
  const sizeBefore = readFileSync(log).indexOf(0);
  await inject(child.pid, "fdatasync:delay_enter=3000000", log);

  const answered = child.ask({ do: "revoke", id });
  // The line is written, and its flush takes three seconds.
  await expect.poll(() => readFileSync(log).indexOf(0)).toBeGreaterThan(sizeBefore);
  renameSync(log, `${log}.1`);
  const lines = [await answered, await child.next()];
  expect(lines).toContainEqual({ error: "UNDECIDED" });
  expect(lines).toContainEqual({
    fatal: expect.stringContaining("was moved, removed, or written to"),
    isServing: false,
  });
}, 120_000);

it("writes a revocation's line between two looks at whose file it is, and flushes it before the second", async (context) => {
  needs(context, "strace", "-e", "inject=fsync:error=EIO:when=1", "true");
  const directory = temporaryDataDirectory();
  const log = join(directory, "revocations.log");
  const trace = `${directory}.trace`;
  const calls = "trace=stat,statx,newfstatat,write,pwrite64,fsync,fdatasync,openat";
  const child = await startStoreChild(directory, (command) => [
    "strace",
    "-f",
    "-y",
    "-e",
    calls,
    "-o",
    trace,
    ...command,
  ]);
  const ofTrace = () => readFileSync(trace, "utf8").split("\n");
  // The first line of a new log, and its name in the folder.
  const made = ofTrace().findIndex(
    (line) => line.includes("openat(") && line.includes(`"${log}"`) && line.includes("O_CREAT"),
  );
  expect(made).toBeGreaterThan(-1);
  expect(
    ofTrace()
      .slice(made)
      .some((line) => line.includes("fsync(") && line.includes(`<${directory}>`)),
  ).toBe(true);

  const { id } = await child.ask({ do: "create" });
  expect(await child.ask({ do: "revoke", id })).toEqual({ isRevoked: true });
  const steps = ofTrace()
    .slice(made)
    .filter((line) => line.includes(log))
    .map((line) => /(stat|write|fdatasync)/.exec(line)?.[1]);
  const isLook = (step: string | undefined) => step === "stat";
  // The line of the revocation is the last: that a token was created may be told by one before it, at any time.
  const flush = steps.lastIndexOf("fdatasync");
  const write = steps.lastIndexOf("write", flush);
  const flushBefore = steps.lastIndexOf("fdatasync", write);
  expect(flushBefore).toBeGreaterThan(-1);
  // One look belongs to the line before, which was looked after as well.
  expect(steps.slice(flushBefore, write).filter(isLook).length).toBeGreaterThanOrEqual(2);
  expect(steps.slice(flush).filter(isLook).length).toBeGreaterThanOrEqual(1);
}, 120_000);

it("refuses to create and gives up the ballast to revoke when no write finds room", async (context) => {
  needs(context, "strace", "-e", "inject=pwrite64:error=ENOSPC:when=1", "true");
  const directory = temporaryDataDirectory();
  const child = await startStoreChild(directory);
  const { id } = await child.ask({ do: "create" });
  const strace = await inject(child.pid, "pwrite64:error=ENOSPC");
  expect(await child.ask({ do: "create" })).toMatchObject({ kind: "storage_low" });
  expect(await child.ask({ do: "revoke", id })).toEqual({ error: "UNDECIDED" });
  expect(await child.ask({ do: "stats" })).toMatchObject({ ballastBytes: 0, revision: 1, isServing: true });

  strace.kill("SIGINT");
  await once(strace, "exit");
  expect(await child.ask({ do: "revoke", id })).toEqual({ isRevoked: true });
});

it("refuses to create on a disk without a free byte, and revokes everything all the same", async (context) => {
  needs(context, "unshare", "-rm", "true");
  const directory = temporaryDataDirectory();
  mkdirSync(directory);
  const child = await startStoreChild(directory, (command) => [
    "unshare",
    "-rm",
    "sh",
    "-c",
    `mount -t tmpfs -o size=16m,mode=700 tmpfs "$0" && exec "$@"`,
    directory,
    ...command,
  ]);
  const { ids } = await child.ask({ do: "createUntilFull" });
  expect(ids).toSatisfy((all) => Array.isArray(all) && all.length > 1000);
  await child.ask({ do: "fillDisk" });
  expect(await child.ask({ do: "create" })).toMatchObject({ kind: "storage_low" });
  // How many there are depends on when the store last put its log back into the database.
  const revoked: readonly unknown[] = Array.isArray(ids) ? ids.slice(0, 1500) : [];
  for (const id of revoked) {
    expect(await child.ask({ do: "revoke", id })).toEqual({ isRevoked: true });
  }
  const { text } = await child.ask({ do: "readLog" });
  expect(String(text).match(/"token_id":/g)).toHaveLength(revoked.length);
  expect(await child.ask({ do: "stats" })).toMatchObject({ ballastBytes: 0, isServing: true });
  expect(await child.ask({ do: "create" })).toMatchObject({ kind: "storage_low" });
});

it("answers undecided and ends with an error when the revocation log has no room on a disk of its own", async (context) => {
  needs(context, "unshare", "-rm", "true");
  const directory = temporaryDataDirectory();
  const elsewhere = temporaryDataDirectory();
  mkdirSync(elsewhere);
  const child = await startStoreChild(directory, (command) => [
    "unshare",
    "-rm",
    "sh",
    "-c",
    `mount -t tmpfs -o size=64k,mode=700 tmpfs "$0" && exec "$@"`,
    elsewhere,
    ...command,
    join(elsewhere, "revocations.log"),
  ]);
  const { id } = await child.ask({ do: "create" });
  await child.ask({ do: "fillDiskOfLog" });
  let line: Record<string, unknown>;
  // What is left of the log's own last page has room for some.
  do {
    const { id: other } = await child.ask({ do: "create" });
    line = await child.ask({ do: "revoke", id: other });
  } while (line.isRevoked === true);
  const lines = [line, await child.next()];
  expect(lines).toContainEqual({ error: "UNDECIDED" });
  expect(lines).toContainEqual({ fatal: expect.stringContaining("ENOSPC"), isServing: false });
  expect(await child.exit).toBe(70);

  // Its log went with the disk of the child.
  const store = await openStore(directory, 0, { makeAnew: ["revocation log"] });
  expect(await store.get(String(id))).toMatchObject({ revokedAtMs: null });
  expect(verifyJournal(directory, null)).toEqual({ fault: null, head: store.head() });
});
