import { randomUUID } from "node:crypto";
import pg from "pg";
import { digestKey, keyHint, mintKey, mintTokenId } from "../../src/authority/key.ts";
import { type Population, randomSmallAccount } from "./seeded-token.ts";

const maxConnections = 16;

/** What a plain service does for Create: one transaction a call, over pg's pool, in tables like the authority's. */
export type BarePostgres = AsyncDisposable & {
  /** Creates tokens for so long, so many at once. Returns how many a second. */
  createFor(durationMs: number, atOnce: number): Promise<number>;
};

/** `owner` may make tables in the database. */
export async function openBarePostgres(owner: string, population: Population): Promise<BarePostgres> {
  const pool = new pg.Pool({ connectionString: owner, max: maxConnections });
  await pool.query(`
    CREATE SCHEMA bench;
    CREATE TABLE bench.journal (LIKE token_authority.journal INCLUDING ALL);
    CREATE TABLE bench.token (LIKE token_authority.token INCLUDING ALL);
    CREATE TABLE bench.token_key (LIKE token_authority.token_key INCLUDING ALL);
    CREATE TABLE bench.head (revision bigint);
    INSERT INTO bench.head VALUES (0)`);

  async function createOne(): Promise<void> {
    const key = mintKey("restricted", true);
    const session = await pool.connect();
    try {
      await session.query("BEGIN");
      // Revisions have no gaps and are seen in their order, as the authority's are.
      const { rows } = await session.query<{ readonly revision: string }>(
        "UPDATE bench.head SET revision = revision + 1 RETURNING revision",
      );
      const revision = rows[0]?.revision;
      const id = mintTokenId();
      await session.query({
        name: "token",
        text: `INSERT INTO bench.token (revision, id, account, name, type, livemode, permissions, created_by, created_at_ms)
          VALUES ($1, $2, $3, 'Bench', 'restricted', true, '["invoices:read","events:write"]', 'bench', $4)`,
        values: [revision, id, randomSmallAccount(population), Date.now()],
      });
      await session.query({
        name: "key",
        text: "INSERT INTO bench.token_key (digest, token_revision, issue_revision, key_hint) VALUES ($1, $2, $2, $3)",
        values: [digestKey(key), revision, keyHint(key)],
      });
      await session.query({
        name: "journal",
        text: `INSERT INTO bench.journal (revision, at_ms, caller, action, token_revision, hash)
          VALUES ($1, $2, 'bench', 'create', $1, $3)`,
        values: [revision, Date.now(), digestKey(randomUUID())],
      });
      await session.query("COMMIT");
    } finally {
      session.release();
    }
  }

  return {
    async createFor(durationMs, atOnce) {
      const startMs = performance.now();
      let created = 0;
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (performance.now() - startMs < durationMs) {
            await createOne();
            created += 1;
          }
        }),
      );
      return (created * 1000) / (performance.now() - startMs);
    },
    async [Symbol.asyncDispose]() {
      await pool.end();
    },
  };
}
