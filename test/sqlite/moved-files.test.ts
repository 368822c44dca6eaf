import { cpSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

const ways: readonly (readonly [string, (directory: string) => void])[] = [
  ["the lock's file was removed", (directory) => rmSync(join(directory, "lock.db"))],
  ["the lock's file was replaced", (directory) => replace(join(directory, "lock.db"))],
  ["the database was replaced by a copy", (directory) => replace(join(directory, "tokens.db"))],
  ["the write-ahead log was removed", (directory) => rmSync(join(directory, "tokens.db-wal"))],
  ["the write-ahead log's index was removed", (directory) => rmSync(join(directory, "tokens.db-shm"))],
  ["the marker was removed", (directory) => rmSync(`${directory}.marker`)],
  ["the data directory was moved away", (directory) => renameSync(directory, `${directory}.moved`)],
  ["the data directory was replaced", replaceDirectory],
];

function replace(file: string): void {
  cpSync(file, `${file}.copy`);
  renameSync(`${file}.copy`, file);
}

function replaceDirectory(directory: string): void {
  renameSync(directory, `${directory}.moved`);
  mkdirSync(directory, { mode: 0o700 });
  cpSync(`${directory}.moved`, directory, { recursive: true });
}

it.each(ways)("answers no change once %s, and fails", async (_what, spoil) => {
  const directory = temporaryDataDirectory();
  const failed = Promise.withResolvers<unknown>();
  const store = await openStore(directory, 0, { onFatal: failed.resolve });
  await store.create(aNewToken(), null, 10, at(1000));
  spoil(directory);
  await expect(store.create(aNewToken(), null, 10, at(2000))).rejects.toMatchObject({ reason: "UNDECIDED" });
  expect(await failed.promise).toMatchObject({ message: expect.stringMatching(/was moved, removed/) });
  expect(store.isServing()).toBe(false);
});

it.each(ways)("notices within seconds, when nobody changes anything, that %s", async (_what, spoil) => {
  const directory = temporaryDataDirectory();
  const failed = Promise.withResolvers<unknown>();
  const store = await openStore(directory, 0, { onFatal: failed.resolve });
  spoil(directory);
  expect(await failed.promise).toMatchObject({ message: expect.stringMatching(/was moved, removed/) });
  expect(() => store.findByDigest(Buffer.alloc(32))).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
});
