import { createHmac } from "node:crypto";
import type { Log } from "../../machine/log.ts";
import { StartError } from "../../machine/start-error.ts";
import type { Session, Statement } from "./session.ts";

/** A step from one version of the schema to the next. */
export type SchemaStep = {
  /**
   * Indexes that are made first, outside a transaction, so that no change waits for them. Must be indexes of tables
   * that an earlier step made.
   */
  readonly indexes: readonly { readonly name: string; readonly on: string }[];
  /** Runs in one transaction that holds the lock row. */
  readonly statements: string;
  /**
   * The oldest version of the schema that a program may have been written for that still serves after this step. A step
   * that only adds leaves it as it was, so that two releases serve one database while the fleet is renewed.
   */
  readonly oldestVersion: number;
};

/**
 * The steps from an empty database to the present schema. Append only: a released step never changes.
 *
 * As in SQLite, a token's primary key is the revision that created it. There are no foreign keys: they would lock rows
 * of the journal, and all that refers to others is written by one transaction at a time, under the lock row. What holds
 * between tables, `verify-journal` checks. Texts that are compared are compared by their bytes.
 */
export const schemaSteps: readonly SchemaStep[] = [
  {
    indexes: [],
    statements: `
  CREATE SCHEMA token_authority;

  -- The one row is the lock that changes are made under. It is locked and never updated in normal work, so that a long
  -- dump leaves no chain of dead versions under the lock.
  CREATE TABLE token_authority.authority (
    only_row integer PRIMARY KEY CHECK (only_row = 1),
    id text NOT NULL COLLATE "C" CHECK (length(id) = 32),
    era integer NOT NULL,
    schema_version integer NOT NULL,
    oldest_version integer NOT NULL,
    sealing_fingerprint bytea,
    last_old_revision bigint NOT NULL
  );
  INSERT INTO token_authority.authority
    VALUES (1, replace(gen_random_uuid()::text, '-', ''), 1, 0, 0, NULL, 0);

  CREATE TABLE token_authority.journal (
    revision bigint PRIMARY KEY,
    at_ms bigint NOT NULL,
    caller text NOT NULL COLLATE "C",
    action text NOT NULL COLLATE "C" CHECK (action IN ('create', 'revoke', 'attest', 'rotate_key', 'end_key',
      'cancel_rotation', 'hold', 'resume', 'close', 'update', 'import')),
    token_revision bigint,
    account text COLLATE "C",
    facts text CHECK (facts IS NULL OR facts::json IS NOT NULL),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    CHECK (token_revision IS NULL OR account IS NULL)
  );
  CREATE INDEX journal_later ON token_authority.journal (token_revision, revision)
    WHERE action NOT IN ('create', 'revoke');
  CREATE INDEX journal_by_account ON token_authority.journal (account, revision) WHERE account IS NOT NULL;

  CREATE TABLE token_authority.token (
    revision bigint PRIMARY KEY,
    id text NOT NULL COLLATE "C" UNIQUE,
    account text NOT NULL COLLATE "C",
    name text NOT NULL COLLATE "C",
    type text NOT NULL COLLATE "C" CHECK (type IN ('secret', 'publishable', 'restricted')),
    livemode boolean NOT NULL,
    permissions text NOT NULL COLLATE "C" CHECK (json_typeof(permissions::json) = 'array'),
    created_by text NOT NULL COLLATE "C",
    created_at_ms bigint NOT NULL,
    expires_at_ms bigint,
    revoked_at_ms bigint,
    revoke_reason text NOT NULL DEFAULT '' COLLATE "C",
    revoke_revision bigint,
    hold_revision bigint,
    CHECK ((revoked_at_ms IS NULL) = (revoke_revision IS NULL)),
    CHECK (revoked_at_ms IS NOT NULL OR revoke_reason = '')
  );
  CREATE INDEX token_by_account ON token_authority.token (account, revision);
  CREATE INDEX token_unrevoked ON token_authority.token (account, expires_at_ms) WHERE revoked_at_ms IS NULL;
  CREATE INDEX token_revoked ON token_authority.token (account) WHERE revoked_at_ms IS NOT NULL;

  CREATE TABLE token_authority.token_key (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    token_revision bigint NOT NULL,
    issue_revision bigint NOT NULL,
    key_hint text NOT NULL COLLATE "C",
    ends_at_ms bigint,
    end_revision bigint,
    CHECK ((ends_at_ms IS NULL) = (end_revision IS NULL)),
    UNIQUE (token_revision, issue_revision)
  );

  -- A row is there only while the account is held or closed.
  CREATE TABLE token_authority.account_state (
    account text PRIMARY KEY COLLATE "C",
    hold_revision bigint,
    close_revision bigint,
    CHECK (hold_revision IS NOT NULL OR close_revision IS NOT NULL)
  );

  CREATE TABLE token_authority.last_use (
    issue_revision bigint PRIMARY KEY,
    used_at_ms bigint NOT NULL
  ) WITH (fillfactor = 70);

  CREATE TABLE token_authority.create_request (
    caller text NOT NULL COLLATE "C",
    account text NOT NULL COLLATE "C",
    request_id text NOT NULL COLLATE "C",
    body_digest bytea NOT NULL,
    token_revision bigint NOT NULL,
    issue_revision bigint NOT NULL,
    sealed_key bytea,
    at_ms bigint NOT NULL,
    PRIMARY KEY (caller, account, request_id)
  );
  CREATE INDEX create_request_by_time ON token_authority.create_request (at_ms);
  CREATE INDEX create_request_by_token ON token_authority.create_request (token_revision);

  -- One row a serving thread. Logged: unlogged it would wait for no standby, and be empty after a failover.
  CREATE TABLE token_authority.node (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    schema_version integer NOT NULL,
    renewals bigint NOT NULL,
    acked_revision bigint NOT NULL,
    grace_ms integer NOT NULL,
    watchers integer NOT NULL,
    silent jsonb NOT NULL
  ) WITH (fillfactor = 50);
  `,
    oldestVersion: 1,
  },
];

/** The version of the schema that this program is written for. */
export const schemaVersion = schemaSteps.length;

/**
 * What the server's role may do: it appends to the journal and never rewrites it, and of a token it changes only what
 * changes in a token's life. `UPDATE` of the fingerprint is also what lets it lock the lock row.
 */
export const serverGrants: readonly string[] = [
  "USAGE ON SCHEMA token_authority",
  "SELECT, UPDATE (sealing_fingerprint) ON token_authority.authority",
  "SELECT, INSERT ON token_authority.journal",
  "SELECT, INSERT, UPDATE (revoked_at_ms, revoke_reason, revoke_revision, hold_revision) ON token_authority.token",
  "SELECT, INSERT, UPDATE (ends_at_ms, end_revision) ON token_authority.token_key",
  "SELECT, INSERT, UPDATE (hold_revision, close_revision), DELETE ON token_authority.account_state",
  "SELECT, INSERT, UPDATE (used_at_ms) ON token_authority.last_use",
  "SELECT, INSERT, UPDATE, DELETE ON token_authority.create_request",
  "SELECT, INSERT, UPDATE, DELETE ON token_authority.node",
];

type Asked = Pick<Session, "run">;

type Standing = {
  readonly fsync: string;
  readonly synchronous_commit: string;
  readonly full_page_writes: string;
  readonly encoding: string;
  readonly has_schema: boolean;
};

const readStanding = {
  name: "read_standing",
  text: `SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
    current_setting('full_page_writes') AS full_page_writes, current_setting('server_encoding') AS encoding,
    to_regclass('token_authority.authority') IS NOT NULL AS has_schema`,
};
const readVersions = {
  name: "read_versions",
  text: "SELECT schema_version, oldest_version FROM token_authority.authority",
};
const readRights = {
  name: "read_rights",
  text: `SELECT has_table_privilege('token_authority.journal', 'INSERT')
      AND has_any_column_privilege('token_authority.authority', 'UPDATE')
      AND has_table_privilege('token_authority.node', 'DELETE') AS can_serve,
    has_any_column_privilege('token_authority.journal', 'UPDATE')
      OR has_table_privilege('token_authority.journal', 'DELETE')
      OR has_table_privilege('token_authority.journal', 'TRUNCATE') AS can_rewrite,
    current_user AS role`,
};
/** In the bytes of ASCII upper case comes first. The empty part gives the union the collation of the column. */
const readByteOrder = {
  name: "read_byte_order",
  text: `SELECT max(account) = 'a' AS is_by_bytes FROM (
    SELECT account FROM token_authority.token WHERE false UNION ALL VALUES ('a'), ('B')) AS texts`,
};
const noteFingerprint = {
  name: "note_fingerprint",
  text: "UPDATE token_authority.authority SET sealing_fingerprint = $1 WHERE sealing_fingerprint IS NULL",
};
/** Under the lock row: with what a command that holds it does. */
const readFingerprint = {
  name: "read_fingerprint",
  text: "SELECT sealing_fingerprint FROM token_authority.authority FOR SHARE",
};

/**
 * Throws a StartError unless this program may serve the database: its schema is there and neither too old nor too new,
 * a COMMIT that it answers survives a power cut, texts are compared by their bytes, the role may append to the journal
 * and not rewrite it, and keys are sealed with the secret that every other node has. The first node's secret counts.
 */
export async function requireServable(
  session: Asked,
  { sealingSecret, log }: { readonly sealingSecret: Uint8Array; readonly log: Log },
): Promise<void> {
  const standing = await one<Standing>(session, readStanding);
  requireDurable(standing, log);
  if (!standing.has_schema) {
    throw new StartError(
      "the database has no tables of the token authority that this role may see: npm run migrate -- DATABASE makes them",
    );
  }
  await requireKnownVersion(session);
  await requireRights(session);
  const { is_by_bytes } = await one<{ is_by_bytes: boolean }>(session, readByteOrder);
  if (!is_by_bytes) {
    throw new StartError('the database compares accounts by a language: token.account must have the collation "C"');
  }
  await requireSameSecret(session, sealingSecret);
}

function requireDurable(standing: Standing, log: Log): void {
  const { fsync, synchronous_commit, full_page_writes, encoding } = standing;
  if (fsync !== "on") {
    throw new StartError(
      `the database has fsync = ${fsync}, and would forget revocations in a power cut: it must be on`,
    );
  }
  if (synchronous_commit !== "on" && synchronous_commit !== "remote_apply") {
    throw new StartError(
      `the database has synchronous_commit = ${synchronous_commit} for this role, and would forget answered changes: it must be on or remote_apply`,
    );
  }
  if (encoding !== "UTF8") {
    throw new StartError(`the database has the encoding ${encoding}: it must be UTF8`);
  }
  if (full_page_writes !== "on") {
    // Some file systems and cloud databases write pages as a whole by themselves.
    log.warn({ full_page_writes }, "the database may be damaged by a power cut, unless its disk writes whole pages");
  }
}

async function requireKnownVersion(session: Asked): Promise<void> {
  const { schema_version, oldest_version } = await one<{ schema_version: number; oldest_version: number }>(
    session,
    readVersions,
  );
  if (schema_version < schemaVersion) {
    throw new StartError(
      `the database has schema version ${schema_version}, and this program needs ${schemaVersion}: npm run migrate -- DATABASE brings it there`,
    );
  }
  if (oldest_version > schemaVersion) {
    throw new StartError(
      `the database serves programs of schema version ${oldest_version} or newer, and this one is of ${schemaVersion}: start a newer release`,
    );
  }
}

async function requireRights(session: Asked): Promise<void> {
  const { role, can_serve, can_rewrite } = await one<{ role: string; can_serve: boolean; can_rewrite: boolean }>(
    session,
    readRights,
  );
  if (!can_serve) {
    throw new StartError(
      `the role ${role} may not serve the database: npm run migrate -- DATABASE --server-role ${role} grants what it needs`,
    );
  }
  if (can_rewrite) {
    throw new StartError(
      `the role ${role} may rewrite the journal: serve with a role that neither owns the tables nor is a superuser`,
    );
  }
}

/**
 * Throws a StartError unless keys are sealed with the secret that every other node has. Asked once more by a node that
 * has its row: from then on no command lets another secret count.
 */
export async function requireSameSecret(session: Asked, sealingSecret: Uint8Array): Promise<void> {
  const mine = sealingFingerprint(sealingSecret);
  const read = () => one<{ sealing_fingerprint: Uint8Array | null }>(session, readFingerprint);
  let { sealing_fingerprint: found } = await read();
  if (found === null) {
    await session.run(noteFingerprint, [mine]);
    ({ sealing_fingerprint: found } = await read());
  }
  if (!isSameSecret(found, mine)) {
    throw new StartError(
      "the sealing secret is not that of the other nodes, and all nodes of a database need the same one: where it shall be another one, end all nodes and say npm run migrate -- DATABASE --new-sealing-secret",
    );
  }
}

/** Tells one sealing secret from another, and nothing of either. */
export function sealingFingerprint(sealingSecret: Uint8Array): Uint8Array {
  return createHmac("sha256", sealingSecret).update("fingerprint of the sealing secret").digest();
}

/** Whether two fingerprints are of one secret. Null is of none. */
export function isSameSecret(found: Uint8Array | null, mine: Uint8Array): boolean {
  return found !== null && Buffer.compare(found, mine) === 0;
}

async function one<Row>(session: Asked, statement: Statement): Promise<Row> {
  const [row] = (await session.run<Row>(statement)).rows;
  if (row === undefined) {
    throw new Error(`${statement.name} found no row`);
  }
  return row;
}
