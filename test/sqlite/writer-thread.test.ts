import { MessageChannel } from "node:worker_threads";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { createTimeSeen } from "../../src/authority/clock.ts";
import { mintTokenId } from "../../src/authority/key.ts";
import { createChangeSignal } from "../../src/stores/sqlite/change-signal.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { type DataDirectoryLock, lockDataDirectory } from "../../src/stores/sqlite/data-directory-lock.ts";
import { createWriterClient } from "../../src/stores/sqlite/serving/writer-client.ts";
import { startWriterThread } from "../../src/stores/sqlite/start-writer-thread.ts";
import type { WriterThreadData } from "../../src/stores/sqlite/writer/writer-thread.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { openStore, quietLog, temporaryDataDirectory } from "./store-rig.ts";

function dataOf(directory: string, lock: DataDirectoryLock): WriterThreadData {
  const { revocationLog, marker } = dataFiles(directory);
  return {
    ...{ directory, revocationLog, marker, lock: lock.identity },
    makeAnew: [],
    minFreeBytes: 0,
    changeSignal: createChangeSignal(),
    timeSeen: createTimeSeen(0),
  };
}

it("serves several threads, each on its own line, in one journal", async () => {
  const directory = temporaryDataDirectory();
  using lock = lockDataDirectory(directory);
  await using thread = await startWriterThread(dataOf(directory, lock), quietLog);
  const clients = Array.from({ length: 3 }, () => createWriterClient(thread.connect()));
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, index) => clients[index % 3]?.create(aNewToken(), null, 100, at(1))),
  );
  const revisions = outcomes.map((one) => (one?.kind === "created" ? one.change.revision : 0));
  expect(revisions.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, index) => index + 1));
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
});

it("lets 20 000 revocations wait, and is undecided about more", async () => {
  const store = await openStore(temporaryDataDirectory());
  const results = await Promise.allSettled(
    Array.from({ length: 20_001 }, () => store.revoke(mintTokenId(), "", at(1))),
  );
  expect(results.at(-1)).toMatchObject({ status: "rejected", reason: { reason: "UNDECIDED" } });
  expect(results.filter(({ status }) => status === "rejected")).toHaveLength(1);
  expect(await store.revoke(mintTokenId(), "", at(1))).toBeNull();
});

it("revokes before it creates what has waited for longer", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const token = aNewToken();
  await store.create(token, null, 10_000, at(1));
  // While another program holds the database everything waits, however busy the machine is.
  const other = new Database(dataFiles(directory).database);
  other.exec("BEGIN IMMEDIATE");
  const creations = Array.from({ length: 1000 }, () => store.create(aNewToken(), null, 10_000, at(1)));
  const revoking = store.revoke(token.id, "leaked", at(1));
  other.exec("COMMIT");
  other.close();
  const revoked = await revoking;
  // Two commits of 256 at the most: the one that was under way, and its own.
  expect(revoked?.kind === "revoked" && revoked.token.revokeRevision).toBeLessThanOrEqual(1 + 512);
  await Promise.all(creations);
});

it("takes a revocation when as many creations wait as may", async () => {
  const { port1, port2 } = new MessageChannel();
  const client = createWriterClient(port1);
  const waiting = Array.from({ length: 10_000 }, () => client.create(aNewToken(), null, 10, at(1)));
  await expect(client.create(aNewToken(), null, 10, at(1))).rejects.toMatchObject({ reason: "UNDECIDED" });
  const revocation = client.revoke("tok_1", "", at(1));
  port2.on("message", ({ id, call }) => {
    const answer = call.method === "revoke" ? { method: "revoke", outcome: null } : { method: "create", outcome: {} };
    port2.postMessage({ kind: "answers", answers: [{ id, answer }] });
  });
  expect(await revocation).toBeNull();
  await Promise.all(waiting);
  await client[Symbol.asyncDispose]();
});

it("is undecided about what waits when the writer says that it has failed, and about everything after", async () => {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port2.close());
  const client = createWriterClient(port1);
  const waiting = client.revoke(mintTokenId(), "", at(1));
  port2.postMessage({
    kind: "fatal",
    failure: { message: "disk I/O error", code: "SQLITE_IOERR_FSYNC", isStartError: false },
  });
  await expect(waiting).rejects.toMatchObject({
    reason: "UNDECIDED",
    cause: { message: "disk I/O error", code: "SQLITE_IOERR_FSYNC" },
  });
  expect(client.isServing()).toBe(false);
  await expect(client.create(aNewToken(), null, 1, at(1))).rejects.toMatchObject({ reason: "UNDECIDED" });
});

it("is undecided about what waits when the writer is gone without a word", async () => {
  const { port1, port2 } = new MessageChannel();
  const client = createWriterClient(port1);
  const waiting = client.recordUses([]);
  port2.close();
  await expect(waiting).rejects.toMatchObject({ reason: "UNDECIDED" });
  expect(client.isServing()).toBe(false);
});

it("ends when it is told to, and says so to whoever has not let go of it", async () => {
  const directory = temporaryDataDirectory();
  using lock = lockDataDirectory(directory);
  const thread = await startWriterThread(dataOf(directory, lock), quietLog);
  const client = createWriterClient(thread.connect());
  await client.create(aNewToken(), null, 100, at(1));
  await thread[Symbol.asyncDispose]();
  await expect.poll(() => client.isServing()).toBe(false);
  await expect(client.create(aNewToken(), null, 100, at(1))).rejects.toMatchObject({ reason: "UNDECIDED" });
});
