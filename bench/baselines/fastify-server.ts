// A baseline: what a plain service does, a SELECT for each request, with fastify and pg. Says where it listens, ends on
// SIGTERM.
//
//   node fastify-server.ts DATABASE
import Fastify from "fastify";
import pg from "pg";
import { digestKey, isKey } from "../../src/authority/key.ts";

const [connectionString = ""] = process.argv.slice(2);
const pool = new pg.Pool({ connectionString, max: 20, idleTimeoutMillis: 0 });
const findToken = {
  name: "find",
  text: `SELECT id, account, type, livemode, permissions, expires_at_ms, revoked_at_ms
    FROM token_authority.token_key JOIN token_authority.token ON token.revision = token_revision WHERE digest = $1`,
};
type Row = {
  readonly id: string;
  readonly account: string;
  readonly type: string;
  readonly livemode: boolean;
  readonly permissions: string;
  readonly expires_at_ms: string | null;
  readonly revoked_at_ms: string | null;
};

const server = Fastify();
server.get<{ Params: { key: string } }>("/:key", async ({ params: { key } }, reply) => {
  const { rows } = isKey(key) ? await pool.query<Row>({ ...findToken, values: [digestKey(key)] }) : { rows: [] };
  const [row] = rows;
  const isLive =
    row !== undefined && row.revoked_at_ms === null && Number(row.expires_at_ms ?? Number.MAX_VALUE) > Date.now();
  if (!isLive) {
    return await reply.code(401).send({ error: "unknown" });
  }
  const { id, account, type, livemode, permissions } = row;
  return { id, account, type, livemode, permissions: JSON.parse(permissions) };
});
console.log(JSON.stringify({ address: new URL(await server.listen({ host: "127.0.0.1", port: 0 })).host }));
process.on("SIGTERM", () => process.exit(0));
