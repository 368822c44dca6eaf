import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import type { Freshness, Mark } from "../../../src/authority/freshness.ts";
import type { Log } from "../../../src/machine/log.ts";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { openLine } from "../../../src/stores/postgres/line.ts";
import { schemaVersion } from "../../../src/stores/postgres/schema.ts";
import { acknowledge, insertNode, type Node, openNode } from "../../../src/stores/postgres/serving/node.ts";
import { type Postgres, serverRole } from "../support/postgres.ts";
import { startTokens } from "./databases.ts";

let server: Postgres;
const logged: string[] = [];
const note = (_fields: object, message: string) => void logged.push(message);
const log: Log = { info: note, warn: note, error: note };
const quiet: Log = { info() {}, warn() {}, error() {} };

beforeAll(async () => {
  server = await startTokens();
  return () => server[Symbol.asyncDispose]();
});

beforeEach(async () => {
  logged.length = 0;
  await server.sql(
    "TRUNCATE token_authority.journal, token_authority.node; UPDATE token_authority.authority SET era = 1",
  );
});

/** One node, as a serving thread is. It ends with the test. */
async function open(name: string, graceMs = 0): Promise<Node> {
  const settings = readDatabaseSettings(server.url(serverRole), null, name);
  const line = openLine(settings, { name: "node", statementTimeoutMs: 5000 }, quiet);
  const node = await openNode(line, { name, schemaVersion, graceMs, log });
  onTestFinished(async () => {
    await node[Symbol.asyncDispose]();
    await line[Symbol.asyncDispose]();
  });
  return node;
}

const insertHolds = (count: number) => `
  INSERT INTO token_authority.journal (revision, at_ms, caller, action, account, facts, hash)
    SELECT head + n, 1, 'test', 'hold', 'acct_1', '{}', sha256(('change ' || head + n)::bytea)
    FROM (SELECT coalesce(max(revision), 0) AS head FROM token_authority.journal) AS newest,
      generate_series(1, ${count}) AS n`;

/** Makes so many changes at once, and returns the revision of the newest. */
async function change(count = 1): Promise<number> {
  await server.sql(insertHolds(count));
  const [row] = await server.sql("SELECT max(revision)::int AS revision FROM token_authority.journal");
  return Number(row?.revision);
}

async function reached({ freshness }: Node, revision: number): Promise<void> {
  for (let mark = freshness.mark(); mark.revision < revision; mark = freshness.mark()) {
    await freshness.untilChanged(mark);
  }
}

/** From here on the fast answer may be believed. */
async function season(...nodes: readonly Node[]): Promise<void> {
  await Promise.all(nodes.map(({ freshness }) => freshness.settle(0)));
}

/** Stops the server's process of a node's session, so that the node is cut off and does not know. */
async function cutOff(name: string): Promise<{ readonly goOn: () => void }> {
  const [row] = await server.sql(`SELECT pid FROM pg_stat_activity WHERE application_name = '${name}/node'`);
  const pid = Number(row?.pid);
  process.kill(pid, "SIGSTOP");
  return { goOn: () => process.kill(pid, "SIGCONT") };
}

async function untilNotFresh(freshness: Freshness, mark: Mark): Promise<void> {
  await expect.poll(() => freshness.isFresh(mark)).toBe(false);
}

const none = { acknowledged: 0, silent: [], unconfirmed: [] };

it("a change is settled once every node has applied it, and from then on none of them is fresh without it", async () => {
  const nodes = [await open("one"), await open("two"), await open("three")];
  await season(...nodes);
  for (let round = 0; round < 30; round += 1) {
    const marks = nodes.map(({ freshness }) => freshness.mark());
    const revision = await change();
    expect(await nodes[round % 3]?.freshness.settle(revision)).toEqual(none);
    expect(nodes.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(true);
    expect(nodes.map((node) => node.head().revision)).toEqual([revision, revision, revision]);
  }
  expect(
    nodes[0]
      ?.readings()
      .nodes.map(({ name, isAlive }) => [name, isAlive])
      .toSorted(),
  ).toEqual([
    ["one", true],
    ["three", true],
    ["two", true],
  ]);
});

it("what a poll brings tells of each key that the changed token has", async () => {
  const node = await open("one");
  const digests = [1, 2].map((byte) => Buffer.alloc(32, byte));
  await server.sql(`
    BEGIN;
    INSERT INTO token_authority.token (revision, id, account, name, type, livemode, permissions, created_by, created_at_ms)
      VALUES (1, 'tok_1', 'acct_1', '', 'secret', true, '[]', 'test', 1) ON CONFLICT DO NOTHING;
    INSERT INTO token_authority.token_key (digest, token_revision, issue_revision, key_hint)
      VALUES ('\\x${digests[0]?.toString("hex")}', 1, 1, ''), ('\\x${digests[1]?.toString("hex")}', 1, 2, '')
      ON CONFLICT DO NOTHING;
    INSERT INTO token_authority.journal (revision, at_ms, caller, action, token_revision, facts, hash)
      VALUES (1, 5, 'test', 'create', 1, '{}', sha256('one')), (2, 6, 'test', 'rotate_key', 1, '{}', sha256('two'));
    COMMIT`);
  const start = { revision: 0, signal: node.freshness.mark().signal };
  await reached(node, 2);
  const told = { digests, tokenId: "tok_1", account: null };
  expect(node.freshness.changesSince(start, 10).changes).toEqual([
    { revision: 1, action: "create", ...told },
    { revision: 2, action: "rotate_key", ...told },
  ]);
  expect(node.head()).toMatchObject({ revision: 2, atMs: 6 });
});

it("a node that is cut off has no lease; a change waits for it once and names it, and then it is gone", async () => {
  const [one, two] = [await open("one"), await open("two")];
  await season(one, two);
  const mark = two.freshness.mark();
  const { goOn } = await cutOff("two");
  try {
    const revision = await change();
    const settlement = await one.freshness.settle(revision);
    expect(settlement.silent).toEqual([{ kind: "node", identity: "two", heardAtMs: null }]);
    expect([two.freshness.isFresh(mark), two.isServing(), two.freshness.leaseMs()]).toEqual([false, false, 0]);
    await expect(two.freshness.untilFresh()).rejects.toMatchObject({ reason: "UNDECIDED" });
    await expect.poll(() => one.readings().nodes.map(({ name }) => name)).toEqual(["one"]);
    expect(await one.freshness.settle(await change())).toEqual(none);
    expect(logged).toContain("a node has renewed no lease for too long: no change waits for it");
  } finally {
    goOn();
  }
  await two.freshness.untilFresh().catch(() => {});
  await expect.poll(() => two.isServing()).toBe(true);
  expect(logged).toContain("the row of this node is gone: it registers again");
  expect(two.freshness.changesSince(mark, 10).changes).toBeNull();
  await expect.poll(() => one.readings().nodes.length).toBe(2);
});

it("renewals that are not committed give no lease, while the server answers reads", async () => {
  const node = await open("one");
  const mark = node.freshness.mark();
  await server.set({ synchronous_standby_names: "nobody" });
  try {
    await untilNotFresh(node.freshness, mark);
    expect(node.isServing()).toBe(false);
  } finally {
    await server.set({ synchronous_standby_names: "" });
  }
  await expect.poll(() => node.isServing()).toBe(true);
  await server.set({ synchronous_standby_names: "nobody" });
  try {
    await untilNotFresh(node.freshness, node.freshness.mark());
    // A cancelled wait for the standby answers as a success does, with a warning.
    await server.sql(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'one/node'`);
    const { renewals } = node.readings();
    await expect
      .poll(() =>
        node.freshness.untilFresh().then(
          () => "renewed",
          () => "undecided",
        ),
      )
      .toBe("undecided");
    expect(node.readings().renewals).toBe(renewals);
  } finally {
    await server.set({ synchronous_standby_names: "" });
  }
  await expect.poll(() => node.isServing()).toBe(true);
});

it("an acknowledgement waits for no standby, and renews nothing", async () => {
  const settings = readDatabaseSettings(server.url(serverRole), null, "one");
  const line = openLine(settings, { name: "node", statementTimeoutMs: 5000 }, quiet);
  onTestFinished(() => line[Symbol.asyncDispose]());
  const session = await line.session();
  const id = randomUUID();
  await session.run(insertNode, [id, "one", schemaVersion, 0]);
  await server.set({ synchronous_standby_names: "nobody" });
  try {
    const [told, behind] = await Promise.all([
      session.run(acknowledge, [id, 0, 7, "[]", 0, Buffer.alloc(32)]),
      session.run({ name: "", text: "SHOW synchronous_commit" }),
    ]);
    expect(told).toMatchObject({ rows: [{ acked_revision: 0 }], hasWarning: false });
    expect(behind.rows).toEqual([{ synchronous_commit: "on" }]);
    const [row] = await server.sql(`SELECT renewals::int, watchers FROM token_authority.node WHERE id = '${id}'`);
    expect(row).toEqual({ renewals: 0, watchers: 7 });
    const unknownChange = await session.run(acknowledge, [id, 5, 7, "[]", 5, Buffer.alloc(32)]);
    expect(unknownChange.rows).toEqual([]);
  } finally {
    await server.set({ synchronous_standby_names: "" });
  }
});

it("a node that is far behind forgets everything, and goes on from the newest change", async () => {
  const node = await open("one");
  const mark = node.freshness.mark();
  await change(1001);
  await reached(node, 1001);
  const known = node.freshness.mark();
  await change(1500);
  await reached(node, 2501);
  expect(node.freshness.changesSince(mark, 10_000).changes).toBeNull();
  expect(node.freshness.changesSince(known, 10_000).changes).toBeNull();
  expect(node.head().revision).toBe(2501);
  await node.freshness.untilFresh();
  expect(node.freshness.isFresh(node.freshness.mark())).toBe(true);
});

it("a journal that went back ends all service until the era rises, also over a new session", async () => {
  const [one, two] = [await open("one"), await open("two")];
  await change(3);
  await Promise.all([one, two].map((node) => reached(node, 3)));
  const marks = [one, two].map(({ freshness }) => freshness.mark());
  await server.sql("DELETE FROM token_authority.journal WHERE revision = 3");
  await expect
    .poll(() => [one, two].map((node) => node.readings().refusal))
    .toEqual(["JOURNAL_WENT_BACK", "JOURNAL_WENT_BACK"]);
  // Another change takes the place of the lost one.
  await server.sql(insertHolds(2).replaceAll("change ", "other change "));
  await server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%/node'");
  const renewalsSoFar = one.readings().polls;
  await expect.poll(() => one.readings().polls).toBeGreaterThan(renewalsSoFar + 50);
  for (const [index, node] of [one, two].entries()) {
    expect([node.isServing(), node.freshness.isFresh(marks[index] as Mark)]).toEqual([false, false]);
    expect(node.readings().refusal).toBe("JOURNAL_WENT_BACK");
    await expect(node.freshness.untilFresh()).rejects.toMatchObject({ reason: "UNDECIDED" });
  }
  await server.sql("UPDATE token_authority.authority SET era = era + 1");
  await expect.poll(() => [one, two].map((node) => node.isServing())).toEqual([true, true]);
  expect([one, two].map((node) => node.head().revision)).toEqual([4, 4]);
  expect(one.freshness.changesSince(marks[0] as Mark, 10).changes).toBeNull();
});

it("with a grace memory lives on when the server is killed, and reads are not decided by", async () => {
  const strict = await open("strict");
  const lenient = await open("lenient", 60_000);
  const marks = [strict, lenient].map(({ freshness }) => freshness.mark());
  await server.kill9();
  try {
    await untilNotFresh(strict.freshness, marks[0] as Mark);
    await expect.poll(() => lenient.readings().isInGrace).toBe(true);
    expect(lenient.freshness.isFresh(marks[1] as Mark)).toBe(true);
    expect([strict.isServing(), lenient.isServing()]).toEqual([false, true]);
    expect([lenient.freshness.isPastLease(), lenient.freshness.leaseMs()]).toEqual([true, 0]);
    await expect(lenient.freshness.untilFresh()).rejects.toMatchObject({ reason: "UNDECIDED" });
  } finally {
    await server.start();
  }
  await Promise.all([strict, lenient].map((node) => expect.poll(() => node.freshness.leaseMs()).toBeGreaterThan(0)));
  expect(lenient.freshness.isPastLease()).toBe(false);
});

it("a node with a grace that is cut off is unconfirmed at the bound, until its grace is over", async () => {
  const [one, two] = [await open("one"), await open("two", 1000)];
  await season(one, two);
  const { goOn } = await cutOff("two");
  try {
    const { silent, unconfirmed } = await one.freshness.settle(await change());
    expect(silent).toEqual([]);
    expect(unconfirmed).toMatchObject([{ kind: "node", identity: "two", heardAtMs: null }]);
    const [{ untilMs } = { untilMs: 0 }] = unconfirmed;
    expect(untilMs).toBeGreaterThan(Date.now());
    expect(one.readings().nodes).toHaveLength(2);
    await expect.poll(() => one.readings().nodes.length).toBe(1);
    expect(Date.now()).toBeGreaterThan(untilMs - 1000);
  } finally {
    goOn();
  }
});

it("a node that ends in good order takes its row with it, and nobody waits for it", async () => {
  const [one, two] = [await open("one"), await open("two")];
  await season(one);
  await two[Symbol.asyncDispose]();
  expect(await server.sql("SELECT name FROM token_authority.node")).toEqual([{ name: "one" }]);
  expect(await one.freshness.settle(await change())).toEqual(none);
});

it("a node whose row is gone follows the changes that come before it has another one", async () => {
  const node = await open("one");
  await season(node);
  await server.sql("DELETE FROM token_authority.node");
  await expect.poll(() => logged.filter((message) => /is gone/.test(message))).toHaveLength(1);
  const revision = await change();
  await reached(node, revision);
  await node.freshness.settle(revision);
  expect(node.head().revision).toBe(revision);
});

it("an idle node asks the server for no more than 60 statements and 3 commits a second", async () => {
  await open("one");
  const count = async () => {
    const [row] = await server.sql(
      `SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())::int AS statements,
        txid_snapshot_xmax(txid_current_snapshot())::int AS writes, extract(epoch FROM clock_timestamp())::float8 AS at`,
    );
    return row as { statements: number; writes: number; at: number };
  };
  await new Promise((resolve) => setTimeout(resolve, 2000));
  const before = await count();
  await new Promise((resolve) => setTimeout(resolve, 6000));
  const after = await count();
  const seconds = after.at - before.at;
  console.log(
    `idle: ${((after.statements - before.statements) / seconds).toFixed(1)} statements/s, ` +
      `${((after.writes - before.writes) / seconds).toFixed(1)} commits/s`,
  );
  expect((after.statements - before.statements) / seconds).toBeLessThan(60);
  expect((after.writes - before.writes) / seconds).toBeLessThan(3);
});
