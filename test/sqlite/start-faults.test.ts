import { spawnSync } from "node:child_process";
import { chmodSync, closeSync, openSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, it, type TestContext } from "vitest";
import { StartError } from "../../src/machine/start-error.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { childFile } from "./store-process.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

/** What a process with a store says when it cannot start, under another command. */
function refusalUnder(context: TestContext, directory: string, ...wrapper: readonly string[]): string {
  const [command = "", ...parameters] = wrapper;
  const tried = spawnSync(command, [...parameters, "true"]);
  context.skip(tried.status !== 0, `needs a working ${command}: ${tried.error?.message ?? tried.stderr}`);
  const { stderr } = spawnSync(command, [...parameters, process.execPath, childFile, directory], { encoding: "utf8" });
  return stderr;
}

async function aDirectory(): Promise<string> {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  for (let count = 0; count < 200; count += 1) {
    await store.create(aNewToken(), null, 1000, at(1000));
  }
  await store[Symbol.asyncDispose]();
  return directory;
}

it("names the owner of a data directory that is another user's", async (context) => {
  context.skip(process.getuid?.() !== 0, "needs root, to become another user");
  const directory = await aDirectory();
  chmodSync(join(directory, ".."), 0o711);
  const refusal = refusalUnder(context, directory, "setpriv", "--reuid=65534", "--clear-groups");
  expect(refusal).toMatch(
    /StartError: this user may not use .*data\/tokens\.db \(EACCES\): the directory .*data belongs to the user with the number 0: start as that user/,
  );
});

it("says that a file system is read-only", async (context) => {
  const directory = await aDirectory();
  const script = `mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"`;
  const refusal = refusalUnder(context, directory, "unshare", "-rm", "sh", "-c", script, directory);
  expect(refusal).toMatch(/StartError: .*data\/lock\.db is on a file system that is read-only \(EROFS\)/);
});

it("says that the disk is full", async (context) => {
  const directory = temporaryDataDirectory();
  const script = `mkdir "$0"; mount -t tmpfs -o size=256k,mode=700 tmpfs "$0" && { head -c 1m /dev/zero >"$0/junk"; exec "$@"; }`;
  const refusal = refusalUnder(context, directory, "unshare", "-rm", "sh", "-c", script, directory);
  expect(refusal).toMatch(
    /StartError: (the disk of .*data is full: make room on it, and try again|.*(cannot be .* \(ENOSPC\)))\n/,
  );
});

it("says that the disk is full, also where only the index of the write-ahead log has no room", async (context) => {
  const directory = await aDirectory();
  const script = `cp -r "$0" "$0.copy" && mount -t tmpfs -o size=12m,mode=700 tmpfs "$0" && cp "$0.copy/tokens.db" "$0.copy/revocations.log" "$0" &&
    : >"$0/lock.db" && { head -c 16m /dev/zero >"$0/junk"; exec "$@"; }`;
  const refusal = refusalUnder(context, directory, "unshare", "-rm", "sh", "-c", script, directory);
  expect(refusal).toMatch(/StartError: the disk of .*data is full: make room on it, and try again\n/);
});

it.each([
  ["is no database", (file: string) => writeFileSync(file, "no database, and long enough to be looked at".repeat(100))],
  ["has a damaged schema", (file: string) => overwrite(file, 100, 3000)],
])("names the database that %s, and the way out", async (_what, spoil) => {
  const directory = await aDirectory();
  spoil(join(directory, "tokens.db"));
  const refused = openStore(directory);
  await expect(refused).rejects.toBeInstanceOf(StartError);
  await expect(refused).rejects.toThrow(/tokens\.db is damaged \(SQLITE_.*verify-journal.*npm run restore/);
});

it("ends, and says why, when a read finds the database damaged while it is served", async () => {
  const directory = await aDirectory();
  const failed = Promise.withResolvers<unknown>();
  const store = await openStore(directory, 0, { onFatal: failed.resolve });
  const file = join(directory, "tokens.db");
  // All but the first page, which each connection knows.
  overwrite(file, 4096, statSync(file).size);
  expect(() => store.findByDigest(Buffer.alloc(32))).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
  expect(await failed.promise).toMatchObject({
    message: expect.stringMatching(/tokens\.db is damaged \(SQLITE_CORRUPT.*npm run restore/),
  });
  expect(store.isServing()).toBe(false);
});

/** In place: the file stays the same one. */
function overwrite(file: string, from: number, to: number): void {
  const descriptor = openSync(file, "r+");
  const bytes = readFileSync(file).subarray(from, to).fill(0x5a);
  writeSync(descriptor, bytes, 0, bytes.length, from);
  closeSync(descriptor);
}
