import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { finished } from "node:stream/promises";
import type pg from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import type { JournalHead } from "../../../authority/journal.ts";
import { StartError } from "../../../machine/start-error.ts";
import { sealingFingerprint } from "../schema.ts";
import { isFull, sqlStateOf } from "../sql-state.ts";
import { livingNodes, type SeenNodes, watchNodes } from "./living-nodes.ts";
import { inTransaction, takeLock } from "./transaction.ts";
import { verifyDatabase } from "./verify-journal.ts";

/** What stands in a column. */
export type CopiedValue = string | number | boolean | Uint8Array | null;

/** A whole authority of another store, which nobody changes meanwhile. */
export type CopySource = {
  readonly authorityId: string;
  /** The newest change whose hash is of version 1; 0 when there is none. */
  readonly lastOldRevision: number;
  readonly head: JournalHead;
  /** What its keys are sealed with; null when that is not known. */
  readonly sealingSecret: Uint8Array | null;
  /** The rows of a table by the columns that are named, in the order of its key. */
  rows(table: string, columns: readonly string[], key: readonly string[]): Iterable<readonly CopiedValue[]>;
};

export type Copied = {
  /** Rows by table. */
  readonly counts: ReadonlyMap<string, number>;
  readonly head: JournalHead;
};

type Table = { readonly name: string; readonly columns: readonly string[]; readonly key: readonly string[] };

const tables: readonly Table[] = [
  {
    name: "journal",
    columns: ["revision", "at_ms", "caller", "action", "token_revision", "account", "facts", "hash"],
    key: ["revision"],
  },
  {
    name: "token",
    columns: [
      ...["revision", "id", "account", "name", "type", "livemode", "permissions", "created_by", "created_at_ms"],
      ...["expires_at_ms", "revoked_at_ms", "revoke_reason", "revoke_revision", "hold_revision"],
    ],
    key: ["revision"],
  },
  {
    name: "token_key",
    columns: ["digest", "token_revision", "issue_revision", "key_hint", "ends_at_ms", "end_revision"],
    key: ["token_revision", "issue_revision"],
  },
  { name: "account_state", columns: ["account", "hold_revision", "close_revision"], key: ["account"] },
  { name: "last_use", columns: ["issue_revision", "used_at_ms"], key: ["issue_revision"] },
  {
    name: "create_request",
    columns: [
      ...["caller", "account", "request_id", "body_digest", "token_revision", "issue_revision", "sealed_key", "at_ms"],
    ],
    key: ["caller", "account", "request_id"],
  },
];

const chunkRows = 5000;
/** Characters that are put together before they are sent. */
const sentLength = 256 * 1024;
const booleans: ReadonlySet<string> = new Set(["livemode"]);
/** Lines are compared as bytes, and indexes are sorted in memory. */
const settings = "SET LOCAL bytea_output = 'hex'; SET LOCAL maintenance_work_mem = '256MB'";

/**
 * Copies a whole authority into an empty database, in one transaction, which ends once the journal was verified there
 * and every row was read back and compared. So a database that serves has all of it or nothing, wherever this is cut
 * off. The client is connected as the owner of the schema, which is the present one. Throws a StartError when the
 * database is not empty, or nodes serve it.
 */
export async function copy(client: pg.Client, source: CopySource): Promise<Copied> {
  const seen = await watchNodes(client);
  try {
    return await inTransaction(client, () => copyUnderLock(client, source, seen));
  } catch (error) {
    throw asStartError(error);
  }
}

async function copyUnderLock(client: pg.Client, source: CopySource, seen: SeenNodes): Promise<Copied> {
  await client.query(settings);
  await client.query(takeLock);
  await requireNoNodes(client, seen);
  await requireEmpty(client);
  const sums = new Map<string, readonly ChunkSum[]>();
  for (const table of tables) {
    sums.set(table.name, await fill(client, table, source));
  }
  await takeIdentity(client, source);
  // Without figures of the tables, plans are those of empty ones.
  await client.query(`ANALYZE ${tables.map(({ name }) => `token_authority.${name}`).join(", ")}`);
  for (const table of tables) {
    await compare(client, table, sums.get(table.name) ?? []);
  }
  const verdict = await verifyDatabase(client, source.head);
  if (verdict.fault !== null) {
    throw new StartError(`the journal is at fault: ${verdict.fault}`);
  }
  const counts = [...sums].map(([name, chunks]) => [name, chunks.reduce((sum, { rows }) => sum + rows, 0)] as const);
  return { counts: new Map(counts), head: verdict.head };
}

function asStartError(error: unknown): unknown {
  if (sqlStateOf(error) === "42501") {
    return new StartError("this role may not copy into the database: connect as the role that ran npm run migrate", {
      cause: error,
    });
  }
  return isFull(error) ? new StartError("the database has no room left: nothing was copied", { cause: error }) : error;
}

async function requireEmpty(client: pg.Client): Promise<void> {
  const found = tables.map(({ name }) => `EXISTS (SELECT FROM token_authority.${name})`).join(" OR ");
  const { rows } = await client.query<{ has_rows: boolean }>(`SELECT ${found} AS has_rows`);
  if (rows[0]?.has_rows !== false) {
    throw new StartError(
      "the database is not empty: a copy needs one in which nothing was changed, as npm run migrate makes it",
    );
  }
}

/** Rows of nodes that are dead stay, and are dropped by the next ones. */
async function requireNoNodes(client: pg.Client, seen: SeenNodes): Promise<void> {
  const alive = await livingNodes(client, seen);
  if (alive.length > 0) {
    throw new StartError(`nodes serve the database: end ${alive.join(", ")} first`);
  }
}

/** The database is the same authority from now on: logs of before are of its revocations too. */
async function takeIdentity(client: pg.Client, source: CopySource): Promise<void> {
  const { authorityId, lastOldRevision, sealingSecret } = source;
  const fingerprint = sealingSecret === null ? null : sealingFingerprint(sealingSecret);
  await client.query(
    `UPDATE token_authority.authority SET id = $1, last_old_revision = $2,
       sealing_fingerprint = coalesce($3, sealing_fingerprint)`,
    [authorityId, lastOldRevision, fingerprint],
  );
}

/** Returns the SQL that makes the indexes of a table again, which are dropped here. Row by row they cost the most. */
async function dropIndexes(client: pg.Client, { name }: Table): Promise<readonly string[]> {
  const { rows } = await client.query<{ readonly dropped: string; readonly made: string }>(
    `SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) AS dropped,
         format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) AS made
       FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('p', 'u')
     UNION ALL SELECT format('DROP INDEX %s', indexrelid::regclass), pg_get_indexdef(indexrelid)
       FROM pg_index WHERE indrelid = $1::regclass
         AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid AND contype IN ('p', 'u'))`,
    [`token_authority.${name}`],
  );
  for (const { dropped } of rows) {
    await client.query(dropped);
  }
  return rows.map(({ made }) => made);
}

/** The hash of so many lines, one after the other. */
type ChunkSum = { readonly rows: number; readonly sum: string };

/**
 * Returns the sums of the lines that were sent. Rows that are frozen need no vacuum later; that takes a table which is
 * emptied in the same transaction.
 */
async function fill(client: pg.Client, table: Table, source: CopySource): Promise<readonly ChunkSum[]> {
  const { name, columns, key } = table;
  await client.query(`TRUNCATE token_authority.${name}`);
  const indexes = await dropIndexes(client, table);
  const stream = client.query(
    copyFrom(`COPY token_authority.${name} (${columns.join(", ")}) FROM STDIN WITH (FREEZE)`),
  );
  const end = finished(stream);
  // It is awaited below, also when writing has thrown.
  end.catch(() => {});
  const sums = createChunkSums();
  const send = async (lines: string) => {
    const bytes = Buffer.from(lines, "utf8");
    sums.add(bytes);
    if (!stream.write(bytes)) {
      await Promise.race([once(stream, "drain"), end]);
    }
  };
  try {
    const isBoolean = columns.map((column) => booleans.has(column));
    let lines = "";
    for (const row of source.rows(name, columns, key)) {
      lines += toLine(row, isBoolean);
      if (lines.length >= sentLength) {
        await send(lines);
        lines = "";
      }
    }
    await send(lines);
    stream.end();
  } catch (error) {
    stream.destroy(error instanceof Error ? error : new Error(String(error)));
    // What the server makes of it is of no interest.
    await end.catch(() => {});
    throw error;
  }
  await end;
  for (const sql of indexes) {
    await client.query(sql);
  }
  return sums.end();
}

/** Reads the table in the same order, and throws a StartError where it holds something else. */
async function compare(client: pg.Client, { name, columns, key }: Table, expected: readonly ChunkSum[]): Promise<void> {
  const sums = createChunkSums();
  const select = `SELECT ${columns.join(", ")} FROM token_authority.${name} ORDER BY ${key.join(", ")}`;
  for await (const bytes of client.query(copyTo(`COPY (${select}) TO STDOUT`))) {
    sums.add(bytes);
  }
  const found = sums.end();
  const wrong = expected.findIndex((chunk, at) => found[at]?.rows !== chunk.rows || found[at].sum !== chunk.sum);
  if (wrong !== -1 || found.length !== expected.length) {
    const at = wrong === -1 ? expected.length : wrong;
    throw new StartError(
      `the table ${name} holds something else than was copied, in the rows from ${at * chunkRows + 1} to ${(at + 1) * chunkRows}`,
    );
  }
}

const lineFeed = 10;

/** Sums of lines, so many together, however they come in pieces. */
function createChunkSums(): { add(bytes: Uint8Array): void; end(): readonly ChunkSum[] } {
  const chunks: ChunkSum[] = [];
  let hash: Hash = createHash("sha256");
  let rows = 0;

  function close(): void {
    if (rows > 0) {
      chunks.push({ rows, sum: hash.digest("hex") });
      hash = createHash("sha256");
      rows = 0;
    }
  }

  return {
    add(bytes) {
      let start = 0;
      for (let at = bytes.indexOf(lineFeed); at !== -1; at = bytes.indexOf(lineFeed, at + 1)) {
        rows += 1;
        if (rows === chunkRows) {
          hash.update(bytes.subarray(start, at + 1));
          start = at + 1;
          close();
        }
      }
      hash.update(bytes.subarray(start));
    },
    end() {
      close();
      return chunks;
    },
  };
}

/** A row in the text form of COPY, to the byte as the server writes it. */
function toLine(row: readonly CopiedValue[], isBoolean: readonly boolean[]): string {
  let line = "";
  for (let at = 0; at < isBoolean.length; at += 1) {
    line += `${at === 0 ? "" : "\t"}${toField(row[at] ?? null, isBoolean[at] ?? false)}`;
  }
  return `${line}\n`;
}

/** Stores differ in what they call true. */
function toField(value: CopiedValue, isBoolean: boolean): string {
  if (value === null) {
    return "\\N";
  }
  if (isBoolean) {
    return value === true || value === 1 ? "t" : "f";
  }
  if (value instanceof Uint8Array) {
    return `\\\\x${Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("hex")}`;
  }
  return typeof value === "string"
    ? value.replaceAll(/[\\\b\t\n\v\f\r]/g, (one) => escapes[one] ?? one)
    : String(value);
}

const escapes: Readonly<Record<string, string>> = {
  ...{ "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\v": "\\v", "\f": "\\f", "\r": "\\r" },
};
