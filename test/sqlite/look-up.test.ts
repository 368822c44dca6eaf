import { mkdirSync } from "node:fs";
import { MessageChannel } from "node:worker_threads";
import { expect, it, onTestFinished } from "vitest";
import { digestKey, mintKey } from "../../src/authority/key.ts";
import { createKeyIndex } from "../../src/authority/key-index.ts";
import { createChangeSignal, createSignalBump } from "../../src/stores/sqlite/change-signal.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { createLeaseBoard } from "../../src/stores/sqlite/lease-board.ts";
import { openReaderDatabase, openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { createLookUp } from "../../src/stores/sqlite/serving/look-up.ts";
import { openServingStore } from "../../src/stores/sqlite/serving/serving-store.ts";
import { checkpointAll, checkpointWhenLong } from "../../src/stores/sqlite/writer/checkpoint.ts";
import { createWriter } from "../../src/stores/sqlite/writer/writer.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { quietLog, temporaryDataDirectory } from "./store-rig.ts";

/**
 * A database, its writer, and look-ups beside it, with the signals that the writer's thread would give moved by hand.
 */
function aLookUp() {
  const { directory, database } = dataFiles(temporaryDataDirectory());
  mkdirSync(directory);
  const db = openWriterDatabase(database);
  const writer = createWriter(db);
  const signals = { changes: 0, isLong: false };
  const lookUp = createLookUp(openReaderDatabase(database), {
    changeSignal: () => signals.changes,
    isLogLong: () => signals.isLong,
  });
  onTestFinished(() => {
    lookUp[Symbol.dispose]();
    db.close();
  });
  /** Commits, and does not say so. */
  function create(): Uint8Array {
    const token = aNewToken();
    const call = { method: "create", token, request: null, maxLiveTokens: 100_000, context: at(1) } as const;
    writer.transact(() => writer.create(call, () => false));
    return token.digest;
  }
  /** Whether the write-ahead log could be emptied, which a read transaction is in the way of. */
  const isFree = () => checkpointAll(db, quietLog);
  return { db, lookUp, signals, create, isFree };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

it("look-ups of one turn see the database as the first of them did, and those of the next as it is", async () => {
  const { lookUp, create } = aLookUp();
  const before = create();
  expect(lookUp.findByDigest(before)).not.toBeNull();
  const after = create();
  expect(lookUp.findByDigest(after)).toBeNull();
  await turn();
  expect(lookUp.findByDigest(after)).not.toBeNull();
});

it("a look-up sees every change that was told of, also within a turn", () => {
  const { lookUp, signals, create } = aLookUp();
  for (let change = 1; change <= 3; change += 1) {
    const digest = create();
    signals.changes = change;
    expect(lookUp.findByDigest(digest)).not.toBeNull();
    expect(lookUp.findByDigest(digest)).not.toBeNull();
  }
});

it("a key that is looked up in a turn is forgotten with a change that was read in that turn before it was told of", async () => {
  const { directory, database, leases } = dataFiles(temporaryDataDirectory());
  mkdirSync(directory);
  const db = openWriterDatabase(database);
  const writer = createWriter(db);
  const changeSignal = createChangeSignal();
  const tell = createSignalBump(changeSignal);
  const { port1: port } = new MessageChannel();
  const store = openServingStore({ database, port, changeSignal, leases: { board: createLeaseBoard(), file: leases } });
  onTestFinished(async () => {
    await store[Symbol.asyncDispose]();
    db.close();
  });
  const { freshness, findByDigest } = store;
  const keys = createKeyIndex({ freshness, findByDigest, maxBytes: 1_000_000 });
  const key = mintKey("secret", true);
  const token = aNewToken({ digest: digestKey(key) });
  const context = at(1);
  writer.transact(() =>
    writer.create({ method: "create", token, request: null, maxLiveTokens: 10, context }, () => false),
  );
  tell();
  await keys.find(key);
  await turn();
  // Something was told of, and one who does not remember looks a key up: the turn has its read transaction.
  tell();
  await store.findByDigest(token.digest);
  writer.transact(() => writer.revoke({ method: "revoke", id: token.id, reason: "", context }));
  // Reads the revocation, and asks for the key, before it is told of: either answer is right.
  await keys.find(key);
  tell();
  expect((await keys.find(key))?.token.revokedAtMs).toBe(1);
});

it("look-ups hold no read transaction beyond their turn", async () => {
  const { lookUp, create, isFree } = aLookUp();
  expect(lookUp.findByDigest(create())).not.toBeNull();
  create();
  expect(isFree()).toBe(false);
  await turn();
  expect(isFree()).toBe(true);
});

it("look-ups share no read transaction while the write-ahead log is long", () => {
  const { lookUp, signals, create, isFree } = aLookUp();
  signals.isLong = true;
  expect(lookUp.findByDigest(create())).not.toBeNull();
  expect(lookUp.findByDigest(create())).not.toBeNull();
  expect(isFree()).toBe(true);
});

it("the write-ahead log is long from a quarter of what is checkpointed until it has started anew", () => {
  const { db, create } = aLookUp();
  const upkeep = () => {
    let isLong: boolean | null = null;
    checkpointWhenLong(db, false, quietLog, (mark) => {
      isLong = mark;
    });
    return isLong;
  };
  const grow = (mebibytes: number) => db.exec(`INSERT INTO junk VALUES (randomblob(${mebibytes * 1024 * 1024}))`);
  db.exec("CREATE TABLE junk (content BLOB)");
  checkpointAll(db, quietLog);
  grow(1);
  expect(upkeep()).toBe(false);
  grow(2);
  expect(upkeep()).toBe(true);
  grow(6);
  // All of it is moved into the database. The next commit starts the log anew.
  expect(upkeep()).toBe(true);
  create();
  expect(upkeep()).toBe(false);
});
