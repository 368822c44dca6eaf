import type Database from "better-sqlite3";
import { StartError } from "../../machine/start-error.ts";

/** "CASA" in ASCII: tells our databases from others, also to file(1). */
export const applicationId = 0x43415341;

/**
 * "CASB": a backup, which no version of the program serves. Only a restore, which knows what was revoked since, makes a
 * database of it again.
 */
const backupApplicationId = 0x43415342;

/**
 * The steps from an empty database to the present one, a version each. Append only: a released step never changes. A
 * release refuses a database that a newer one has migrated.
 *
 * A token's primary key is the revision that created it. So every index ends in it, and newest first needs no sorting.
 */
export const migrations: readonly string[] = [
  `
  CREATE TABLE journal (
    revision INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    caller TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('create', 'revoke')),
    token_id TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
  ) STRICT;

  CREATE TABLE token (
    revision INTEGER PRIMARY KEY REFERENCES journal (revision),
    id TEXT NOT NULL UNIQUE,
    digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('secret', 'publishable', 'restricted')),
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    key_hint TEXT NOT NULL,
    permissions TEXT NOT NULL CHECK (json_valid(permissions)),
    created_by TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER,
    revoke_reason TEXT NOT NULL DEFAULT '',
    revoke_revision INTEGER REFERENCES journal (revision),
    CHECK ((revoked_at_ms IS NULL) = (revoke_revision IS NULL)),
    CHECK (revoked_at_ms IS NOT NULL OR revoke_reason = '')
  ) STRICT;

  CREATE INDEX token_by_account ON token (account);
  CREATE INDEX token_unrevoked ON token (account, expires_at_ms, revoked_at_ms) WHERE revoked_at_ms IS NULL;

  CREATE TABLE last_use (
    token_revision INTEGER PRIMARY KEY REFERENCES token (revision),
    used_at_ms INTEGER NOT NULL
  ) STRICT;

  CREATE TABLE sealed_key (
    slot INTEGER PRIMARY KEY,
    content BLOB NOT NULL CHECK (length(content) = 128)
  ) STRICT;

  CREATE TABLE free_sealed_key (
    slot INTEGER PRIMARY KEY REFERENCES sealed_key (slot)
  ) STRICT;

  CREATE TABLE create_request (
    caller TEXT NOT NULL,
    account TEXT NOT NULL,
    request_id TEXT NOT NULL,
    body_digest BLOB NOT NULL,
    token_revision INTEGER NOT NULL REFERENCES token (revision),
    sealed_slot INTEGER REFERENCES sealed_key (slot),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, account, request_id)
  ) STRICT, WITHOUT ROWID;

  CREATE INDEX create_request_by_time ON create_request (at_ms);
  CREATE INDEX create_request_by_token ON create_request (token_revision);
  `,
  // Counts an account's revoked tokens. Create does not touch it.
  `
  CREATE INDEX token_revoked ON token (account, revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;
  `,
  // Tells one authority's database from another's, also while neither has a change.
  `
  CREATE TABLE authority (id TEXT NOT NULL CHECK (length(id) = 32)) STRICT;
  INSERT INTO authority (id) VALUES (lower(hex(randomblob(16))));
  `,
];

/** The step that gave databases a name. Markers came with it: an older database never had one. */
const namingVersion = 3;

/**
 * Brings the database to the present version, each step in a transaction of its own. `nameUnnamed` says what a database
 * shall be called that was made before databases had names; by default it gets a new name.
 */
export function migrate(db: Database.Database, nameUnnamed?: (db: Database.Database) => string): void {
  assertNotNewer(db);
  const version = versionOf(db);
  const isUnnamed = version > 0 && version < namingVersion;
  migrateSteps(db, applicationId, isUnnamed ? nameUnnamed?.(db) : undefined);
}

function migrateSteps(db: Database.Database, id: number, name?: string): void {
  migrations.slice(versionOf(db)).forEach((step, done, steps) => {
    const version = migrations.length - steps.length + done + 1;
    db.transaction(() => {
      db.exec(step);
      if (version === namingVersion && name !== undefined) {
        db.prepare<[string]>("UPDATE authority SET id = ?").run(name);
      }
      db.pragma(`application_id = ${id}`);
      db.pragma(`user_version = ${version}`);
    }).immediate();
  });
}

function markAsBackup(db: Database.Database): void {
  db.pragma(`application_id = ${backupApplicationId}`);
}

/** Makes a database of the backup, in the transaction that brings it up to date. */
export function unmarkBackup(db: Database.Database): void {
  db.pragma(`application_id = ${applicationId}`);
}

/**
 * Brings a backup to the present version. It stays a backup. Throws when it is neither a backup nor a database of ours,
 * or is newer.
 */
export function migrateBackup(db: Database.Database): void {
  const id = idOf(db);
  if (id !== applicationId && id !== backupApplicationId) {
    throw new StartError(`${db.name} is not a backup of a token authority`);
  }
  assertKnownVersion(db);
  migrateSteps(db, backupApplicationId);
  markAsBackup(db);
}

/** Throws when the database is not one of ours, or was made by a newer version of this program. */
export function assertNotNewer(db: Database.Database): void {
  const version = versionOf(db);
  const isEmpty = db.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined;
  if (idOf(db) === backupApplicationId) {
    throw new StartError(
      `${db.name} is a backup, in which keys that were revoked since would live again: npm run restore makes a database of it`,
    );
  }
  const isOurs = idOf(db) === applicationId;
  if (!isOurs && (!isEmpty || version !== 0)) {
    throw new StartError(`${db.name} is not a database of the token authority`);
  }
  assertKnownVersion(db);
}

function assertKnownVersion(db: Database.Database): void {
  const version = versionOf(db);
  if (version > migrations.length) {
    throw new StartError(
      `${db.name} has schema version ${version}, made by a newer token authority: this one knows versions up to ${migrations.length}`,
    );
  }
}

/** Throws unless the database is one of ours and of the present version. */
export function assertOurs(db: Database.Database): void {
  assertNotNewer(db);
  if (versionOf(db) !== migrations.length) {
    throw new StartError(
      `${db.name} has schema version ${versionOf(db)}, not ${migrations.length}: start the token authority on it once`,
    );
  }
}

function idOf(db: Database.Database): unknown {
  return db.pragma("application_id", { simple: true });
}

function versionOf(db: Database.Database): number {
  return Number(db.pragma("user_version", { simple: true }));
}
