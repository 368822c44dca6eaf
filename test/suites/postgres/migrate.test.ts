import { createHash, randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { StartError } from "../../../src/machine/start-error.ts";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { forgetSealingSecret, migrate } from "../../../src/stores/postgres/offline/migrate.ts";
import { requireServable, type SchemaStep, schemaSteps, schemaVersion } from "../../../src/stores/postgres/schema.ts";
import { openSession } from "../../../src/stores/postgres/session.ts";
import { aNewToken, anyLimit, aRequest, at, nowMs } from "../../support/token-store/builders.ts";
import { ownerRole, type Postgres, serverRole, startPostgres, superuser } from "../support/postgres.ts";
import { dropDatabase, urlOf } from "./databases.ts";
import { openStoreOn } from "./store-kind.ts";

let server: Postgres;
let databases = 0;

beforeAll(async () => {
  server = await startPostgres({ version: 15 });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
});

const quiet = { info() {}, warn() {}, error() {} };
const options = { serverRole, log: quiet };

/** An empty database of the owner's. */
async function anEmptyDatabase(): Promise<string> {
  databases += 1;
  const name = `migrated_${databases}`;
  await server.sql(`CREATE DATABASE ${name} OWNER ${ownerRole}`, "postgres");
  onTestFinished(() => dropDatabase(server, name));
  return name;
}

async function connect(name: string, role = ownerRole): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: urlOf(server, name, role), ssl: false });
  await client.connect();
  onTestFinished(() => client.end());
  return client;
}

async function openOn(name: string, role = serverRole) {
  const settings = readDatabaseSettings(urlOf(server, name, role), null, "a node");
  const [host] = settings.hosts;
  if (host === undefined) {
    throw new Error("no host");
  }
  const session = await openSession(settings, host, { name: "start", statementTimeoutMs: 5000 });
  onTestFinished(() => session.destroy());
  return session;
}

async function serve(name: string, role = serverRole, secret = "secret of the fleet"): Promise<void> {
  await requireServable(await openOn(name, role), { sealingSecret: Buffer.from(secret), log: quiet });
}

async function schemaOf(name: string): Promise<unknown> {
  return await server.sql(
    `SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns
       WHERE table_schema = 'token_authority' ORDER BY 1, 2`,
    name,
  );
}

/** As a node that lives. */
async function renewUntil(signal: AbortSignal, name: string): Promise<void> {
  while (!signal.aborted) {
    await server.sql("UPDATE token_authority.node SET renewals = renewals + 1", name);
    await wait(100);
  }
}

const withIndex: SchemaStep = {
  indexes: [{ name: "token_by_creator", on: "token_authority.token (created_by)" }],
  statements: "ALTER TABLE token_authority.token ADD COLUMN note text",
  oldestVersion: schemaVersion,
};
const contracting: SchemaStep = {
  indexes: [],
  statements: "ALTER TABLE token_authority.last_use ADD COLUMN note text",
  oldestVersion: schemaVersion + 1,
};

it("never changes a released step", () => {
  expect(
    schemaSteps.map(({ statements }) => createHash("sha256").update(statements).digest("hex")),
  ).toMatchInlineSnapshot(`
    [
      "ae1076af474962c6c81527b5aa83f7635e0b9b1c076030be12f3346a794e3986",
    ]
  `);
});

describe("migrate", () => {
  it("makes the tables, and does nothing when it is called again", async () => {
    const name = await anEmptyDatabase();
    const client = await connect(name);
    expect(await migrate(client, options)).toEqual({ from: 0, to: schemaVersion });
    const before = await schemaOf(name);
    expect(await migrate(client, options)).toEqual({ from: schemaVersion, to: schemaVersion });
    expect(await schemaOf(name)).toEqual(before);
    await serve(name);
  });

  it("is harmless when several begin at once, from nothing and from a version before", async () => {
    const name = await anEmptyDatabase();
    const clients = await Promise.all(Array.from({ length: 4 }, () => connect(name)));
    await Promise.all(clients.map((client) => migrate(client, options)));
    const steps = [...schemaSteps, contracting];
    await Promise.all(clients.map((client) => migrate(client, { ...options, steps })));
    expect(await server.sql("SELECT schema_version, oldest_version FROM token_authority.authority", name)).toEqual([
      { schema_version: schemaVersion + 1, oldest_version: schemaVersion + 1 },
    ]);
  });

  it("makes the indexes of a step while changes go on, and makes a broken one anew", async () => {
    const name = await anEmptyDatabase();
    const client = await connect(name);
    await migrate(client, options);
    await client.query("CREATE INDEX token_by_creator ON token_authority.token (created_by)");
    await server.sql(
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'token_authority.token_by_creator'::regclass",
      name,
    );
    await migrate(client, { ...options, steps: [...schemaSteps, withIndex] });
    const isWhole = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'token_authority.token_by_creator'::regclass";
    expect(await server.sql(isWhole, name)).toEqual([{ indisvalid: true }]);
    // A step that only adds: this release serves on.
    await serve(name);
  });

  it("refuses a database that a newer release has migrated", async () => {
    const name = await anEmptyDatabase();
    const client = await connect(name);
    await migrate(client, { ...options, steps: [...schemaSteps, withIndex] });
    await expect(migrate(client, options)).rejects.toThrow(/made by a newer token authority/);
  });

  it("takes a step that older nodes cannot live with only once none of them lives", async () => {
    const name = await anEmptyDatabase();
    const client = await connect(name);
    await migrate(client, options);
    await server.sql(
      `INSERT INTO token_authority.node SELECT '${randomUUID()}', 'till-7', ${schemaVersion}, 0, 0, 0, 0, '[]'`,
      name,
    );
    const steps = [...schemaSteps, contracting];
    const stopped = new AbortController();
    const renewing = renewUntil(stopped.signal, name);
    await expect(migrate(client, { ...options, steps })).rejects.toThrow(
      `schema version ${schemaVersion + 1} would break nodes that serve now: bring till-7 to a newer release first`,
    );
    stopped.abort();
    await renewing;
    expect(await migrate(client, { ...options, steps })).toMatchObject({ to: schemaVersion + 1 });
    await expect(serve(name)).rejects.toThrow(/start a newer release/);
  });

  it("refuses a role that is not there, that owns the tables, or that may do everything", async () => {
    const name = await anEmptyDatabase();
    const client = await connect(name);
    const asRole = (role: string) => migrate(client, { serverRole: role, log: quiet });
    await expect(asRole("nobody")).rejects.toThrow('there is no role nobody to serve with: CREATE ROLE "nobody" LOGIN');
    await expect(asRole(ownerRole)).rejects.toThrow(/could rewrite the journal/);
    await expect(asRole(superuser)).rejects.toThrow(/could rewrite the journal/);
    expect(await schemaOf(name)).toEqual([]);
  });
});

const waitingForLocks = `SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'`;

async function untilOneWaits(name: string): Promise<void> {
  await expect.poll(async () => (await server.sql(waitingForLocks, name)).length).toBe(1);
}

describe("another sealing secret", () => {
  async function aServedDatabase(): Promise<{ readonly name: string; readonly client: pg.Client }> {
    const name = await anEmptyDatabase();
    const client = await connect(name);
    await migrate(client, options);
    await serve(name);
    return { name, client };
  }

  it("is refused where a node came while the command waited for the lock", async () => {
    const { name, client } = await aServedDatabase();
    const changing = await connect(name);
    await changing.query("BEGIN");
    await changing.query("SELECT FROM token_authority.authority FOR UPDATE");
    const forgetting = forgetSealingSecret(client).catch((error) => error);
    await untilOneWaits(name);
    await server.sql(
      `INSERT INTO token_authority.node SELECT '${randomUUID()}', 'till-8', ${schemaVersion}, 0, 0, 0, 0, '[]'`,
      name,
    );
    await changing.query("COMMIT");
    expect(String(await forgetting)).toContain("till-8 would go on with the sealing secret of before");
    await expect(serve(name, serverRole, "another secret")).rejects.toThrow(/need the same one/);
  });

  it("is not that of a second node while a first one, which the command did not see, serves with the old one", async () => {
    const { name, client } = await aServedDatabase();
    const [old, other] = ["secret of the fleet", "another secret"].map((secret) => Buffer.from(secret));
    const holding = await connect(name);
    await holding.query("BEGIN");
    await holding.query("LOCK TABLE token_authority.node IN SHARE MODE");
    // It has compared its secret, and has no row yet.
    const starting = openStoreOn(urlOf(server, name), undefined, old);
    await untilOneWaits(name);
    await forgetSealingSecret(client);
    await holding.query("COMMIT");
    await using first = await starting;
    expect(first.isServing()).toBe(true);
    await expect(openStoreOn(urlOf(server, name), undefined, other)).rejects.toThrow(/need the same one/);
  });

  it("has a node that was paused meanwhile seal no key with the old one, and revoke as before", async () => {
    const { name } = await aServedDatabase();
    await using paused = await openStoreOn(urlOf(server, name), undefined, Buffer.from("secret of the fleet"));
    const facts = aNewToken();
    await paused.create(facts, aRequest(randomUUID()), anyLimit, at(nowMs));
    // As the command does that takes the node for dead.
    await server.sql("UPDATE token_authority.authority SET sealing_fingerprint = NULL", name);
    const issue = async () => await paused.create(aNewToken(), aRequest(randomUUID()), anyLimit, at(nowMs));
    const refused = { reason: "UNDECIDED", cause: { message: expect.stringContaining("another sealing secret") } };
    await expect(issue()).rejects.toMatchObject(refused);
    await using other = await openStoreOn(urlOf(server, name), undefined, Buffer.from("another secret"));
    await expect(issue()).rejects.toMatchObject(refused);
    expect(await other.create(aNewToken(), aRequest(randomUUID()), anyLimit, at(nowMs))).toMatchObject({
      kind: "created",
    });
    expect(await paused.create(aNewToken(), null, anyLimit, at(nowMs))).toMatchObject({ kind: "created" });
    expect(await paused.revoke(facts.id, "leaked", at(nowMs))).toMatchObject({ token: { revokedAtMs: nowMs } });
  });
});

it.each([
  ["its wait for a standby was cancelled", "pg_cancel_backend", "the answer COMMIT came with a warning"],
  ["its connection was lost", "pg_terminate_backend", "no answer came|57P01"],
])("a COMMIT is not told of as done when %s, and the command may be run again", async (_why, end, heard) => {
  const name = await anEmptyDatabase();
  const client = await connect(name);
  client.on("error", () => {});
  await migrate(client, options);
  await server.set({ synchronous_standby_names: "nobody" });
  onTestFinished(() => server.set({ synchronous_standby_names: "" }));
  const outcome = migrate(client, options).catch((error) => error);
  const waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'";
  await expect.poll(async () => (await server.sql(waits)).length).toBe(1);
  await server.sql(`SELECT ${end}(pid) FROM (${waits}) AS waiting`);
  const { name: kind, message } = await outcome;
  await server.set({ synchronous_standby_names: "" });
  expect(`${kind}: ${message}`).toMatch(
    new RegExp(`^StartError: the database does not vouch for the COMMIT \\((${heard})\\), and .* run this again$`),
  );
  expect(await migrate(await connect(name), options)).toEqual({ from: schemaVersion, to: schemaVersion });
});

describe("the server's role", () => {
  it.each([
    "UPDATE token_authority.journal SET caller = 'nobody'",
    "DELETE FROM token_authority.journal",
    "TRUNCATE token_authority.journal",
    "DELETE FROM token_authority.token",
    "UPDATE token_authority.token SET account = 'acct_2'",
    "UPDATE token_authority.token SET permissions = '[]'",
    "DELETE FROM token_authority.token_key",
    "UPDATE token_authority.token_key SET digest = digest",
    "UPDATE token_authority.authority SET era = era",
    "DROP TABLE token_authority.node",
    "ALTER TABLE token_authority.token DISABLE TRIGGER ALL",
    "CREATE TABLE token_authority.mine (n int)",
  ])("may not %s", async (statement) => {
    const name = await anEmptyDatabase();
    await migrate(await connect(name), options);
    const session = await openOn(name);
    await expect(session.run({ name: "", text: statement })).rejects.toMatchObject({ code: "42501" });
  });
});

describe("a server", () => {
  it("refuses a database that nobody has migrated, or that is of a version before, and names the command", async () => {
    const name = await anEmptyDatabase();
    await expect(serve(name)).rejects.toThrow(/npm run migrate -- DATABASE makes them/);
    await migrate(await connect(name), options);
    await server.sql("UPDATE token_authority.authority SET schema_version = 0", name);
    await expect(serve(name)).rejects.toThrow(/npm run migrate -- DATABASE brings it there/);
    await expect(serve(name)).rejects.toBeInstanceOf(StartError);
  });

  it("refuses to serve with a role that could rewrite the journal, or that may do nothing", async () => {
    const name = await anEmptyDatabase();
    await migrate(await connect(name), options);
    await expect(serve(name, ownerRole)).rejects.toThrow(/may rewrite the journal/);
    await server.sql(`REVOKE INSERT ON token_authority.journal FROM ${serverRole}`, name);
    await expect(serve(name)).rejects.toThrow(/may not serve the database: npm run migrate/);
  });

  it("refuses another sealing secret than that of the first node", async () => {
    const name = await anEmptyDatabase();
    await migrate(await connect(name), options);
    await serve(name);
    await serve(name);
    await expect(serve(name, serverRole, "another secret")).rejects.toThrow(
      /all nodes of a database need the same one/,
    );
  });

  it("refuses accounts that are sorted as people sort, and not by their bytes", async () => {
    const name = await anEmptyDatabase();
    await migrate(await connect(name), options);
    await server.sql('ALTER TABLE token_authority.token ALTER COLUMN account TYPE text COLLATE "en-x-icu"', name);
    await expect(serve(name)).rejects.toThrow(/token.account must have the collation "C"/);
  });

  it("refuses a database that forgets in a power cut", async () => {
    const name = await anEmptyDatabase();
    await migrate(await connect(name), options);
    await server.set({ fsync: "off" });
    await expect(serve(name)).rejects.toThrow(/fsync = off/);
    await server.set({ fsync: "on" });
    await serve(name);
  });
});
