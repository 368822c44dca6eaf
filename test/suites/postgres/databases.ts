import pg from "pg";
import { migrate } from "../../../src/stores/postgres/offline/migrate.ts";
import { ownerRole, type Postgres, type PostgresOptions, serverRole, startPostgres } from "../support/postgres.ts";

const quiet = { info() {}, warn() {}, error() {} };

/** Starts a server, PostgreSQL 15 if nothing else is said, with the authority's tables in the database `tokens`. */
export async function startTokens(options: Partial<PostgresOptions> = {}): Promise<Postgres> {
  const server = await startPostgres({ version: 15, ...options });
  try {
    await migrateTokens(server);
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  return server;
}

/** Makes the tables of the authority in the database `tokens`. */
export async function migrateTokens(server: Postgres): Promise<void> {
  const client = new pg.Client({ connectionString: server.url(ownerRole), ssl: false });
  await client.connect();
  try {
    await migrate(client, { serverRole, log: quiet });
  } finally {
    await client.end();
  }
}

/** Makes an empty database with the tables of the authority, as a copy of `tokens`, and returns its name. */
export async function copyTokens(server: Postgres, name: string): Promise<void> {
  await server.sql(`CREATE DATABASE ${name} TEMPLATE tokens OWNER ${ownerRole}`, "postgres");
}

export async function dropDatabase(server: Postgres, name: string): Promise<void> {
  await server.sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`, "postgres");
}

/** The URL of another database of this server. */
export function urlOf(server: Postgres, name: string, role = serverRole): string {
  return server.url(role).replace(/\/tokens$/, `/${name}`);
}

/** Empties the tables of the database, as if it were migrated just now. Nobody may be serving it. */
export async function emptyTokens(server: Postgres): Promise<void> {
  const tables = ["journal", "token", "token_key", "account_state", "last_use", "create_request", "node"];
  await server.sql(`
    TRUNCATE ${tables.map((table) => `token_authority.${table}`).join(", ")};
    UPDATE token_authority.authority
      SET id = replace(gen_random_uuid()::text, '-', ''), era = 1, sealing_fingerprint = NULL, last_old_revision = 0`);
}
