import { randomUUID } from "node:crypto";
import { mkdirSync, statSync } from "node:fs";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import type { ChangeCall, CreateCall, RevokeCall } from "../../src/stores/changes/change-call.ts";
import { type DataFiles, dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { commitTogether } from "../../src/stores/sqlite/writer/group-commit.ts";
import { createStorageRoom, type StorageRoom } from "../../src/stores/sqlite/writer/storage-room.ts";
import { createWriter, type Writer } from "../../src/stores/sqlite/writer/writer.ts";
import type { WriterAnswer } from "../../src/stores/sqlite/writer-call.ts";
import { aNewToken, aRequest, at } from "../support/token-store/builders.ts";
import { quietLog, temporaryDataDirectory } from "./store-rig.ts";

type Rig = {
  readonly files: DataFiles;
  readonly db: Database.Database;
  readonly writer: Writer;
  readonly room: StorageRoom;
  /** How many were begun. */
  transactions(): number;
  commit(...calls: readonly ChangeCall[]): readonly WriterAnswer[];
};

function openRig(): Rig {
  const files = dataFiles(temporaryDataDirectory());
  mkdirSync(files.directory);
  const db = openWriterDatabase(files.database);
  onTestFinished(() => {
    db.close();
  });
  const room = createStorageRoom(files, 0, () => performance.now(), quietLog);
  room.restoreBallast();
  const plainWriter = createWriter(db);
  let transactions = 0;
  const writer: Writer = {
    ...plainWriter,
    transact(work) {
      transactions += 1;
      return plainWriter.transact(work);
    },
  };
  return {
    files,
    db,
    writer,
    room,
    transactions: () => transactions,
    commit(...calls) {
      const answers = commitTogether(writer, room, calls);
      return calls.map((call) => answers.get(call) ?? { method: "done" });
    },
  };
}

function aCreate(facts: Parameters<typeof aNewToken>[0] = {}): CreateCall {
  return { method: "create", token: aNewToken(facts), request: null, maxLiveTokens: 1000, context: at(1000) };
}

function aRevoke(id: string): RevokeCall {
  return { method: "revoke", id, reason: "", context: at(2000) };
}

/** Lets the database grow no more, as a full disk would, and then by `pages`. */
function fill(db: Database.Database, pages = 0): void {
  db.pragma(`max_page_count = ${Number(db.pragma("page_count", { simple: true })) + pages}`);
}

it("commits once for all calls that come together", () => {
  const rig = openRig();
  const answers = rig.commit(...Array.from({ length: 100 }, () => aCreate()));
  expect(answers.every((one) => one.method === "create" && one.outcome.kind === "created")).toBe(true);
  expect(rig.transactions()).toBe(1);
});

it("gives each call its own outcome when one breaks the transaction, and runs revocations first", () => {
  const rig = openRig();
  const old = aCreate();
  rig.commit(old);
  const answers = rig.commit(aCreate(), aCreate({ digest: old.token.digest }), aCreate(), aRevoke(old.token.id));
  expect(answers).toMatchObject([
    { method: "create", outcome: { kind: "created", change: { revision: 3 } } },
    { method: "failed", failure: { code: "SQLITE_CONSTRAINT_PRIMARYKEY" } },
    { method: "create", outcome: { kind: "created", change: { revision: 4 } } },
    { method: "revoke", outcome: { change: { revision: 2 } } },
  ]);
  expect(rig.db.prepare("SELECT count(*) AS n FROM journal").get()).toEqual({ n: 4 });
});

it("answers storage_low to creations on a full disk, and keeps nothing of them", () => {
  const rig = openRig();
  fill(rig.db);
  const answers = rig.commit(...Array.from({ length: 200 }, () => aCreate()));
  const kinds = answers.map((one) => (one.method === "create" ? one.outcome.kind : one.method));
  expect(new Set(kinds)).toEqual(new Set(["created", "storage_low"]));
  expect(rig.db.prepare("SELECT count(*) AS n FROM token").get()).toEqual({
    n: kinds.filter((kind) => kind === "created").length,
  });
  expect(rig.room.hasBallast()).toBe(true);
  expect(rig.room.isTight()).toBe(true);
});

it("gives up the ballast for a revocation on a full disk, once, and says so when even that does not help", () => {
  const rig = openRig();
  const creations = Array.from({ length: 200 }, () => aCreate());
  rig.commit(...creations);
  fill(rig.db);
  const answers = rig.commit(...creations.map((one) => aRevoke(one.token.id)));
  const last = answers.at(-1);
  expect(last).toMatchObject({ method: "failed", failure: { code: "SQLITE_FULL" } });
  expect(rig.room.hasBallast()).toBe(false);
  expect(statSync(rig.files.ballast, { throwIfNoEntry: false })).toBeUndefined();

  fill(rig.db, 100);
  const again = rig.commit(...creations.map((one) => aRevoke(one.token.id)));
  expect(again.every((one) => one.method === "revoke" && one.outcome !== null)).toBe(true);
  expect(rig.commit(aCreate())).toEqual([{ method: "create", outcome: { kind: "storage_low" } }]);
});

it("does not wait once a call for another program that holds the database", () => {
  const rig = openRig();
  rig.db.pragma("busy_timeout = 10");
  const other = new Database(rig.files.database);
  other.exec("BEGIN IMMEDIATE");
  const answers = rig.commit(aCreate(), aCreate());
  expect(answers).toMatchObject([
    { method: "failed", failure: { code: "SQLITE_BUSY" } },
    { method: "failed", failure: { code: "SQLITE_BUSY" } },
  ]);
  expect(rig.transactions()).toBe(1);
  other.close();
  expect(rig.commit(aCreate())).toMatchObject([{ outcome: { change: { revision: 1 } } }]);
});

it("throws, and answers nothing, when the file turns out to be damaged", () => {
  const rig = openRig();
  const create = aCreate();
  rig.commit(create);
  // A page of the index that finds tokens by id, which the checks of a revocation read.
  const { rootpage } = rig.db
    .prepare<[], { rootpage: number }>("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_token_1'")
    .get() ?? { rootpage: 0 };
  rig.db.unsafeMode();
  rig.db.pragma("writable_schema = 1");
  rig.db.exec(`UPDATE sqlite_schema SET rootpage = ${rootpage + 100_000} WHERE name = 'sqlite_autoindex_token_1'`);
  rig.db.pragma("writable_schema = RESET");
  expect(() => rig.commit(aRevoke(create.token.id))).toThrow(
    expect.objectContaining({ code: expect.stringMatching(/^SQLITE_CORRUPT/) }),
  );
});

it("forgets requests a bounded number at a time", () => {
  const rig = openRig();
  rig.commit(...Array.from({ length: 700 }, () => ({ ...aCreate(), request: aRequest(randomUUID()) })));
  const later = 1000 + 24 * 60 * 60 * 1000;
  const rounds = Array.from({ length: 3 }, () => rig.writer.transact(() => rig.writer.forgetSomeRequests(later)));
  expect(rounds).toEqual([500, 200, 0]);
});
