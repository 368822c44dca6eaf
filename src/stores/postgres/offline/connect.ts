import pg from "pg";
import { StartError } from "../../../machine/start-error.ts";
import type { DatabaseHost, DatabaseSettings } from "../database-url.ts";
import { clientOptions } from "../session.ts";
import { sqlStateOf } from "../sql-state.ts";

/** A connection of a command, for as long as the command takes: no statement has a time-out. */
export type CommandConnection = AsyncDisposable & { readonly client: pg.Client };

/** Connects to the first server that takes writes. Throws a StartError that says of each why it is not that. */
export async function connect(settings: DatabaseSettings, command: string): Promise<CommandConnection> {
  const reasons: string[] = [];
  for (const host of settings.hosts) {
    const client = new pg.Client(clientOptions(settings, host, command));
    // What is under way rejects as well.
    client.on("error", () => {});
    try {
      await client.connect();
      const { rows } = await client.query<{ is_read_only: boolean }>(
        `SELECT current_setting('transaction_read_only') = 'on' AS is_read_only, set_config('client_encoding', 'UTF8', false),
           set_config('statement_timeout', '0', false), set_config('idle_in_transaction_session_timeout', '0', false),
           set_config('jit', 'off', false)`,
      );
      if (rows[0]?.is_read_only === false) {
        return { client, [Symbol.asyncDispose]: () => client.end() };
      }
      reasons.push(`${nameOf(host)}: it takes no writes`);
    } catch (error) {
      reasons.push(`${nameOf(host)}: ${reasonOf(error)}`);
    }
    await client.end().catch(() => {});
  }
  throw new StartError(`the database cannot be reached: ${reasons.join("; ")}`);
}

/** The lock row, so that no node changes anything until the transaction ends. */
export const takeLock = "SELECT FROM token_authority.authority FOR UPDATE";

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

function nameOf({ host, port }: DatabaseHost): string {
  return `${host}:${port}`;
}

function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (sqlStateOf(error) !== null && error instanceof Error) {
    return `${error.message} (${code})`;
  }
  return code !== "" ? code : String(error);
}
