import { createHash } from "node:crypto";
import Database from "better-sqlite3";
import { expect, it } from "vitest";
import { applicationId, migrate, migrations } from "../../src/stores/sqlite/schema.ts";

function migrated(): Database.Database {
  const db = new Database(":memory:");
  migrate(db);
  return db;
}

it("never changes a released step", () => {
  expect(migrations.map((step) => createHash("sha256").update(step).digest("hex"))).toMatchInlineSnapshot(`
    [
      "3fe472d9a1fc49fd014a3873cb9f9d511a84409b827d2fcbc73f61fc11697e67",
      "79765f7f31c0d154aceb0155c003171c110c3391e9423ed4d0ea493d01e635e8",
      "56f84cb776fdf4bca5b72e69c6bee7778d4f267f62836f9fbfb60c7f43156f94",
      "a9d44d5aefec6dd0c9cb5be0450197f1e4076aedaf21d4abeba137054d3d7e02",
    ]
  `);
});

it("says in the file what it is and how new", () => {
  const db = migrated();
  expect(db.pragma("application_id", { simple: true })).toBe(applicationId);
  expect(db.pragma("user_version", { simple: true })).toBe(migrations.length);
});

it("does nothing to a database of the present version", () => {
  const db = migrated();
  const before = db.prepare("SELECT * FROM sqlite_schema").all();
  migrate(db);
  expect(db.prepare("SELECT * FROM sqlite_schema").all()).toEqual(before);
});

it("makes strict tables only", () => {
  const tables = migrated().prepare("SELECT name, strict FROM pragma_table_list WHERE schema = 'main'").all();
  expect(tables).toEqual(
    expect.arrayContaining(
      ["journal", "token", "token_key", "last_use", "create_request", "sealed_key", "free_sealed_key", "authority"].map(
        (name) => ({
          name,
          strict: 1,
        }),
      ),
    ),
  );
});

it("refuses a digest that is not 32 bytes", () => {
  const db = migrated();
  db.pragma("foreign_keys = 0");
  const insert = db.prepare(
    "INSERT INTO token_key (digest, token_revision, issue_revision, key_hint) VALUES (?, 1, 1, 'hint')",
  );
  expect(() => insert.run(Buffer.alloc(31))).toThrow(/CHECK constraint failed/);
  expect(() => insert.run("x".repeat(32))).toThrow(/cannot store TEXT value in BLOB column/);
  insert.run(Buffer.alloc(32));
});
