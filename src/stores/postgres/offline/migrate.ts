import type { Client } from "pg";
import type { Log } from "../../../machine/log.ts";
import { StartError } from "../../../machine/start-error.ts";
import { type SchemaStep, schemaSteps, serverGrants } from "../schema.ts";
import { sqlStateOf } from "../sql-state.ts";
import { livingNodes, type SeenNodes, watchNodes } from "./living-nodes.ts";
import { inTransaction, takeLock } from "./transaction.ts";

export type MigrateOptions = {
  /** The role that serves, which must be there. It gets what it needs and nothing more. */
  readonly serverRole: string;
  readonly log: Log;
  /** By default those of this program. */
  readonly steps?: readonly SchemaStep[];
};

export type Migrated = { readonly from: number; readonly to: number };

/** Before the schema is there, its version is this. */
const noVersion = 0;
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
      const state = sqlStateOf(error);
      if (attempt === attempts || state === null || !madeTwice.has(state)) {
        throw asBusy(error);
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
      await makeIndexes(client, step);
      const seen = version === noVersion + 1 ? null : await watchNodes(client, step.oldestVersion);
      await takeStep(client, version, step, seen);
      log.info({ version }, "the schema was migrated");
    }
  }
  await inTransaction(client, async () => {
    await client.query(takeLock);
    for (const grant of serverGrants) {
      await client.query(`GRANT ${grant} TO ${client.escapeIdentifier(serverRole)}`);
    }
  });
  return { from, to: Math.max(from, steps.length) };
}

/**
 * In one transaction. Does nothing when somebody else has taken the step by now. `seen` is the older nodes, or null
 * where there can be none.
 */
async function takeStep(client: Client, version: number, step: SchemaStep, seen: SeenNodes | null): Promise<void> {
  const { statements, indexes, oldestVersion } = step;
  await inTransaction(client, async () => {
    if (seen !== null) {
      await client.query(takeLock);
      if ((await versionOf(client)) >= version) {
        return;
      }
      await requireNoOlderNodes(client, version, oldestVersion, seen);
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

/** Throws while a node lives that the step would break. */
async function requireNoOlderNodes(
  client: Client,
  version: number,
  oldestVersion: number,
  seen: SeenNodes,
): Promise<void> {
  const alive = await livingNodes(client, seen, oldestVersion);
  if (alive.length > 0) {
    throw new StartError(
      `schema version ${version} would break nodes that serve now: bring ${alive.join(", ")} to a newer release first`,
    );
  }
}

/**
 * Has the next node that starts say which sealing secret all nodes have. Throws a StartError while a node lives, which
 * would go on with the secret of before. A node that starts meanwhile compares its secret once it has its row, under
 * the lock that this takes.
 */
export async function forgetSealingSecret(client: Client): Promise<void> {
  const seen = await watchNodes(client);
  await inTransaction(client, async () => {
    await client.query(takeLock).catch((error) => {
      throw asBusy(error);
    });
    const alive = await livingNodes(client, seen);
    if (alive.length > 0) {
      throw new StartError(
        `${alive.join(", ")} would go on with the sealing secret of before: end all nodes, then say --new-sealing-secret again`,
      );
    }
    await client.query("UPDATE token_authority.authority SET sealing_fingerprint = NULL");
  });
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

/** A lock that was waited for in vain, in words. Any other error as it is. */
function asBusy(error: unknown): unknown {
  return sqlStateOf(error) === lockNotAvailable
    ? new StartError(
        "the database was busy for 2 seconds, or another migration is under way: nothing is half done, run it again",
        { cause: error },
      )
    : error;
}
