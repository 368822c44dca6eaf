import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { expect, it } from "vitest";
import { openReaderDatabase, openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { applicationId, migrations } from "../../src/stores/sqlite/schema.ts";
import { temporaryDataDirectory } from "./store-rig.ts";

function temporaryDatabaseFile(): string {
  const directory = temporaryDataDirectory();
  mkdirSync(directory);
  return join(directory, "tokens.db");
}

function pragmasOf(db: Database.Database, ...names: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(names.map((name) => [name, db.pragma(name, { simple: true })]));
}

it("keeps the writer's settings on a file that is opened again, where SQLite itself would fall to others", () => {
  const file = temporaryDatabaseFile();
  openWriterDatabase(file).close();
  using db = disposable(openWriterDatabase(file));
  const expected = {
    journal_mode: "wal",
    synchronous: 2,
    foreign_keys: 1,
    trusted_schema: 0,
    secure_delete: 1,
    busy_timeout: 5000,
    cell_size_check: 1,
    temp_store: 2,
    wal_autocheckpoint: 0,
    query_only: 0,
  };
  expect(pragmasOf(db.db, ...Object.keys(expected))).toEqual(expected);
});

it("opens readers that cannot write", () => {
  const file = temporaryDatabaseFile();
  using writer = disposable(openWriterDatabase(file));
  using reader = disposable(openReaderDatabase(file));
  const expected = { journal_mode: "wal", query_only: 1, foreign_keys: 1, trusted_schema: 0, busy_timeout: 500 };
  expect(pragmasOf(reader.db, ...Object.keys(expected))).toEqual(expected);
  expect(() => reader.db.exec("DELETE FROM token")).toThrow(expect.objectContaining({ code: "SQLITE_READONLY" }));
  expect(writer.db.open).toBe(true);
});

it("refuses a newer database and leaves its every byte as it was, also what waits in its WAL", () => {
  const file = temporaryDatabaseFile();
  openWriterDatabase(file).close();
  const newer = new Database(file);
  newer.pragma("wal_autocheckpoint = 0");
  newer.pragma(`user_version = ${migrations.length + 1}`);
  const files = readdirSync(join(file, "..")).filter((name) => !name.endsWith("-shm"));
  expect(files.toSorted()).toEqual(["tokens.db", "tokens.db-wal"]);
  const before = files.map((name) => readFileSync(join(file, "..", name)));
  // Copies, as a crash would leave them: closing the connection would tidy up.
  const crashed = temporaryDatabaseFile();
  files.forEach((name, index) => {
    writeFileSync(join(crashed, "..", name), before[index] ?? "");
  });
  newer.close();

  expect(() => openWriterDatabase(crashed)).toThrow(
    `schema version ${migrations.length + 1}, made by a newer token authority`,
  );
  expect(files.map((name) => readFileSync(join(crashed, "..", name)))).toEqual(before);
});

it("refuses a newer database that is not in WAL mode and does not change that", () => {
  const file = temporaryDatabaseFile();
  const newer = new Database(file);
  newer.exec("CREATE TABLE token (id)");
  newer.pragma(`application_id = ${applicationId}`);
  newer.pragma("user_version = 99");
  newer.close();
  const before = readFileSync(file);
  expect(() => openWriterDatabase(file)).toThrow(/newer token authority/);
  expect(readFileSync(file).equals(before)).toBe(true);
});

it("refuses the database of another program and leaves it as it was", () => {
  const file = temporaryDatabaseFile();
  const foreign = new Database(file);
  foreign.exec("CREATE TABLE token (id)");
  foreign.close();
  const before = readFileSync(file);
  expect(() => openWriterDatabase(file)).toThrow(/not a database of the token authority/);
  expect(readFileSync(file).equals(before)).toBe(true);
});

it("refuses a reader where no writer has made the database", () => {
  expect(() => openReaderDatabase(temporaryDatabaseFile())).toThrow(
    expect.objectContaining({ code: "SQLITE_CANTOPEN" }),
  );
});

function disposable(db: Database.Database): Disposable & { readonly db: Database.Database } {
  return {
    db,
    [Symbol.dispose]() {
      db.close();
    },
  };
}
