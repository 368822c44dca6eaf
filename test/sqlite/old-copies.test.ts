import { execFileSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import Database from "better-sqlite3";
import { expect, it } from "vitest";
import { createTimeSeen } from "../../src/authority/clock.ts";
import type { JournalHead } from "../../src/authority/journal.ts";
import type { Log } from "../../src/machine/log.ts";
import { openMarker, readMarker } from "../../src/stores/sqlite/writer/marker.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { aLife, makeOldDirectory } from "./old-database.ts";
import { openStore, quietLog, startStoreChild, temporaryDataDirectory } from "./store-rig.ts";

const first = `tok_${"1".repeat(24)}`;
const second = `tok_${"2".repeat(24)}`;

/** A data directory in which `first` is revoked, and a copy of it from before. */
async function aRevokedDirectory(): Promise<{ readonly directory: string; readonly copy: string }> {
  const directory = temporaryDataDirectory();
  await change(directory, (store) => store.create(aNewToken({ id: first }), null, 10, at(1000)));
  const copy = temporaryDataDirectory();
  cpSync(directory, copy, { recursive: true });
  await change(directory, (store) => store.revoke(first, "leaked", at(2000)));
  return { directory, copy };
}

async function change(
  directory: string,
  work: (store: Awaited<ReturnType<typeof openStore>>) => Promise<unknown>,
  options: Parameters<typeof openStore>[2] = {},
): Promise<void> {
  const store = await openStore(directory, 0, options);
  await work(store);
  await store[Symbol.asyncDispose]();
}

async function nothing(): Promise<void> {}

it("does not serve an old copy that was put in the place of the data directory, with the log of its age", async () => {
  const { directory, copy } = await aRevokedDirectory();
  rmSync(directory, { recursive: true });
  cpSync(copy, directory, { recursive: true });
  await expect(openStore(directory)).rejects.toThrow(
    /^the marker .*data\.marker tells of revision 2, and the database .*tokens\.db ends at 1: this is an old copy, .*npm run restore$/,
  );
});

it("does not serve a copy elsewhere, of which nobody knows how old it is, until it is called the newest", async () => {
  const { copy } = await aRevokedDirectory();
  await expect(openStore(copy)).rejects.toThrow(
    /^there is no marker .*, though the database .* has 1 changes: .*--new-marker$/,
  );
  await change(copy, nothing, { makeAnew: ["marker"] });
  await change(copy, nothing);
  await expect(openStore(copy, 0, { makeAnew: ["marker"] })).rejects.toThrow(/^--new-marker: .* start without/);
});

it("does not serve a database out of whose journal the change was taken that the marker tells of", async () => {
  const { directory } = await aRevokedDirectory();
  const marker = readFileSync(`${directory}.marker`);
  await change(directory, (store) => store.create(aNewToken({ id: second }), null, 10, at(3000)));
  const db = new Database(join(directory, "tokens.db"));
  db.exec("PRAGMA foreign_keys = OFF; DELETE FROM journal WHERE revision = 2");
  db.close();
  writeFileSync(`${directory}.marker`, marker);
  await expect(openStore(directory)).rejects.toThrow(/^the marker .* tells of revision 2, and .* has none: /);
});

const token = aNewToken({ id: first });
const revoked = { atMs: 2000, reason: "leaked" };

/** A directory of the release that had no marker and gave databases no names, in which `first` is revoked. */
function anUnnamedDirectory(): { readonly directory: string; readonly head: JournalHead } {
  const directory = temporaryDataDirectory();
  return { directory, head: makeOldDirectory(directory, [aLife({ token, createdAtMs: 1000, revoked })], 2) };
}

const lines: string[] = [];
const log: Log = { ...quietLog, warn: (_, message) => lines.push(message) };

it("opens a database of the release before, which had no marker, and says that it makes one", async () => {
  for (const makeAnew of [[], ["marker"]] as const) {
    const { directory } = anUnnamedDirectory();
    lines.length = 0;
    const store = await openStore(directory, 0, { log, makeAnew });
    expect(store.opened).toMatchObject({ isNew: false, tokens: 1, revision: 3 });
    expect(lines).toContainEqual(expect.stringMatching(/^made the marker: the database is of a release that had none/));
    await store[Symbol.asyncDispose]();
    expect(readMarker(`${directory}.marker`)).toMatchObject({ revision: 3 });
    await change(directory, nothing);
    rmSync(`${directory}.marker`);
    await expect(openStore(directory)).rejects.toThrow(/^there is no marker/);
  }
});

it("goes on with an upgrade that was ended once the marker was made", async () => {
  const { directory, head } = anUnnamedDirectory();
  const authority = "0123456789abcdef".repeat(2);
  openMarker(`${directory}.marker`, authority, head, 0, () => {})[Symbol.dispose]();
  await change(directory, nothing);
  await change(directory, nothing);
  expect(readMarker(`${directory}.marker`)).toMatchObject({ authority, revision: 3 });
});

it("does not serve an old copy from before the upgrade, and leaves it as it is", async () => {
  const { directory } = await aRevokedDirectory();
  const copy = temporaryDataDirectory();
  makeOldDirectory(copy, [aLife({ token, createdAtMs: 1000 })], 2);
  const before = readFileSync(join(copy, "tokens.db"));
  await expect(openStore(copy, 0, { marker: `${directory}.marker` })).rejects.toThrow(
    /tells of revision 2, and the database .* ends at 1: this is an old copy/,
  );
  expect(readFileSync(join(copy, "tokens.db"))).toEqual(before);
});

it("does not begin with an empty database where there was one, until it is told to, and makes nothing", async () => {
  const { directory } = await aRevokedDirectory();
  rmSync(directory, { recursive: true });
  await expect(openStore(directory)).rejects.toThrow(
    /^there is no database .*tokens\.db, where there was one with 2 changes, says the marker .*npm run restore.*--init/,
  );
  expect(existsSync(directory)).toBe(false);
  const store = await openStore(directory, 0, { makeAnew: ["database"] });
  expect(store.opened).toMatchObject({ isNew: true, tokens: 0, revision: 0 });
  await store[Symbol.asyncDispose]();
  await change(directory, nothing);
  await expect(openStore(directory, 0, { makeAnew: ["database"] })).rejects.toThrow(
    /^--init: .* start without --init$/,
  );
});

it("does not begin with an empty database beside a log that tells of changes, though the marker is gone", async () => {
  const { directory } = await aRevokedDirectory();
  const log = join(directory, "revocations.log");
  rmSync(`${directory}.marker`);
  for (const name of readdirSync(directory).filter((name) => name !== "revocations.log")) {
    rmSync(join(directory, name));
  }
  const before = readFileSync(log);
  for (const makeAnew of [[], ["database"]] as const) {
    await expect(openStore(directory, 0, { makeAnew })).rejects.toThrow(
      /^there is no database .*, and the revocation log .* tells of one/,
    );
  }
  expect(readdirSync(directory)).toEqual(["revocations.log"]);
  expect(readFileSync(log)).toEqual(before);
});

it("does not serve a database of another installation, nor one of another history", async () => {
  const { directory, copy } = await aRevokedDirectory();
  const other = await aRevokedDirectory();
  await expect(openStore(other.directory, 0, { marker: `${directory}.marker` })).rejects.toThrow(
    /tells of revision 2 of another installation than the database/,
  );
  // As a restore of the copy would: the same revision, another change.
  await change(copy, (store) => store.create(aNewToken({ id: second }), null, 10, at(3000)), { makeAnew: ["marker"] });
  await expect(openStore(directory, 0, { marker: `${copy}.marker` })).rejects.toThrow(
    /tells of revision 2, and the database .* has another one: this is a copy from before a restore/,
  );
});

it("knows a revocation by the time it is answered, also when the process is killed then", async () => {
  const directory = temporaryDataDirectory();
  const child = await startStoreChild(directory);
  const { id } = await child.ask({ do: "create" });
  expect(await child.ask({ do: "revoke", id })).toEqual({ isRevoked: true });
  child.process.kill("SIGKILL");
  await child.exit;
  expect(readMarker(`${directory}.marker`)).toMatchObject({ revision: 2 });
  const store = await openStore(directory);
  expect(store.opened).toMatchObject({ isNew: false, tokens: 1, revision: 2 });
});

it("loses one note at the most to a write that was cut", async () => {
  const { directory } = await aRevokedDirectory();
  const marker = `${directory}.marker`;
  const whole = readFileSync(marker);
  const newest = readMarker(marker);
  const at = whole.indexOf(`"timeMs":${newest?.timeMs},"check"`, whole.indexOf('"revision":2'));
  const slot = at < 512 ? 0 : 512;
  const cut = Buffer.from(whole);
  cut.fill(0, slot + 40, slot + 100);
  writeFileSync(marker, cut);
  expect(readMarker(marker)?.revision).toBeGreaterThanOrEqual(1);
  await change(directory, nothing);
  expect(readMarker(marker)).toMatchObject({ revision: 2 });
});

it("touches no file that is no marker, and follows no link", async () => {
  const { directory } = await aRevokedDirectory();
  const marker = `${directory}.marker`;
  const elsewhere = join(dirname(directory), "passwords");
  renameSync(marker, elsewhere);
  symlinkSync(elsewhere, marker);
  await expect(openStore(directory)).rejects.toThrow(
    /^the marker .* cannot be read \(ELOOP\): set TOKEN_AUTHORITY_MARKER/,
  );
  rmSync(marker);
  writeFileSync(marker, "root:x:0:0");
  await expect(openStore(directory)).rejects.toThrow(/is no marker of a token authority/);
  expect(readFileSync(marker, "utf8")).toBe("root:x:0:0");
});

it("does not wait for a pipe in the place of the marker", async () => {
  const directory = temporaryDataDirectory();
  execFileSync("mkfifo", [`${directory}.marker`]);
  await expect(openStore(directory)).rejects.toThrow("no regular file");
});

it("says where the marker cannot be made", async () => {
  const marker = "/proc/none/data.marker";
  await expect(openStore(temporaryDataDirectory(), 0, { marker })).rejects.toThrow(
    /^the marker \/proc\/none\/data\.marker cannot be made \(ENOENT\): set TOKEN_AUTHORITY_MARKER/,
  );
});

it("notes the greatest time that was seen, and keeps it where nobody asks for the time", async () => {
  const directory = temporaryDataDirectory();
  await change(directory, nothing, { timeSeen: createTimeSeen(123_456) });
  const store = await openStore(directory);
  expect(store.opened.notedMs).toBe(123_456);
  await store[Symbol.asyncDispose]();
  expect(readMarker(`${directory}.marker`)).toMatchObject({ timeMs: 123_456 });
});
