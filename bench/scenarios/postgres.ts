import { execFile, execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { ownerRole, type Postgres, serverRole, startPostgres } from "../../test/suites/support/postgres.ts";
import { authority } from "../baselines/authority.ts";
import { fastify } from "../baselines/fastify.ts";
import { type Cost, runUriLoad } from "../loads/h2load.ts";
import { openBarePostgres } from "../population/bare-postgres.ts";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { cpuTimeUs } from "../runner/cpu-time.ts";
import { ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { canPin, loadCore, pinner } from "../runner/pinned.ts";
import { costFigures, cpus, speedUp } from "./cost.ts";

const commands = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const commandTimeoutMs = 600_000;
const quietMs = 5_000;
const maxUris = 65_536;
/** Memory for every key that is asked for. */
const roomyCacheMib = "2048";
const settings = {
  shared_buffers: "512MB",
  max_wal_size: "4GB",
  shared_preload_libraries: "pg_stat_statements",
};

/** The authority on PostgreSQL: how fast data come there, and what calls cost beside SQLite and plain services. */
export async function measurePostgres(context: BenchContext): Promise<void> {
  await using postgres = await startPostgres({ version: 15, settings });
  await postgres.sql("CREATE EXTENSION pg_stat_statements", "tokens");
  const sealingSecret = join(context.setup.scratch, "sealing-secret");
  writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
  await measureCopy(context, postgres, sealingSecret);
  const store = { DATABASE: postgres.url(serverRole), SEALING_SECRET: sealingSecret };
  const onPostgres = await context.start(authority({ name: "authority on PostgreSQL", store }));
  onLoadCore(postgres);
  await measureIdle(context, postgres);
  const roomy = { name: `authority on PostgreSQL, ${roomyCacheMib} MiB`, settings: { CACHE_MIB: roomyCacheMib } };
  await measureReads(context, postgres, { onPostgres, roomy: await context.start(authority({ ...roomy, store })) });
  await measureCreates(context, postgres, onPostgres);
}

async function measureCopy(context: BenchContext, postgres: Postgres, sealingSecret: string): Promise<void> {
  const url = postgres.url(ownerRole);
  await run(["migrate", url], {});
  const startMs = performance.now();
  const output = await run(["copy", context.setup.copy, url], { TOKEN_AUTHORITY_SEALING_SECRET: sealingSecret });
  const seconds = (performance.now() - startMs) / 1_000;
  console.log(`\n${output.trim()}`);
  context.print("Moving to PostgreSQL", [
    { name: "copied and verified", unit: "s", values: [seconds] },
    {
      name: "of 1 000 000 tokens, at this speed",
      unit: "s",
      values: [(seconds * 1e6) / context.population.tokens],
      target: { atMost: 120 },
    },
  ]);
  await postgres.sql("VACUUM ANALYZE", "tokens");
}

async function run(args: readonly string[], env: Readonly<Record<string, string>>): Promise<string> {
  const options = { env: { PATH: process.env.PATH, ...env }, timeout: commandTimeoutMs };
  return (await promisify(execFile)(process.execPath, [commands, ...args], options)).stdout;
}

/** What is measured has its core alone. */
function onLoadCore(postgres: Postgres): void {
  if (canPin) {
    for (const pid of [postgres.pid, ...sessionsOf(postgres)]) {
      execFileSync(pinner, ["--all-tasks", "--cpu-list", "--pid", String(loadCore), String(pid)]);
    }
  }
}

/** The processes of the server's sessions, and those that work behind them. */
function sessionsOf(postgres: Postgres): readonly number[] {
  const processes = execFileSync("pgrep", ["--parent", String(postgres.pid)], { encoding: "utf8" });
  return processes.trim().split("\n").map(Number);
}

type ReadCost = Cost & { readonly databaseCpuUs: number };

/** Both arms read through sessions that stay open, so that each of them is there before and after. */
async function withDatabaseCpu(postgres: Postgres, roundMs: number, run: () => Promise<Cost>): Promise<ReadCost> {
  const sessions = sessionsOf(postgres);
  const used = () => sessions.map(cpuTimeUs).reduce((sum, one) => sum + one, 0);
  const before = used();
  const cost = await run();
  return { ...cost, databaseCpuUs: (used() - before) / ((cost.callsPerSecond * roundMs) / 1_000) };
}

type Counts = { readonly statements: number; readonly commits: number };

async function countsOf(postgres: Postgres): Promise<Counts> {
  const [row] = await postgres.sql(
    `SELECT (SELECT sum(calls) FROM pg_stat_statements WHERE userid = '${serverRole}'::regrole)::float8 AS statements,
      (SELECT xact_commit FROM pg_stat_database WHERE datname = 'tokens')::float8 AS commits`,
    "tokens",
  );
  return { statements: Number(row?.statements), commits: Number(row?.commits) };
}

async function measureIdle(context: BenchContext, postgres: Postgres): Promise<void> {
  await sleep(quietMs / 2);
  const before = await countsOf(postgres);
  const startMs = performance.now();
  const wal = "SELECT wal_records::float8 AS records FROM pg_stat_wal";
  const [walBefore] = await postgres.sql(wal);
  await sleep(2 * quietMs);
  const [walAfter] = await postgres.sql(wal);
  const after = await countsOf(postgres);
  const seconds = (performance.now() - startMs) / 1_000;
  context.print("PostgreSQL while nobody asks, one serving thread", [
    {
      name: "statements",
      unit: "/s",
      values: [(after.statements - before.statements) / seconds],
      target: { atMost: 60 },
    },
    {
      name: "transactions, with those that only read",
      unit: "/s",
      values: [(after.commits - before.commits) / seconds],
    },
    {
      name: "records of the write-ahead log",
      unit: "/s",
      values: [(Number(walAfter?.records) - Number(walBefore?.records)) / seconds],
    },
  ]);
}

type OnPostgres = { readonly onPostgres: RunningWay; readonly roomy: RunningWay };

async function measureReads(
  context: BenchContext,
  postgres: Postgres,
  { onPostgres, roomy }: OnPostgres,
): Promise<void> {
  const onSqlite = await context.start(authority());
  const plain = await context.start(fastify(postgres.url(serverRole)));
  const uris = join(context.setup.scratch, "uris");
  const keys = readFileSync(context.setup.randomKeys, "utf8").split("\n");
  writeFileSync(
    uris,
    keys
      .slice(0, maxUris)
      .filter((key) => key !== "")
      .map((key) => `http://${plain.address}/${key}\n`)
      .join(""),
  );
  const shape = [8, 8] as const;
  const hot = { shape, keys: "hot", headers: "differing" } as const;
  const random = { ...hot, keys: "random" } as const;
  // Each pass leaves keys out: after three times as many calls as there are keys it remembers nearly all of them.
  for (let asked = 0; asked < 3 * keys.length; ) {
    const { callsPerSecond } = await context.authenticate(roomy, random);
    asked += (callsPerSecond * context.roundMs) / 1_000;
  }
  const arm = (run: () => Promise<Cost>) => () => withDatabaseCpu(postgres, context.roundMs, run);
  const results = await interleave(context.rounds, {
    hotSqlite: arm(() => context.authenticate(onSqlite, hot)),
    hotPostgres: arm(() => context.authenticate(onPostgres, hot)),
    random: arm(() => context.authenticate(onPostgres, random)),
    remembered: arm(() => context.authenticate(roomy, random)),
    plain: arm(() => runUriLoad(plain, { uris, connections: 64, maxMs: context.roundMs })),
  });
  const databaseCpus = (some: readonly ReadCost[]) => some.map(({ databaseCpuUs }) => databaseCpuUs);
  const randomKeys = { load: "random keys", name: "fastify and pg", ours: results.random, theirs: results.plain };
  const rememberedKeys = { ...randomKeys, load: "random keys that are remembered", ours: results.remembered };
  context.print("Authenticate on PostgreSQL, 8×8", [
    ...costFigures("hot keys, SQLite", results.hotSqlite),
    ...costFigures("hot keys, PostgreSQL", results.hotPostgres),
    ...costFigures("random keys, PostgreSQL", results.random),
    { name: "random keys, PostgreSQL: its own CPU a call", unit: "us", values: databaseCpus(results.random) },
    ...costFigures(`random keys that are remembered, CACHE_MIB ${roomyCacheMib}`, results.remembered),
    { name: "VmRSS with all of them", unit: "MiB", values: [roomy.memory().residentMib] },
    ...costFigures("random keys, a SELECT a request by fastify and pg", results.plain),
    { name: "a SELECT a request: PostgreSQL's own CPU a call", unit: "us", values: databaseCpus(results.plain) },
    ratio("hot keys: CPU a call, of SQLite's", cpus(results.hotPostgres), cpus(results.hotSqlite), { atMost: 1.05 }),
    ...speedUp(randomKeys, 4),
    ...speedUp(rememberedKeys, undefined),
    ratio(
      "random keys: PostgreSQL's own CPU a call: fastify and pg's, of ours",
      databaseCpus(results.plain),
      databaseCpus(results.random),
    ),
  ]);
}

async function measureCreates(context: BenchContext, postgres: Postgres, onPostgres: RunningWay): Promise<void> {
  const { population, rounds, roundMs } = context;
  await using bare = await openBarePostgres(postgres.url(ownerRole), population);
  const results = await interleave(rounds, {
    ours: async () =>
      (await context.call(onPostgres, { shape: [8, 8], calls: { kind: "create", population } })).callsPerSecond,
    bare: () => bare.createFor(roundMs, 64),
    bareAlone: () => bare.createFor(roundMs, 1),
  });
  context.print("Create on PostgreSQL, 64 at once", [
    { name: "authority", unit: "calls/s", values: results.ours },
    { name: "one transaction a call, 64 at once over 16 connections", unit: "calls/s", values: results.bare },
    { name: "one transaction a call, one at a time", unit: "calls/s", values: results.bareAlone },
    ratio("authority, of one transaction a call", results.ours, results.bare, { atLeast: 5 }),
    ratio("authority, of one transaction a call, one at a time", results.ours, results.bareAlone),
  ]);
}
