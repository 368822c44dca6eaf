import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { StartError } from "../../src/machine/start-error.ts";
import { lockDataDirectory } from "../../src/stores/sqlite/data-directory-lock.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { openStore, startStoreChild, temporaryDataDirectory } from "./store-rig.ts";

it("makes the directory and every file in it for its owner alone, whatever the umask", async () => {
  const directory = temporaryDataDirectory();
  const umask = process.umask(0);
  try {
    const store = await openStore(directory);
    await store.create(aNewToken(), null, 10, at(1));
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    const modes = readdirSync(directory).map((name) => [
      name,
      (statSync(join(directory, name)).mode & 0o777).toString(8),
    ]);
    expect(Object.fromEntries(modes)).toEqual({
      "lock.db": "600",
      "revocations.log": "600",
      "tokens.db": "600",
      "tokens.db-wal": "600",
      "tokens.db-shm": "600",
      ballast: "600",
    });
  } finally {
    process.umask(umask);
  }
});

it("closes a database file that others could read", async () => {
  const directory = temporaryDataDirectory();
  mkdirSync(directory, { mode: 0o755 });
  writeFileSync(join(directory, "tokens.db"), "", { mode: 0o644 });
  await openStore(directory);
  expect(statSync(join(directory, "tokens.db")).mode & 0o777).toBe(0o600);
});

it.each(["tokens.db", "lock.db"])("follows no link at the place of %s", async (name) => {
  const directory = temporaryDataDirectory();
  const elsewhere = `${directory}.elsewhere`;
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(elsewhere, "", { mode: 0o644 });
  symlinkSync(elsewhere, join(directory, name));
  await expect(openStore(directory)).rejects.toThrow(`${join(directory, name)}: is a link, which is not followed`);
  expect(statSync(elsewhere).mode & 0o777).toBe(0o644);
  expect(readFileSync(elsewhere, "utf8")).toBe("");
});

it("refuses a directory that others can write to", async () => {
  const directory = temporaryDataDirectory();
  mkdirSync(directory);
  chmodSync(directory, 0o770);
  await expect(openStore(directory)).rejects.toThrow(/can be written by others than its owner \(mode 770\)/);
  await expect(openStore(directory)).rejects.toBeInstanceOf(StartError);
  expect(readdirSync(directory)).toEqual([]);
});

it("refuses a path that is not a directory", async () => {
  const directory = temporaryDataDirectory();
  writeFileSync(directory, "");
  await expect(openStore(directory)).rejects.toThrow(/is not a directory/);
});

it("refuses a second owner at once, and leaves the first in peace", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  await expect(openStore(directory)).rejects.toThrow(/is in use by another process: end that one first/);
  await expect(openStore(directory)).rejects.toBeInstanceOf(StartError);
  expect(await store.create(aNewToken(), null, 10, at(1))).toMatchObject({ kind: "created" });
});

it("gives the directory back when the store is disposed", async () => {
  const directory = temporaryDataDirectory();
  const first = await openStore(directory);
  await first[Symbol.asyncDispose]();
  lockDataDirectory(directory)[Symbol.dispose]();
});

it("gives the directory back when the store could not be opened", async () => {
  const directory = temporaryDataDirectory();
  mkdirSync(directory);
  writeFileSync(join(directory, "tokens.db"), "not a database, and long enough that SQLite looks at it".repeat(100));
  await expect(openStore(directory)).rejects.toThrow(/is damaged \(SQLITE_NOTADB\)/);
  lockDataDirectory(directory)[Symbol.dispose]();
});

it("refuses a second process, and lets it in once the first was killed", async () => {
  const directory = temporaryDataDirectory();
  const child = await startStoreChild(directory);
  const { id } = await child.ask({ do: "create" });
  await expect(startStoreChild(directory)).rejects.toThrow(/is in use by another process/);
  await expect(openStore(directory)).rejects.toThrow(/is in use by another process/);
  child.process.kill("SIGKILL");
  await child.exit;
  const store = await openStore(directory);
  expect(await store.get(String(id))).toMatchObject({ id });
});
