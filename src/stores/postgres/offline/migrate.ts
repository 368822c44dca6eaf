import { setTimeout as wait } from "node:timers/promises";
import type { Client } from "pg";
import type { Log } from "../../../machine/log.ts";
import { StartError } from "../../../machine/start-error.ts";
import { type SchemaStep, schemaSteps, serverGrants } from "../schema.ts";

export type MigrateOptions = {
  /** The role that serves, which must be there. It gets what it needs and nothing more. */
  readonly serverRole: string;
  readonly log: Log;
  /** By default those of this program. */
  readonly steps?: readonly SchemaStep[];
};

export type Migrated = { readonly from: number; readonly to: number };

/** Every version is before this one: the greatest number of an integer. */
const anyVersion = 2_147_483_647;
/** Before the schema is there, its version is this. */
const noVersion = 0;
/** How long a lease and what clocks may miss last together: a node that has not renewed for so long serves no more. */
const leaseAndGraceMs = 3000;
const attempts = 5;
/** What the loser sees when two make the same thing at once. */
const madeTwice = new Set(["23505", "42P06", "42P07", "40001", "40P01"]);
const lockNotAvailable = "55P03";

/**
 * Brings the database to the present schema, and gives the server's role its rights. Idempotent; two at once are
 * harmless. The client is connected as the owner of the schema, and nothing else runs on it. Throws a StartError when
 * the database is newer than this program, when there is no such role or it could rewrite the journal, when nodes still
 * serve that a step would break, and when the database is too busy: then it may be called again.
 */
export async function migrate(
  client: Client,
  { serverRole, log, steps = schemaSteps }: MigrateOptions,
): Promise<Migrated> {
  await client.query("SET lock_timeout = '2s'");
  await requireServerRole(client, serverRole);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await migrateOnce(client, serverRole, log, steps);
    } catch (error) {
      const code = codeOf(error);
      if (code === lockNotAvailable) {
        throw new StartError(
          "the database was busy for 2 seconds, or another migration is under way: nothing is half done, run it again",
          { cause: error },
        );
      }
      if (attempt === attempts || code === null || !madeTwice.has(code)) {
        throw error;
      }
    }
  }
}

async function migrateOnce(
  client: Client,
  serverRole: string,
  log: Log,
  steps: readonly SchemaStep[],
): Promise<Migrated> {
  const from = await versionOf(client);
  if (from > steps.length) {
    throw new StartError(
      `the database has schema version ${from}, made by a newer token authority: this one knows versions up to ${steps.length}`,
    );
  }
  for (let version = from + 1; version <= steps.length; version += 1) {
    const step = steps[version - 1];
    if (step !== undefined) {
      await requireNoOlderNodes(client, version, step.oldestVersion);
      await makeIndexes(client, step);
      await takeStep(client, version, step);
      log.info({ version }, "the schema was migrated");
    }
  }
  await inTransaction(client, async () => {
    await client.query("SELECT 1 FROM token_authority.authority FOR UPDATE");
    for (const grant of serverGrants) {
      await client.query(`GRANT ${grant} TO ${client.escapeIdentifier(serverRole)}`);
    }
  });
  return { from, to: Math.max(from, steps.length) };
}

/** In one transaction. Does nothing when somebody else has taken the step by now. */
async function takeStep(client: Client, version: number, { statements, indexes, oldestVersion }: SchemaStep) {
  await inTransaction(client, async () => {
    if (version > noVersion + 1) {
      await client.query("SELECT 1 FROM token_authority.authority FOR UPDATE");
      if ((await versionOf(client)) >= version) {
        return;
      }
    }
    for (const { name } of indexes) {
      if ((await stateOfIndex(client, name)) !== "valid") {
        throw new StartError(`the index ${name} is not whole: run the migration again`);
      }
    }
    await client.query(statements);
    await client.query("UPDATE token_authority.authority SET schema_version = $1, oldest_version = $2", [
      version,
      oldestVersion,
    ]);
  });
}

/** An index that a broken migration has left behind is not used by anything, and is made anew. */
async function makeIndexes(client: Client, { indexes }: SchemaStep): Promise<void> {
  for (const { name, on } of indexes) {
    if ((await stateOfIndex(client, name)) === "broken") {
      await client.query(`DROP INDEX CONCURRENTLY IF EXISTS token_authority.${client.escapeIdentifier(name)}`);
    }
    await client.query(`CREATE INDEX CONCURRENTLY IF NOT EXISTS ${client.escapeIdentifier(name)} ON ${on}`);
  }
}

async function stateOfIndex(client: Client, name: string): Promise<"absent" | "broken" | "valid"> {
  const { rows } = await client.query<{ indisvalid: boolean }>(
    "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('token_authority.' || quote_ident($1))",
    [name],
  );
  if (rows[0] === undefined) {
    return "absent";
  }
  return rows[0].indisvalid ? "valid" : "broken";
}

async function requireServerRole(client: Client, serverRole: string): Promise<void> {
  const { rows } = await client.query<{ rolsuper: boolean; owns: boolean }>(
    "SELECT rolsuper, pg_has_role(rolname, current_user, 'MEMBER') AS owns FROM pg_roles WHERE rolname = $1",
    [serverRole],
  );
  const [role] = rows;
  if (role === undefined) {
    throw new StartError(
      `there is no role ${serverRole} to serve with: CREATE ROLE ${client.escapeIdentifier(serverRole)} LOGIN makes it`,
    );
  }
  if (role.rolsuper || role.owns) {
    throw new StartError(
      `the role ${serverRole} could rewrite the journal: migrate as another role than the server's, which must be no superuser`,
    );
  }
}

/**
 * Throws while a node lives that the step would break. A node that does not renew its lease is dead, whatever its row
 * says.
 */
async function requireNoOlderNodes(client: Client, version: number, oldestVersion: number): Promise<void> {
  if (version === noVersion + 1) {
    return;
  }
  const alive = await aliveNodes(client, oldestVersion);
  if (alive.length > 0) {
    throw new StartError(
      `schema version ${version} would break nodes that serve now: bring ${alive.join(", ")} to a newer release first`,
    );
  }
}

/** The names of the nodes of a version before this one that renew their leases. */
async function aliveNodes(client: Client, version: number): Promise<readonly string[]> {
  const before = await olderNodes(client, version);
  if (before.size === 0) {
    return [];
  }
  await wait(leaseAndGraceMs);
  const alive = [...(await olderNodes(client, version))].filter(
    ([id, { renewals }]) => before.get(id)?.renewals !== renewals,
  );
  return alive.map(([, { name }]) => name).toSorted();
}

/**
 * Has the next node that starts say which sealing secret all nodes have. Throws a StartError while a node lives, which
 * would go on with the secret of before.
 */
export async function forgetSealingSecret(client: Client): Promise<void> {
  const alive = await aliveNodes(client, anyVersion);
  if (alive.length > 0) {
    throw new StartError(
      `${alive.join(", ")} would go on with the sealing secret of before: end all nodes, then say --new-sealing-secret again`,
    );
  }
  await client.query("UPDATE token_authority.authority SET sealing_fingerprint = NULL");
}

type OlderNode = { readonly id: string; readonly name: string; readonly renewals: string };

async function olderNodes(client: Client, version: number): Promise<ReadonlyMap<string, OlderNode>> {
  const { rows } = await client.query<OlderNode>(
    "SELECT id::text, name, renewals::text FROM token_authority.node WHERE schema_version < $1",
    [version],
  );
  return new Map(rows.map((row) => [row.id, row]));
}

async function versionOf(client: Client): Promise<number> {
  const { rows } = await client.query<{ is_there: boolean }>(
    "SELECT to_regclass('token_authority.authority') IS NOT NULL AS is_there",
  );
  if (rows[0]?.is_there !== true) {
    return noVersion;
  }
  const versions = await client.query<{ schema_version: number }>(
    "SELECT schema_version FROM token_authority.authority",
  );
  return versions.rows[0]?.schema_version ?? noVersion;
}

async function inTransaction(client: Client, work: () => Promise<void>): Promise<void> {
  await client.query("BEGIN ISOLATION LEVEL READ COMMITTED");
  try {
    await work();
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  }
}

/** The SQLSTATE of what the database refused. */
function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
