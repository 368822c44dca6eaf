import pg from "pg";
import { onTestFinished } from "vitest";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { openLine } from "../../../src/stores/postgres/line.ts";
import { requireSameSecret, schemaVersion } from "../../../src/stores/postgres/schema.ts";
import { type Changes, createChanges, type DatabaseClock } from "../../../src/stores/postgres/serving/changes.ts";
import { type Node, openNode } from "../../../src/stores/postgres/serving/node.ts";
import { type Postgres, superuser } from "../support/postgres.ts";
import { copyTokens, dropDatabase, urlOf } from "./databases.ts";
import { madeUpTimes } from "./store-kind.ts";

const quiet = { info() {}, warn() {}, error() {} };
const sealingSecret = Buffer.from("secret of the fleet");
let databases = 0;

/** One database, which lives as long as the test, and the changes of serving threads on it. */
export type Database = {
  readonly name: string;
  /** As another thread or machine has them. */
  open(databaseClock?: DatabaseClock): Promise<Changes & { readonly node: Node }>;
  sql(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** As the superuser, for what takes more than one statement. */
  connect(): Promise<pg.Client>;
};

export async function aDatabase(server: Postgres): Promise<Database> {
  databases += 1;
  const name = `changes_${databases}`;
  await copyTokens(server, name);
  onTestFinished(() => dropDatabase(server, name));

  async function open(databaseClock: DatabaseClock = madeUpTimes) {
    const settings = readDatabaseSettings(urlOf(server, name), null, "a node");
    const resources = new AsyncDisposableStack();
    onTestFinished(() => resources.disposeAsync());
    const line = (use: string) => resources.use(openLine(settings, { name: use, statementTimeoutMs: 5000 }, quiet));
    const [changesLine, behind, nodeLine] = [line("changes"), line("lists"), line("node")];
    const node = resources.use(await openNode(nodeLine, { name: "a node", schemaVersion, graceMs: 0, log: quiet }));
    await requireSameSecret(await nodeLine.session(), sealingSecret);
    const changes = resources.use(createChanges({ changes: changesLine, behind }, node, sealingSecret, databaseClock));
    return { ...changes, node };
  }

  async function connect() {
    const client = new pg.Client({ connectionString: urlOf(server, name, superuser), ssl: false });
    client.on("error", () => {});
    await client.connect();
    onTestFinished(() => client.end());
    return client;
  }

  return { name, open, connect, sql: (text) => server.sql(text, name) };
}
