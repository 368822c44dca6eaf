import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, it } from "vitest";
import type { Log } from "../../src/machine/log.ts";
import { restore } from "../../src/stores/sqlite/offline/restore.ts";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { needs } from "../support/needs.ts";
import {
  aChangeQuery,
  aNewToken,
  anyLimit,
  aQuery,
  at,
  nowMs,
  revokedIn,
  sealedKeyIn,
} from "../support/token-store/builders.ts";
import { aLife, makeOldDirectory, type OldLife } from "./old-database.ts";
import { childFile } from "./store-process.ts";
import { editByHand, openStore, quietLog, temporaryDataDirectory } from "./store-rig.ts";

/** One of each kind: with a use, a sealed key, an end; revoked with a reason and without. */
function livesOfEveryKind(): readonly OldLife[] {
  const sealed = new Uint8Array(128);
  sealed.set([6, ...Buffer.from("sealed")]);
  return [
    aLife({ usedAtMs: nowMs + 5 }),
    aLife({ sealed, token: aNewToken({ name: "Ünï 💶", type: "secret", permissions: [], livemode: false }) }),
    aLife({ token: aNewToken({ account: "acct_2", expiresAtMs: nowMs + 1000, keyHint: "0000" }) }),
    aLife({ revoked: { atMs: nowMs + 7, reason: "leaked\n“here”" } }),
    aLife({ revoked: { atMs: nowMs + 8, reason: "" } }),
  ];
}

it("opens a data directory of the release before: every token is what it was, and the journal is whole", async () => {
  const lives = livesOfEveryKind();
  const directory = temporaryDataDirectory();
  const before = makeOldDirectory(directory, lives);
  const store = await openStore(directory);
  expect(store.opened).toMatchObject({ isNew: false, tokens: lives.length, revision: before.revision + 1 });
  for (const [index, { token, usedAtMs, revoked }] of lives.entries()) {
    const { digest, ...facts } = token;
    const now = {
      ...facts,
      createdBy: "maker",
      createdAtMs: nowMs,
      createRevision: index + 1,
      issueRevision: index + 1,
    };
    const end = { revokedAtMs: revoked?.atMs ?? null, revokeReason: revoked?.reason ?? "" };
    expect(await store.findByDigest(digest)).toMatchObject({ ...now, ...end });
    expect(await store.get(token.id)).toMatchObject({ ...now, ...end, lastUsedAtMs: usedAtMs });
  }
  const { tokens } = await store.list(aQuery());
  expect(tokens.map(({ id }) => id)).toEqual(lives.map(({ token }) => token.id).toReversed());
  const page = await store.listChanges(aChangeQuery());
  expect(page?.changes.map(({ revision, reason }) => [revision, reason])).toEqual([
    [8, ""],
    [7, ""],
    [6, "leaked\n“here”"],
    [5, ""],
    [4, ""],
    [3, ""],
    [2, ""],
    [1, ""],
  ]);
  // What older hashes cover is not told as facts.
  expect(page?.changes.map(({ facts }) => facts === "")).toEqual([false, ...Array.from({ length: 7 }, () => true)]);
  expect(page?.changes[0]).toMatchObject({ action: "attest", subject: null, account: "", tokenType: null });
  const asked = lives[1]?.token ?? aNewToken();
  const again = { id: asked.id, bodyDigest: new Uint8Array(32), sealedKey: new Uint8Array(1) };
  expect(sealedKeyIn(await store.create(aNewToken(), again, anyLimit, at(nowMs + 1, "maker")))).toBe("sealed");
  expect(verifyJournal(directory, before)).toEqual({ fault: null, head: store.head() });
});

it("goes on from there, and is not upgraded again", async () => {
  const directory = temporaryDataDirectory();
  const [life = aLife(), ...others] = livesOfEveryKind();
  const before = makeOldDirectory(directory, [life, ...others]);
  const store = await openStore(directory);
  await store.create(aNewToken(), null, anyLimit, at(nowMs + 10));
  await store.revoke(life.token.id, "later", at(nowMs + 11));
  await store[Symbol.asyncDispose]();
  const reopened = await openStore(directory);
  expect(reopened.head().revision).toBe(before.revision + 3);
  expect(reopened.opened.tokens).toBe(others.length + 2);
  expect(verifyJournal(directory, before)).toEqual({ fault: null, head: reopened.head() });
});

it.each([
  [
    "UPDATE token SET name = 'other' WHERE revision = 1",
    /^the name, key hint or revoke reason of a token .* revision 8 /,
  ],
  ["UPDATE token_key SET key_hint = '9999' WHERE issue_revision = 1", /^the name, key hint or revoke reason /],
  ["UPDATE token SET revoke_reason = 'fine' WHERE revision = 4", /^the name, key hint or revoke reason /],
  ["UPDATE token SET account = 'acct_9' WHERE revision = 1", /^the hash of revision 1 fits neither/],
  ["UPDATE token_key SET digest = zeroblob(32) WHERE issue_revision = 1", /^the hash of revision 1 fits neither/],
  ["UPDATE journal SET facts = '{}' WHERE revision = 8", /^the name, key hint or revoke reason /],
  ["UPDATE journal SET facts = '{}' WHERE revision = 1", /^revision 1 says something else of its token/],
  ["UPDATE journal SET action = 'hold' WHERE revision = 8", /^revision 8 does not attest the changes before it/],
  ["UPDATE journal SET caller = 'me' WHERE revision = 8", /^the hash of revision 8 fits neither/],
  ["UPDATE authority SET last_old_revision = 0", /^the hash of revision 1 fits neither/],
  ["UPDATE authority SET last_old_revision = 6", /^the hash of revision 7 fits neither|^revision 7 does not attest/],
])("finds what was edited by hand since the upgrade: %s", async (edit, fault) => {
  const directory = temporaryDataDirectory();
  makeOldDirectory(directory, livesOfEveryKind());
  await (await openStore(directory))[Symbol.asyncDispose]();
  expect(verifyJournal(directory, null).fault).toBeNull();
  editByHand(join(directory, "tokens.db"), edit);
  expect(verifyJournal(directory, null).fault).toMatch(fault);
});

it("a backup of the release before is restored with the log that has gone on through the upgrade, or with log lines", async () => {
  const said: object[] = [];
  const log: Log = { ...quietLog, info: (fields, msg) => said.push({ level: 30, pid: 1, ...fields, msg }) };
  const directory = temporaryDataDirectory();
  const lives = livesOfEveryKind();
  const backupHead = makeOldDirectory(directory, lives);
  const backup = `${directory}.backup`;
  copyFileSync(join(directory, "tokens.db"), backup);
  const copy = new Database(backup);
  copy.pragma("journal_mode = DELETE");
  copy.pragma(`application_id = ${0x43415342}`);
  copy.close();
  const store = await openStore(directory, 0, { log });
  const id = lives[0]?.token.id ?? "";
  const { change } = revokedIn(await store.revoke(id, "leaked", at(nowMs + 20)));
  await store[Symbol.asyncDispose]();
  const hash = Buffer.from(change?.hash ?? []).toString("hex");
  said.push({
    level: 30,
    time: nowMs + 20,
    pid: 1,
    action: "revoke",
    token_id: id,
    caller: "me",
    revision: 9,
    hash,
    msg: "changed",
  });
  const lines = `${directory}.lines`;
  writeFileSync(lines, said.map((one) => `${JSON.stringify(one)}\n`).join(""));

  for (const revocations of [[join(directory, "revocations.log")], [lines]]) {
    const target = temporaryDataDirectory();
    const order = { backup, directory: target, revocationLog: null, marker: null, revocations, acceptLost: false };
    const restored = await restore(order, nowMs + 30);
    expect(restored).toMatchObject({ backupHead, reached: 9, revokedAgain: 1, gaps: [], unreadable: [] });
    expect(verifyJournal(target, backupHead)).toEqual({ fault: null, head: restored.head });
    const again = await openStore(target);
    expect(await again.get(id)).toMatchObject({ revokedAtMs: nowMs + 20, createRevision: 1 });
  }
});

it("an upgrade that is killed in the middle leaves the old database, and the next start makes it whole", async (context) => {
  needs(context, "strace", "-e", "inject=pwrite64:error=EIO:when=1", "true");
  const versions: unknown[] = [];
  for (const when of [1, 20, 60, 100]) {
    const directory = temporaryDataDirectory();
    const head = makeOldDirectory(
      directory,
      Array.from({ length: 400 }, () => aLife()),
    );
    const wal = join(directory, "tokens.db-wal");
    const inject = ["-e", "trace=pwrite64", "-e", `inject=pwrite64:signal=KILL:when=${when}`];
    spawnSync("strace", ["-f", "-qq", "-P", wal, ...inject, process.execPath, childFile, directory]);
    const db = new Database(join(directory, "tokens.db"));
    const version = db.pragma("user_version", { simple: true });
    versions.push(version);
    if (version === 3) {
      expect(
        db.prepare("SELECT count(token.digest) AS n, max(journal.revision) AS last FROM token, journal").get(),
      ).toEqual({
        n: 400 * 400,
        last: 400,
      });
    }
    db.close();
    const store = await openStore(directory);
    expect(store.opened.tokens).toBe(400);
    expect(verifyJournal(directory, head)).toEqual({ fault: null, head: store.head() });
    await store[Symbol.asyncDispose]();
  }
  expect(versions.slice(0, 3)).toEqual([3, 3, 3]);
});

it("a database that was upgraded is refused by whoever knows less, and left as it is", async () => {
  const directory = temporaryDataDirectory();
  makeOldDirectory(directory, livesOfEveryKind());
  await (await openStore(directory))[Symbol.asyncDispose]();
  const file = join(directory, "tokens.db");
  const db = new Database(file);
  db.pragma("user_version = 5");
  db.close();
  const before = readFileSync(file);
  await expect(openStore(directory)).rejects.toThrow(/has schema version 5, made by a newer token authority/);
  expect(readFileSync(file)).toEqual(before);
});
