import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { mintTokenId } from "../../src/authority/key.ts";
import { requestMemoryMs } from "../../src/authority/token-store.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { checkpointWhenLong, warnWhenHeld } from "../../src/stores/sqlite/writer/checkpoint.ts";
import { createWriter } from "../../src/stores/sqlite/writer/writer.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { openStore, quietLog, temporaryDataDirectory } from "./store-rig.ts";

const mebibyte = 1024 * 1024;

/** Which of the needles stand somewhere in the files of the directory, byte for byte. */
function foundIn(directory: string, needles: readonly Buffer[]): readonly Buffer[] {
  const files = readdirSync(directory)
    .filter((name) => name.startsWith("tokens.db"))
    .map((name) => readFileSync(join(directory, name)));
  return needles.filter((needle) => files.some((file) => file.includes(needle)));
}

it("shares commits between the calls that wait together", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const frames = () => {
    const db = new Database(join(directory, "tokens.db"), { readonly: true });
    const [row] = db.pragma("wal_checkpoint(NOOP)") as { readonly log: number }[];
    db.close();
    return row?.log ?? 0;
  };
  for (let call = 0; call < 20; call += 1) {
    await store.create(aNewToken(), null, 1000, at(1));
  }
  const framesAlone = frames();
  await Promise.all(Array.from({ length: 200 }, () => store.create(aNewToken(), null, 1000, at(1))));
  // Alone, each call writes the pages that it changes. Ten times the calls together write hardly more pages.
  expect(frames() - framesAlone).toBeLessThan(framesAlone);
});

it("stays bounded under a steady load of changes, with readers beside it", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  let largest = 0;
  let written = 0;
  const facts = Array.from({ length: 12_000 }, () => aNewToken({ account: `acct_${randomBytes(2).toString("hex")}` }));
  await Promise.all(
    Array.from({ length: 64 }, async () => {
      for (let token = facts.pop(); token !== undefined; token = facts.pop()) {
        await store.create(token, null, 1000, at(1));
        await store.findByDigest(token.digest);
        written += 1;
        if (written % 100 === 0) {
          largest = Math.max(largest, store.stats().walBytes);
        }
      }
    }),
  );
  expect(store.stats().databaseBytes).toBeGreaterThan(4 * mebibyte);
  expect(largest).toBeGreaterThan(4 * mebibyte);
  // It starts anew at 8 MiB, or at 16 or 24 where a reader was in the way; the operator is told at 32.
  expect(largest).toBeLessThan(32 * mebibyte);
});

it("is moved into the database after a few changes already on a tight disk, to make do with the room it has", () => {
  const { directory, database } = dataFiles(temporaryDataDirectory());
  mkdirSync(directory);
  const db = openWriterDatabase(database);
  onTestFinished(() => {
    db.close();
  });
  const writer = createWriter(db);
  for (let change = 0; change < 20; change += 1) {
    const token = aNewToken();
    const call = { method: "create" as const, token, request: null, maxLiveTokens: 100, context: at(1) };
    writer.transact(() => writer.create(call, () => false));
  }
  const waiting = () => {
    const [row] = db.pragma("wal_checkpoint(NOOP)") as { readonly log: number; readonly checkpointed: number }[];
    return (row?.log ?? 0) - (row?.checkpointed ?? 0);
  };
  checkpointWhenLong(db, false, quietLog, () => {});
  expect(waiting()).toBeGreaterThan(20);
  checkpointWhenLong(db, true, quietLog, () => {});
  expect(waiting()).toBe(0);
});

it("is spoken of when it grows because another program reads what it held before", () => {
  const { directory, database } = dataFiles(temporaryDataDirectory());
  mkdirSync(directory);
  const db = openWriterDatabase(database);
  const reader = new Database(database, { readonly: true });
  onTestFinished(() => {
    reader.close();
    db.close();
  });
  const said: string[] = [];
  const log = { ...quietLog, warn: (_fields: object, message: string) => said.push(message) };
  const grow = () => {
    db.exec(`CREATE TABLE junk AS SELECT randomblob(${40 * mebibyte})`);
    db.exec("DROP TABLE junk");
    checkpointWhenLong(db, false, log, () => {});
    db.exec("CREATE TABLE small (one INTEGER); DROP TABLE small");
  };
  grow();
  warnWhenHeld(db, log);
  expect(said).toEqual([]);
  reader.exec("BEGIN");
  reader.prepare("SELECT count(*) FROM token").get();
  grow();
  warnWhenHeld(db, log);
  expect(said).toEqual([expect.stringContaining("another program holds a read transaction")]);
  reader.exec("COMMIT");
  grow();
  warnWhenHeld(db, log);
  expect(said).toHaveLength(1);
});

it("is gone after the store is disposed", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  await store.create(aNewToken(), null, 1000, at(1));
  await store[Symbol.asyncDispose]();
  expect(readdirSync(directory).toSorted()).toEqual(["ballast", "lock.db", "revocations.log", "tokens.db"]);
});

it("keeps no sealed key of a revoked token, nor one older than 24 hours, in any file", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const rounds = Array.from({ length: 3000 }, (_, index) => ({
    token: aNewToken({ account: `acct_${index % 7}` }),
    // Random ids land everywhere in the tree, so that pages split, fill and empty.
    request: { id: randomBytes(16).toString("hex"), bodyDigest: randomBytes(32), sealedKey: randomBytes(75) },
    atMs: index % 3 === 0 ? 1 : 1000,
    isRevoked: index % 3 === 1,
  }));
  const inOrder = rounds.toSorted((a, b) => a.atMs - b.atMs);
  await Promise.all(inOrder.map(({ token, request, atMs }) => store.create(token, request, 10_000, at(atMs))));
  await Promise.all(
    rounds.filter(({ isRevoked }) => isRevoked).map(({ token }) => store.revoke(token.id, "", at(1001))),
  );
  const sealed = (which: (round: (typeof rounds)[number]) => boolean) =>
    rounds.filter(which).map(({ request }) => request.sealedKey);
  const keptKeys = sealed(({ isRevoked, atMs }) => !isRevoked && atMs === 1000);

  await store.forgetRequests(1 + requestMemoryMs);
  // Others take the places of those that are gone.
  await Promise.all(
    rounds
      .slice(0, 1500)
      .map(({ token, request, isRevoked, atMs }) =>
        isRevoked || atMs === 1
          ? store.create(
              { ...token, id: mintTokenId(), digest: randomBytes(32) },
              { ...request, id: `again ${request.id}`, sealedKey: randomBytes(75) },
              10_000,
              at(1000),
            )
          : null,
      ),
  );
  expect(
    foundIn(
      directory,
      sealed(({ isRevoked, atMs }) => isRevoked || atMs === 1),
    ),
  ).toHaveLength(0);
  expect(foundIn(directory, keptKeys)).toHaveLength(keptKeys.length);

  await store.forgetRequests(1000 + requestMemoryMs);
  expect(
    foundIn(
      directory,
      sealed(() => true),
    ),
  ).toHaveLength(0);
  expect(statSync(join(directory, "tokens.db-wal")).size).toBe(0);
});
