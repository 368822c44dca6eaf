import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type DatabaseSettings, readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { type Line, openLine } from "../../../src/stores/postgres/line.ts";
import { openSession, type Session } from "../../../src/stores/postgres/session.ts";
import { isLostState, sqlStateOf } from "../../../src/stores/postgres/sql-state.ts";
import { createCertificateAuthority } from "../support/certificates.ts";
import { type Postgres, serverRole, startPostgres } from "../support/postgres.ts";
import { recordingLog } from "./recording-log.ts";

const simple = (text: string) => ({ name: "", text });
const use = { name: "test", statementTimeoutMs: 5000 };

let server: Postgres;

beforeAll(async () => {
  server = await startPostgres({ version: 15 });
  await server.sql("CREATE TABLE thing (id bigint PRIMARY KEY, content bytea); GRANT ALL ON thing TO token_authority");
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

function settingsOf(url = server.url(serverRole), passwordFile: string | null = null): DatabaseSettings {
  return readDatabaseSettings(url, passwordFile, "node-1");
}

async function open(settings = settingsOf()): Promise<Session & Disposable> {
  const [host] = settings.hosts;
  if (host === undefined) {
    throw new Error("no host");
  }
  const session = await openSession(settings, host, use);
  return { ...session, [Symbol.dispose]: session.destroy };
}

describe("a session", () => {
  it("answers what is under way in order, each by itself, and prepares by name", async () => {
    using session = await open();
    const insert = { name: "insert_thing", text: "INSERT INTO thing (id, content) VALUES ($1, $2)" };
    const answers = await Promise.allSettled([
      session.run(insert, [2 ** 53 - 1, Buffer.from([0, 1, 255])]),
      session.run(insert, [2 ** 53 - 1, null]),
      session.run(simple("SELECT 1/0")),
      session.run(insert, [7, null]),
      session.run({ name: "read_things", text: "SELECT id, content FROM thing ORDER BY id" }),
    ]);
    expect(answers.map((one) => (one.status === "fulfilled" ? one.value.tag : sqlStateOf(one.reason)))).toEqual([
      "INSERT",
      "23505",
      "22012",
      "INSERT",
      "SELECT",
    ]);
    expect(answers[4]).toMatchObject({
      value: {
        count: 2,
        rows: [
          { id: 7, content: null },
          { id: 2 ** 53 - 1, content: Buffer.from([0, 1, 255]) },
        ],
        hasWarning: false,
      },
    });
    await session.run(simple("TRUNCATE thing"));
    expect((await session.run(simple("SELECT count(*) AS prepared FROM pg_prepared_statements"))).rows).toEqual([
      { prepared: 2 },
    ]);
  });

  it("does not tell what is in a row that the server refused", async () => {
    using session = await open();
    const secret = Buffer.from("content of the row");
    await session.run({ name: "", text: "INSERT INTO thing VALUES (77, $1)" }, [secret]);
    const again = await session
      .run({ name: "", text: "INSERT INTO thing VALUES (77, $1)" }, [secret])
      .catch((error) => error);
    const none = await session
      .run({ name: "", text: "INSERT INTO thing VALUES (NULL, $1)" }, [secret])
      .catch((error) => error);
    expect([again, none].map(sqlStateOf)).toEqual(["23505", "23502"]);
    expect(inspect([again, none], { depth: 10, showHidden: true })).not.toMatch(/77|636f6e74656e74|Failing row/);
    expect(again).toMatchObject({ constraint: "thing_pkey" });
    await session.run(simple("TRUNCATE thing"));
  });

  it("refuses a number that is not exact, and goes on", async () => {
    using session = await open();
    await expect(session.run(simple("SELECT 9007199254740993::bigint AS id"))).rejects.toThrow("beyond what is exact");
    expect((await session.run(simple("SELECT 5::bigint AS id"))).rows).toEqual([{ id: 5 }]);
  });

  it("answers ROLLBACK to the COMMIT of a transaction that has failed", async () => {
    using session = await open();
    const [, failed, end] = await Promise.allSettled(
      ["BEGIN", "SELECT 1/0", "COMMIT"].map(simple).map((one) => session.run(one)),
    );
    expect(failed?.status).toBe("rejected");
    expect(end).toMatchObject({ value: { tag: "ROLLBACK" } });
  });

  it("has a warning beside a COMMIT whose wait for a standby was cancelled, and beside no other statement", async () => {
    await server.set({ synchronous_standby_names: "nobody" });
    using session = await open();
    const before = session.run(simple("SELECT 1"));
    const all = ["BEGIN", "INSERT INTO thing VALUES (1)", "COMMIT", "SELECT 2"]
      .map(simple)
      .map((one) => session.run(one));
    const waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND backend_type = 'client backend'";
    await expect.poll(async () => (await server.sql(waits)).length).toBe(1);
    await server.sql(`SELECT pg_cancel_backend(pid) FROM (${waits}) AS waiting`);
    const answers = await Promise.all([before, ...all]);
    expect(answers.map(({ tag, hasWarning }) => [tag, hasWarning])).toEqual([
      ["SELECT", false],
      ["BEGIN", false],
      ["INSERT", false],
      ["COMMIT", true],
      ["SELECT", false],
    ]);
    await server.set({ synchronous_standby_names: "" });
  });

  it("has our settings, whatever the role and the database say, and only raises what a COMMIT waits for", async () => {
    const chosen = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "synchronous_commit"];
    const read = simple(
      `SELECT name, setting FROM pg_settings WHERE name IN (${chosen.map((name) => `'${name}'`)}) OR name = 'application_name'
       ORDER BY name`,
    );
    const settingsFor = async (synchronousCommit: string) => {
      await server.sql(`ALTER ROLE ${serverRole} SET synchronous_commit = '${synchronousCommit}'`);
      using session = await open();
      const { rows } = await session.run<{ name: string; setting: string }>(read);
      return Object.fromEntries(rows.map(({ name, setting }) => [name, setting]));
    };
    await server.sql(
      `ALTER ROLE ${serverRole} SET statement_timeout = 0; ALTER ROLE ${serverRole} SET client_encoding = 'LATIN1'`,
    );
    expect(await settingsFor("off")).toEqual({
      application_name: "node-1/test",
      idle_in_transaction_session_timeout: "1000",
      lock_timeout: "2000",
      statement_timeout: "5000",
      synchronous_commit: "on",
    });
    expect(await settingsFor("local")).toMatchObject({ synchronous_commit: "on" });
    expect(await settingsFor("remote_apply")).toMatchObject({ synchronous_commit: "remote_apply" });
    await server.sql(`ALTER ROLE ${serverRole} RESET ALL`);
  });

  it("that stands still in a transaction is ended by the server after a second, and holds nobody up for longer", async () => {
    using silent = await open();
    using other = await open();
    await server.sql("INSERT INTO thing VALUES (3)");
    await Promise.all(
      ["BEGIN", "SELECT * FROM thing WHERE id = 3 FOR UPDATE"].map(simple).map((one) => silent.run(one)),
    );
    expect((await other.run(simple("UPDATE thing SET content = '' WHERE id = 3"))).count).toBe(1);
    expect(await silent.lost).toMatchObject({ code: "25P03" });
    await expect(silent.run(simple("SELECT 1"))).rejects.toBeInstanceOf(Error);
  });

  it("ends a statement that takes too long, and goes on", async () => {
    const [host] = settingsOf().hosts;
    const session = await openSession(settingsOf(), host ?? { host: "", port: 0 }, { ...use, statementTimeoutMs: 50 });
    const failed = await session.run(simple("SELECT pg_sleep(30)")).catch((error) => error);
    expect(sqlStateOf(failed)).toBe("57014");
    expect(isLostState(failed)).toBe(false);
    expect((await session.run(simple("SELECT 1"))).count).toBe(1);
    session.destroy();
  });

  it("rejects all that is under way when it is lost, and throws nothing into the process", async () => {
    using session = await open();
    const all = Promise.allSettled(Array.from({ length: 20 }, () => session.run(simple("SELECT pg_sleep(30)"))));
    const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%'";
    await expect.poll(async () => (await server.sql(end)).length).toBe(1);
    expect((await all).map(({ status }) => status)).toEqual(Array(20).fill("rejected"));
    expect(session.isLost()).toBe(true);
    expect(await session.lost).toBeInstanceOf(Error);
  });
});

describe("a line", () => {
  async function untilOpen(line: Line): Promise<Session> {
    await expect.poll(() => line.current()).not.toBeNull();
    return line.session();
  }

  it("opens another session when the server was killed, and logs once that it was lost and once that it is back", async () => {
    const log = recordingLog();
    await using line = openLine(settingsOf(), use, log);
    const before = await line.session();
    await server.kill9();
    await before.lost;
    await expect(line.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
    await expect(line.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
    await server.start();
    expect((await (await untilOpen(line)).run(simple("SELECT 1"))).count).toBe(1);
    expect(log.lines.map(({ message }) => message)).toEqual([
      "the database cannot be reached",
      "the database is there again",
    ]);
  });

  it("gives a session up that does not take writes any more", async () => {
    await using line = openLine(settingsOf(), use, recordingLog());
    const before = await line.session();
    await server.set({ default_transaction_read_only: "on" });
    await expect(before.run(simple("INSERT INTO thing VALUES (9)"))).rejects.toMatchObject({ code: "25006" });
    await before.lost;
    await expect(line.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
    await server.set({ default_transaction_read_only: "off" });
    expect((await untilOpen(line)).isLost()).toBe(false);
  });

  it("is undecided at once when it is closed", async () => {
    const line = openLine(settingsOf(), use, recordingLog());
    const session = await line.session();
    await line[Symbol.asyncDispose]();
    expect(session.isLost()).toBe(true);
    await expect(line.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
    const never = openLine({ ...settingsOf(), hosts: [{ host: "127.0.0.1", port: 1 }] }, use, recordingLog());
    const waiting = expect(never.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
    await never[Symbol.asyncDispose]();
    await waiting;
  });

  it("chooses the primary among its hosts, and after a promotion the new one, whatever became of the old one", async () => {
    await using primary = await startPostgres({ version: 15 });
    await using standby = await startPostgres({ version: 15, standbyOf: primary });
    const url = `postgres://${serverRole}@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/tokens`;
    await using line = openLine(settingsOf(url), use, recordingLog());
    expect(await line.session()).toMatchObject({ host: { port: primary.port }, timeline: 1 });
    await standby.promote();
    // The old primary goes on and takes writes: only the timeline tells.
    line.current()?.destroy();
    expect(await untilOpen(line)).toMatchObject({ host: { port: standby.port }, timeline: 2 });
    await standby.stop();
    await expect(line.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
    await standby.start();
    expect(await untilOpen(line)).toMatchObject({ host: { port: standby.port } });
  });

  it("is not held up by a host that stands still", async () => {
    await using other = await startPostgres({ version: 15 });
    other.sigstop();
    const url = `postgres://${serverRole}@127.0.0.1:${other.port},127.0.0.1:${server.port}/tokens`;
    await using line = openLine(settingsOf(url), use, recordingLog());
    expect(await line.session()).toMatchObject({ host: { port: server.port } });
  });
});

describe("how a session gets in", () => {
  it("is a password of a file over verified TLS, or a client's certificate; and nothing of either is told", async () => {
    using scratch = mkdtempDisposableSync(join(tmpdir(), "session-tls-"));
    const ours = createCertificateAuthority(scratch.path);
    const issued = ours.issue("server", "DNS:localhost");
    const client = ours.issue(serverRole, "DNS:client");
    const text = (file: string) => readFileSync(file, "utf8");
    await using secured = await startPostgres({
      version: 15,
      settings: { ssl: "on", ssl_ca_file: "ca.pem", ssl_cert_file: "server.pem", ssl_key_file: "server.key" },
      files: { "ca.pem": text(ours.cert), "server.pem": text(issued.cert), "server.key": text(issued.key) },
      access: ["hostssl tokens token_authority all cert", "hostssl tokens token_owner all scram-sha-256"],
    });
    await secured.sql("ALTER ROLE token_owner PASSWORD 'corr3ct'");
    const password = join(scratch.path, "password");
    const query = `?sslmode=verify-full&sslrootcert=${ours.cert}`;
    const url = (role: string, host = "localhost") => `postgres://${role}@${host}:${secured.port}/tokens${query}`;
    const whoAmI = async (settings: DatabaseSettings) => {
      using session = await open(settings);
      const [row] = (await session.run<{ who: string }>(simple("SELECT current_user AS who"))).rows;
      return row?.who;
    };

    writeFileSync(password, "corr3ct\n", { mode: 0o600 });
    expect(await whoAmI(settingsOf(url("token_owner"), password))).toBe("token_owner");
    const withCertificate = `${url(serverRole)}&sslcert=${client.cert}&sslkey=${client.key}`;
    expect(await whoAmI(settingsOf(withCertificate))).toBe(serverRole);

    writeFileSync(password, "wr0ng\n", { mode: 0o600 });
    const refused = [
      settingsOf(url("token_owner"), password),
      settingsOf(url("token_owner")),
      settingsOf(url(serverRole)),
      // The certificate is for another name.
      settingsOf(url("token_owner", "127.0.0.1"), password),
      // Nobody whom the system trusts has signed it.
      settingsOf(url("token_owner").replace(/&sslrootcert=.*/, ""), password),
    ];
    const log = recordingLog();
    const codes: unknown[] = [];
    for (const settings of refused) {
      const error: unknown = await open(settings).catch((one) => one);
      codes.push(error instanceof Error && "code" in error ? error.code : String(error));
      await using line = openLine(settings, use, log);
      await expect(line.session()).rejects.toMatchObject({ reason: "UNDECIDED" });
      expect(inspect(error, { depth: 10 })).not.toMatch(/wr0ng|corr3ct|PRIVATE KEY/);
    }
    expect(codes).toEqual([
      "28P01",
      expect.stringContaining("the database asks for a password"),
      "28000",
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "SELF_SIGNED_CERT_IN_CHAIN",
    ]);
    expect(JSON.stringify(log.lines)).not.toMatch(/wr0ng|corr3ct|PRIVATE KEY/);
  });
});
