import type Database from "better-sqlite3";
import type { JournalHead } from "../../authority/journal.ts";
import { StartError } from "../../machine/start-error.ts";
import { attestOldChanges } from "./old-hashes.ts";

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
  // Keys in a table of their own, by digest and by token. The journal tells of tokens and accounts, and keeps what was
  // done to them; of a creation, the token and its first key are what was done. All tables are made anew.
  `
  CREATE TABLE new_journal (
    revision INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    caller TEXT NOT NULL,
    action TEXT NOT NULL CHECK (action IN ('create', 'revoke', 'attest', 'rotate_key', 'end_key', 'cancel_rotation',
      'hold', 'resume', 'close', 'update', 'import')),
    token_revision INTEGER,
    account TEXT,
    facts TEXT CHECK (json_valid(facts)),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    CHECK (token_revision IS NULL OR account IS NULL)
  ) STRICT;
  INSERT INTO new_journal (revision, at_ms, caller, action, token_revision, hash)
    SELECT revision, at_ms, caller, action,
      CASE action WHEN 'create' THEN revision ELSE (SELECT token.revision FROM token WHERE token.id = journal.token_id) END,
      hash
    FROM journal ORDER BY revision;

  CREATE TABLE token_key (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    token_revision INTEGER NOT NULL REFERENCES token (revision),
    issue_revision INTEGER NOT NULL REFERENCES journal (revision),
    key_hint TEXT NOT NULL,
    ends_at_ms INTEGER,
    end_revision INTEGER REFERENCES journal (revision),
    CHECK ((ends_at_ms IS NULL) = (end_revision IS NULL))
  ) STRICT, WITHOUT ROWID;
  INSERT INTO token_key (digest, token_revision, issue_revision, key_hint)
    SELECT digest, revision, revision, key_hint FROM token ORDER BY digest;

  CREATE TABLE new_token (
    revision INTEGER PRIMARY KEY REFERENCES journal (revision),
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    name TEXT NOT NULL,
    type TEXT NOT NULL CHECK (type IN ('secret', 'publishable', 'restricted')),
    livemode INTEGER NOT NULL CHECK (livemode IN (0, 1)),
    permissions TEXT NOT NULL CHECK (json_valid(permissions)),
    created_by TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    revoked_at_ms INTEGER,
    revoke_reason TEXT NOT NULL DEFAULT '',
    revoke_revision INTEGER REFERENCES journal (revision),
    hold_revision INTEGER REFERENCES journal (revision),
    CHECK ((revoked_at_ms IS NULL) = (revoke_revision IS NULL)),
    CHECK (revoked_at_ms IS NOT NULL OR revoke_reason = '')
  ) STRICT;
  INSERT INTO new_token
    SELECT revision, id, account, name, type, livemode, permissions, created_by, created_at_ms, expires_at_ms,
      revoked_at_ms, revoke_reason, revoke_revision, NULL
    FROM token ORDER BY revision;

  CREATE TABLE account_state (
    account TEXT NOT NULL PRIMARY KEY,
    hold_revision INTEGER REFERENCES journal (revision),
    close_revision INTEGER REFERENCES journal (revision),
    CHECK (hold_revision IS NOT NULL OR close_revision IS NOT NULL)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE new_last_use (
    issue_revision INTEGER PRIMARY KEY REFERENCES journal (revision),
    used_at_ms INTEGER NOT NULL
  ) STRICT;
  INSERT INTO new_last_use SELECT token_revision, used_at_ms FROM last_use ORDER BY token_revision;

  CREATE TABLE new_create_request (
    caller TEXT NOT NULL,
    account TEXT NOT NULL,
    request_id TEXT NOT NULL,
    body_digest BLOB NOT NULL,
    token_revision INTEGER NOT NULL REFERENCES token (revision),
    issue_revision INTEGER NOT NULL REFERENCES journal (revision),
    sealed_slot INTEGER REFERENCES sealed_key (slot),
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, account, request_id)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO new_create_request
    SELECT caller, account, request_id, body_digest, token_revision, token_revision, sealed_slot, at_ms FROM create_request;

  DROP TABLE create_request;
  DROP TABLE last_use;
  DROP TABLE token;
  DROP TABLE journal;
  ALTER TABLE new_journal RENAME TO journal;
  ALTER TABLE new_token RENAME TO token;
  ALTER TABLE new_last_use RENAME TO last_use;
  ALTER TABLE new_create_request RENAME TO create_request;

  CREATE INDEX token_by_account ON token (account);
  CREATE INDEX token_unrevoked ON token (account, expires_at_ms, revoked_at_ms) WHERE revoked_at_ms IS NULL;
  CREATE INDEX token_revoked ON token (account, revoked_at_ms) WHERE revoked_at_ms IS NOT NULL;
  CREATE INDEX create_request_by_time ON create_request (at_ms);
  CREATE INDEX create_request_by_token ON create_request (token_revision);
  CREATE INDEX token_key_by_token ON token_key (token_revision, issue_revision, key_hint);
  CREATE INDEX journal_later ON journal (token_revision) WHERE action NOT IN ('create', 'revoke');
  CREATE INDEX journal_by_account ON journal (account) WHERE account IS NOT NULL;

  ALTER TABLE authority ADD COLUMN last_old_revision INTEGER NOT NULL DEFAULT 0;
  UPDATE authority SET last_old_revision = (SELECT coalesce(max(revision), 0) FROM journal);
  `,
];

/** The step that gave databases a name. Markers came with it: an older database never had one. */
const namingVersion = 3;
/** The step since which a hash covers all of a change. */
const factsVersion = 4;

export type Migration = {
  /**
   * What a database shall be called that was made before databases had names. By default it gets a new name.
   */
  readonly nameUnnamed?: (db: Database.Database) => string;
  /** Told of the change that covers what the older ones leave out, once it is made. */
  readonly onAttested?: (change: JournalHead) => void;
};

/** Brings the database to the present version, each step in a transaction of its own. */
export function migrate(db: Database.Database, { nameUnnamed, onAttested }: Migration = {}): void {
  assertNotNewer(db);
  const version = versionOf(db);
  const isUnnamed = version > 0 && version < namingVersion;
  const name = isUnnamed ? nameUnnamed?.(db) : undefined;
  let attested: JournalHead | null = null;
  migrateSteps(db, applicationId, (step) => {
    if (step === namingVersion && name !== undefined) {
      db.prepare<[string]>("UPDATE authority SET id = ?").run(name);
    }
    if (step === factsVersion) {
      attested = attestOldChanges(db);
    }
  });
  if (attested !== null) {
    onAttested?.(attested);
  }
}

/** `finish` ends each step, in its transaction. */
function migrateSteps(db: Database.Database, id: number, finish: (version: number) => void): void {
  const kept = ["foreign_keys", "secure_delete"].map((name) => [name, db.pragma(name, { simple: true })] as const);
  // A table that is made anew is dropped while others refer to it.
  db.pragma("foreign_keys = 0");
  // What is dropped is kept elsewhere in the file: no need to overwrite it.
  db.pragma("secure_delete = 0");
  try {
    for (let version = versionOf(db) + 1; version <= migrations.length; version += 1) {
      db.transaction(() => {
        db.exec(migrations[version - 1] ?? "");
        finish(version);
        db.pragma(`application_id = ${id}`);
        db.pragma(`user_version = ${version}`);
      }).immediate();
    }
  } finally {
    for (const [name, value] of kept) {
      db.pragma(`${name} = ${value}`);
    }
  }
}

function markAsBackup(db: Database.Database): void {
  db.pragma(`application_id = ${backupApplicationId}`);
}

/** Makes a database of the backup, in the transaction that brings it up to date. */
export function unmarkBackup(db: Database.Database): void {
  db.pragma(`application_id = ${applicationId}`);
}

/**
 * Brings a backup to the present version. It stays a backup, and its journal ends where it did: what came after it is
 * looked for by revision. Throws when it is neither a backup nor a database of ours, or is newer.
 */
export function migrateBackup(db: Database.Database): void {
  const id = idOf(db);
  if (id !== applicationId && id !== backupApplicationId) {
    throw new StartError(`${db.name} is not a backup of a token authority`);
  }
  assertKnownVersion(db);
  migrateSteps(db, backupApplicationId, () => {});
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
