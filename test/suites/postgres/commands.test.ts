import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempDisposableSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityProcess, clientOf } from "../../support/authority-process.ts";
import { ownerRole, type Postgres, serverRole } from "../support/postgres.ts";
import { copyTokens, startTokens, urlOf } from "./databases.ts";
import { makeSealingSecret, NodeProcess, verdictOf } from "./node-process.ts";

const main = resolve(import.meta.dirname, "../../../src/main.ts");
const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";

let server: Postgres;
const scratch = mkdtempDisposableSync(`${tmpdir()}/token-authority-commands-`);

beforeAll(async () => {
  server = await startTokens();
  await server.sql("CREATE DATABASE bare OWNER token_owner", "postgres");
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  scratch.remove();
});

type Ended = { readonly code: number | null; readonly output: string };

function start(args: readonly string[]): { readonly child: ChildProcess; readonly ended: Promise<Ended> } {
  const child = spawn(process.execPath, [main, ...args], { cwd: "/", env: {}, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  return { child, ended: once(child, "close").then(([code]) => ({ code, output })) };
}

const run = (...args: readonly string[]): Promise<Ended> => start(args).ended;

/** An empty database of its own, as its owner reaches it. */
async function newDatabase(name: string): Promise<string> {
  await copyTokens(server, name);
  return urlOf(server, name, ownerRole);
}

const create = { account: "acct_1", name: "a key", type: TokenType.SECRET } as const;
type Client = ReturnType<typeof clientOf>;

async function issue(client: Client, request: object = {}): Promise<{ readonly id: string; readonly key: string }> {
  const { key, token } = await client.create({ ...create, ...request });
  return { id: token?.id ?? "", key };
}

/** Everything that can happen to keys, and what is said of each key then. */
async function live(client: Client): Promise<ReadonlyMap<string, string | number>> {
  const kept = await issue(client, { name: "a \\ and ünïcode", requestId });
  const revoked = await issue(client);
  const rotated = await issue(client);
  const held = await issue(client, { type: TokenType.RESTRICTED, permissions: ["events:read"] });
  const ofHeldAccount = await issue(client, { account: "acct_held" });
  const ofClosedAccount = await issue(client, { account: "acct_closed" });
  await client.authenticate({ key: kept.key });
  await client.revoke({ id: revoked.id, reason: "it leaked" });
  const { key: next } = await client.rotateKey({ id: rotated.id, overlap: { seconds: 3600n } });
  const { key: last } = await client.rotateKey({ id: rotated.id, overlap: { seconds: 3600n } });
  await client.setHold({ subject: { case: "tokenId", value: held.id }, held: true, reason: "under review" });
  await client.setHold({ subject: { case: "account", value: "acct_held" }, held: true });
  await client.closeAccount({ account: "acct_closed", reason: "gone" });
  const keys = [kept, revoked, rotated, held, ofHeldAccount, ofClosedAccount].map(({ key }) => key);
  const verdicts = new Map<string, string | number>();
  for (const key of [...keys, next, last]) {
    verdicts.set(key, await verdictOf(client, key));
  }
  return verdicts;
}

async function verdictsOf(client: Client, keys: Iterable<string>): Promise<ReadonlyMap<string, string | number>> {
  const verdicts = new Map<string, string | number>();
  for (const key of keys) {
    verdicts.set(key, await verdictOf(client, key));
  }
  return verdicts;
}

describe("migrate", () => {
  it("makes the tables, and says the second time that they are there", async () => {
    const url = urlOf(server, "bare", ownerRole);
    expect(await run("migrate", url)).toEqual({
      code: 0,
      output: "the database was brought from schema version 0 to 1; token_authority may serve it\n",
    });
    expect((await run("migrate", url)).output).toMatch(/^the database is of schema version 1 already/);
  });

  it("names the role that is not there, and what makes it", async () => {
    const { code, output } = await run("migrate", await newDatabase("no_role"), "--server-role", "nobody_serves");
    expect({ code, output }).toEqual({
      code: 2,
      output: 'there is no role nobody_serves to serve with: CREATE ROLE "nobody_serves" LOGIN makes it\n',
    });
  });

  it("says of a server that is not there where it was looked for", async () => {
    const { code, output } = await run("migrate", "postgres://token_owner@127.0.0.1:1/tokens");
    expect({ code, output }).toEqual({
      code: 2,
      output: "the database cannot be reached: 127.0.0.1:1: ECONNREFUSED\n",
    });
  });

  it.each(["backup", "restore"])("is not %s, which is of data directories", async (command) => {
    const { code, output } = await run(
      command,
      "/there",
      urlOf(server, "bare", ownerRole),
      "--accept-lost-revocations",
    );
    const other = await run(command, urlOf(server, "bare", ownerRole), "/there");
    expect([code, other.code]).toEqual([2, 2]);
    expect(output + other.output).toContain("back a PostgreSQL database up and restore it with its own tools");
  });
});

describe("copy", () => {
  it("moves everything: keys, holds, rotations, requests and the journal with its hashes", async () => {
    const directory = join(scratch.path, "lived");
    await using before = new AuthorityProcess(scratch.path, [], { TOKEN_AUTHORITY_DATA_DIR: directory });
    const client = clientOf(await before.address());
    const verdicts = await live(client);
    const [[first]] = [[...verdicts.keys()]];
    const { changes } = await client.listChanges({ pageSize: 100 });
    expect(await run("copy", directory, await newDatabase("served"))).toEqual({
      code: 2,
      output: expect.stringContaining("is in use by another process"),
    });
    before.child.kill("SIGTERM");
    await before.ended();

    const url = await newDatabase("lived");
    const whole = await run("verify-journal", directory);
    const { code, output } = await run("copy", directory, url);
    expect({ code, output }).toEqual({
      code: 0,
      output: expect.stringContaining("copied 6 tokens with 8 keys, 12 changes"),
    });
    expect(output).toContain(whole.output);
    expect(await run("verify-journal", url)).toEqual(whole);

    await using node = new NodeProcess(urlOf(server, "lived"), `${directory}.sealing-secret`);
    const moved = await node.client();
    expect(await verdictsOf(moved, verdicts.keys())).toEqual(verdicts);
    expect((await moved.listChanges({ pageSize: 100 })).changes).toEqual(changes);
    const again = await moved.create({ ...create, name: "a \\ and ünïcode", requestId });
    expect(again.key).toBe(first);
    await issue(moved);
    expect((await run("verify-journal", url)).output).toContain("the journal is whole, up to 13:");
    expect(await run("copy", directory, url)).toEqual({
      code: 2,
      output: expect.stringMatching(/^nodes serve the database: end .*:1, .*:2 first\n$/),
    });
    await node.stop();
    expect((await run("copy", directory, url)).output).toMatch(/^the database is not empty/);
  });

  it("is all or nothing: killed in the middle, it leaves an empty database for the next one", async () => {
    const directory = join(scratch.path, "killed");
    await using before = new AuthorityProcess(scratch.path, [], { TOKEN_AUTHORITY_DATA_DIR: directory });
    const client = clientOf(await before.address());
    for (let made = 0; made < 50; made += 1) {
      await issue(client);
    }
    before.child.kill("SIGTERM");
    await before.ended();
    const url = await newDatabase("killed");
    // Whoever looks at the rows holds the copy up in the middle.
    const holding = server.sql(
      "BEGIN; LOCK TABLE token_authority.token_key IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(60)",
      "killed",
    );
    holding.catch(() => {});
    await expect
      .poll(() => server.sql("SELECT 1 FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted", "killed"))
      .not.toEqual([]);
    const { child, ended } = start(["copy", directory, url]);
    await expect
      .poll(() => server.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'", "killed"))
      .not.toEqual([]);
    child.kill("SIGKILL");
    await ended;
    await server.sql(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'killed' AND pid <> pg_backend_pid()",
      "killed",
    );
    expect(await server.sql("SELECT count(*)::int AS rows FROM token_authority.journal", "killed")).toEqual([
      { rows: 0 },
    ]);
    expect((await run("copy", directory, url)).output).toContain("copied 50 tokens");
  });

  it("finds a row that is not what was copied", async () => {
    const directory = join(scratch.path, "changed");
    await using before = new AuthorityProcess(scratch.path, [], { TOKEN_AUTHORITY_DATA_DIR: directory });
    await issue(clientOf(await before.address()));
    before.child.kill("SIGTERM");
    await before.ended();
    const url = await newDatabase("changed");
    await server.sql(
      `CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.key_hint := 'abcd'; RETURN NEW; END $$;
       CREATE TRIGGER spoil BEFORE INSERT ON token_authority.token_key FOR EACH ROW EXECUTE FUNCTION spoil()`,
      "changed",
    );
    expect(await run("copy", directory, url)).toEqual({
      code: 2,
      output: "the table token_key holds something else than was copied, in the rows from 1 to 5000\n",
    });
    expect(await server.sql("SELECT FROM token_authority.journal", "changed")).toEqual([]);
  });
});

describe("verify-journal", () => {
  it("finds what was changed past the program, and a journal that is not the one expected", async () => {
    const url = await newDatabase("edited");
    await using node = new NodeProcess(urlOf(server, "edited"), makeSealingSecret(scratch.path));
    const { id } = await issue(await node.client());
    await server.sql("UPDATE token_authority.token SET permissions = '[\"*\"]'", "edited");
    const { code, output } = await run("verify-journal", url);
    expect(code).toBe(1);
    expect(output).toMatch(new RegExp(`^the journal is at fault: the hash of revision 1 fits neither .* ${id} `));
    const elsewhere = await run("verify-journal", url, "--head", `7:${"0".repeat(64)}`);
    expect(elsewhere.code).toBe(1);
  });

  it("says that there is no such database, or that the role is not let in", async () => {
    const { code, output } = await run("verify-journal", urlOf(server, "none_such", ownerRole));
    expect({ code, output }).toEqual({
      code: 2,
      output: `the database at 127.0.0.1:${server.port} has no database none_such\n`,
    });
    expect((await run("verify-journal", urlOf(server, "bare", "nobody_known"))).output).toContain(
      "does not let the role nobody_known in",
    );
  });
});

describe("recover", () => {
  /** A database that has lost what was done after a moment, and the logs of the node that did it. */
  async function loseChanges(name: string): Promise<{
    readonly url: string;
    readonly log: string;
    readonly lost: readonly { readonly id: string; readonly key: string }[];
    readonly kept: { readonly id: string; readonly key: string };
  }> {
    await newDatabase(`${name}_before`);
    await using node = new NodeProcess(urlOf(server, `${name}_before`), makeSealingSecret(scratch.path));
    const client = await node.client();
    const lost = [await issue(client), await issue(client, { account: "acct_2" }), await issue(client)];
    const kept = await issue(client);
    // The standby that will be promoted, as it is now.
    const copied = await copyDatabase(`${name}_before`, name);
    const [revoked, , created] = lost;
    await client.revoke({ id: revoked?.id ?? "", reason: "it leaked" });
    await client.setHold({ subject: { case: "account", value: "acct_2" }, held: true });
    await client.setHold({ subject: { case: "tokenId", value: created?.id ?? "" }, held: true });
    const gone = await issue(client);
    await client.revoke({ id: gone.id });
    await node.stop();
    const log = join(scratch.path, `${name}.log`);
    writeFileSync(log, node.stdout);
    return { url: copied, log, lost, kept };
  }

  /** A whole copy of another database, which nodes may be serving. */
  async function copyDatabase(from: string, to: string): Promise<string> {
    await copyTokens(server, to);
    const tables = ["authority", "journal", "token", "token_key", "account_state", "last_use", "create_request"];
    const rows = await Promise.all(
      tables.map((table) => server.sql(`SELECT row_to_json(t)::text AS row FROM token_authority.${table} t`, from)),
    );
    await server.sql("DELETE FROM token_authority.authority", to);
    for (const [at, table] of tables.entries()) {
      for (const { row } of rows[at] ?? []) {
        const json = String(row).replaceAll("'", "''");
        await server.sql(
          `INSERT INTO token_authority.${table} SELECT * FROM json_populate_record(NULL::token_authority.${table}, '${json}')`,
          to,
        );
      }
    }
    return urlOf(server, to, ownerRole);
  }

  it("does again what was lost, once, and tells what it did", async () => {
    const { url, log, lost, kept } = await loseChanges("lost");
    const first = await run("recover", url, "--revocations", log);
    expect(first).toEqual({
      code: 0,
      output: expect.stringContaining(
        "revoked again: 1; ended, held or closed again: 2; known already: 0; of tokens whose creation was lost: 1",
      ),
    });
    expect(first.output).toContain("the database is of era 2 and ends at 7:");
    const second = await run("recover", url, "--revocations", log);
    expect(second.output).toContain("revoked again: 0; ended, held or closed again: 0; known already: 3;");
    expect(second.output).toContain("the database is of era 3 and ends at 7:");
    // Of what was lost alone: what the first run made in its place is in no file.
    const partOf = join(scratch.path, "part.log");
    const lines = readFileSync(log, "utf8").split("\n");
    writeFileSync(partOf, lines.filter((line) => /"revision":[5-9]/.test(line)).join("\n"));
    expect(await run("recover", url, "--revocations", partOf)).toEqual({
      code: 2,
      output: expect.stringMatching(
        /^recover has run on this database before \(its era is 3\): where nothing was lost since, nothing is to be done; else no file says/,
      ),
    });
    expect((await run("verify-journal", url)).output).toContain("the journal is whole, up to 7:");
    expect((await run("migrate", url, "--new-sealing-secret")).output).toContain(
      "the next node that starts says which sealing secret all nodes have",
    );
    await using node = new NodeProcess(urlOf(server, "lost"), makeSealingSecret(scratch.path));
    const client = await node.client();
    const verdicts = await Promise.all([...lost, kept].map(({ key }) => verdictOf(client, key)));
    expect(verdicts).toEqual([
      RefusalReason.TOKEN_REVOKED,
      RefusalReason.ACCOUNT_HELD,
      RefusalReason.TOKEN_HELD,
      "principal",
    ]);
  });

  it("does it also where others made other changes in the place of those that were lost", async () => {
    const { url, log, lost, kept } = await loseChanges("forked");
    await server.sql("UPDATE token_authority.authority SET sealing_fingerprint = NULL", "forked");
    await using node = new NodeProcess(urlOf(server, "forked"), makeSealingSecret(scratch.path));
    const client = await node.client();
    await client.revoke({ id: kept.id });
    for (let made = 0; made < 10; made += 1) {
      await issue(client);
    }
    expect(await verdictOf(client, lost[0]?.key ?? "")).toBe("principal");
    const { code, output } = await run("recover", url, "--revocations", log);
    expect({ code, output }).toEqual({ code: 0, output: expect.stringContaining("revoked again: 1;") });
    const tooEarly = await run("migrate", url, "--new-sealing-secret");
    expect(tooEarly).toEqual({
      code: 2,
      output: expect.stringMatching(/^\S+:1, \S+:2 would go on with the sealing secret of before: end all nodes/),
    });
    // The node takes the new era by itself.
    await expect.poll(() => verdictOf(client, lost[0]?.key ?? "")).toBe(RefusalReason.TOKEN_REVOKED);
    expect((await run("verify-journal", url)).code).toBe(0);
  });

  it("is refused without logs, with those of another authority, and with a gap", async () => {
    const { url, log } = await loseChanges("refused");
    const ofServer = await run("recover", urlOf(server, "refused"), "--revocations", "/no such file");
    expect(ofServer).toEqual({
      code: 2,
      output: `the role ${serverRole} may not recover the database: connect as ${ownerRole}, which owns the tables\n`,
    });
    expect((await run("recover", url)).output).toMatch(/^the database does not know what was revoked and lost/);
    const other = await loseChanges("other");
    expect((await run("recover", url, "--revocations", other.log)).output).toMatch(
      /no line is of a change that the database knows/,
    );
    const lines = readFileSync(log, "utf8").split("\n");
    const known = join(scratch.path, "known.log");
    writeFileSync(known, lines.filter((line) => !/"revision":[5-9]/.test(line)).join("\n"));
    expect((await run("recover", url, "--revocations", known)).output).toMatch(
      /tell of no change that the database has lost/,
    );
    const gap = join(scratch.path, "gap.log");
    writeFileSync(gap, lines.filter((line) => !/"revision":6/.test(line)).join("\n"));
    expect((await run("recover", url, "--revocations", gap)).output).toMatch(/no file says what revision 6 was/);
    const accepted = await run("recover", url, "--revocations", gap, "--accept-lost-revocations");
    expect(accepted).toEqual({ code: 0, output: expect.stringContaining("not known: revisions 6 to 6") });
    expect((await run("recover", url, "--accept-lost-revocations")).output).toContain("did no revocations again");
  });
});
