import pg from "pg";
import { StartError } from "../../../machine/start-error.ts";
import { nameOf, refusalOf } from "../cluster.ts";
import type { DatabaseHost, DatabaseSettings } from "../database-url.ts";
import {
  alongIndexes,
  clientOptions,
  makeSettings,
  ReadOnlyError,
  synchronousCommit,
  timelineSql,
} from "../session.ts";
import { sqlStateOf } from "../sql-state.ts";

/**
 * A table is read in pieces, each of which begins where the one before ended: a merge of two tables would read one of
 * them from its start for each piece, and other processes would be started for it.
 */
const settingsOfCommands = {
  client_encoding: "'UTF8'",
  synchronous_commit: synchronousCommit,
  statement_timeout: "'0'",
  idle_in_transaction_session_timeout: "'0'",
  jit: "'off'",
  max_parallel_workers_per_gather: "'0'",
  ...alongIndexes,
};

/** A connection of a command, for as long as the command takes: no statement has a time-out. */
export type CommandConnection = AsyncDisposable & { readonly client: pg.Client };

/**
 * Connects to the server that takes writes; of two, to the one that was promoted last. Throws a StartError that says of
 * each why it is not that.
 */
export async function connect(settings: DatabaseSettings, command: string): Promise<CommandConnection> {
  const reasons: string[] = [];
  const found: Found[] = [];
  let refusal: StartError | null = null;
  for (const host of settings.hosts) {
    try {
      found.push(await look(settings, host, command));
    } catch (error) {
      reasons.push(`${nameOf(host)}: ${reasonOf(error)}`);
      refusal ??= refusalOf(settings, `the database at ${nameOf(host)}`, error);
    }
  }
  const [best, ...others] = found.sort((one, other) => other.timeline - one.timeline);
  await Promise.all(others.map(({ client }) => client.end()));
  if (best === undefined) {
    // What one host knows of roles and databases holds at all of them.
    throw refusal ?? new StartError(`the database cannot be reached: ${reasons.join("; ")}`);
  }
  const { client } = best;
  return { client, [Symbol.asyncDispose]: () => client.end() };
}

type Found = { readonly client: pg.Client; readonly timeline: number };

/** Rejects where the server takes no writes. */
async function look(settings: DatabaseSettings, host: DatabaseHost, command: string): Promise<Found> {
  const client = new pg.Client(clientOptions(settings, host, command));
  // What is under way rejects as well.
  client.on("error", () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ is_read_only: boolean; timeline: number }>(
      `SELECT current_setting('transaction_read_only') = 'on' AS is_read_only,
         ${settings.hosts.length > 1 ? timelineSql : "0"} AS timeline,
         ${makeSettings(settingsOfCommands)}`,
    );
    const [row] = rows;
    if (row === undefined || row.is_read_only) {
      throw new ReadOnlyError("it takes no writes");
    }
    return { client, timeline: row.timeline };
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
}

/**
 * Throws a StartError unless the client is connected with the role that owns the tables, or one that may do as much:
 * before anything is done.
 */
export async function requireOwner(client: pg.Client, command: string): Promise<void> {
  const { rows } = await client.query<{ role: string; owner: string; is_owner: boolean }>(
    `SELECT current_user AS role, pg_get_userbyid(relowner) AS owner, pg_has_role(relowner, 'USAGE') AS is_owner
     FROM pg_class WHERE oid = to_regclass('token_authority.authority')`,
  );
  const [found] = rows;
  if (found?.is_owner === false) {
    throw new StartError(
      `the role ${found.role} may not ${command} the database: connect as ${found.owner}, which owns the tables`,
    );
  }
}

/** Throws a StartError where the schema is not the present one, as `npm run migrate` makes it. */
export async function requireSchema(client: pg.Client, version: number): Promise<void> {
  const found = await client.query<{ is_there: boolean }>(
    "SELECT to_regclass('token_authority.authority') IS NOT NULL AS is_there",
  );
  const there = found.rows[0]?.is_there === true;
  const versions = there
    ? await client.query<{ schema_version: number }>("SELECT schema_version FROM token_authority.authority")
    : null;
  const has = versions?.rows[0]?.schema_version ?? 0;
  if (has !== version) {
    throw new StartError(
      has === 0
        ? "the database has no tables of the token authority that this role may see: npm run migrate -- DATABASE makes them"
        : `the database has schema version ${has}, and this program is of ${version}: ${has < version ? "npm run migrate -- DATABASE brings it there" : "use the newer release"}`,
    );
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof ReadOnlyError) {
    return error.message;
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (sqlStateOf(error) !== null && error instanceof Error) {
    return `${error.message} (${code})`;
  }
  return code !== "" ? code : String(error);
}
