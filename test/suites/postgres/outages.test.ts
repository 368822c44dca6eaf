import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { AuthorityError } from "../../../src/authority/errors.ts";
import type { NewToken } from "../../../src/authority/token-store.ts";
import type { PostgresTokenStore } from "../../../src/stores/postgres/open-postgres-token-store.ts";
import { aNewToken, anyLimit, aQuery, at, nowMs } from "../../support/token-store/builders.ts";
import { type Postgres, serverRole } from "../support/postgres.ts";
import { emptyTokens, startTokens } from "./databases.ts";
import { type Gate, openGate } from "./gate.ts";
import { recordingLog } from "./recording-log.ts";
import { openStoreOn } from "./store-kind.ts";

const maxRecoveryMs = 2000;

let server: Postgres;
let gate: Gate;
let store: PostgresTokenStore;
let log: ReturnType<typeof recordingLog>;
let known: NewToken;

beforeAll(async () => {
  server = await startTokens();
  return () => server[Symbol.asyncDispose]();
});

beforeEach(async () => {
  await emptyTokens(server);
  gate = await openGate(server.port);
  log = recordingLog();
  store = await openStoreOn(server.url(serverRole).replace(`:${server.port}/`, `:${gate.port}/`), log);
  known = aNewToken();
  await store.create(known, null, anyLimit, at(nowMs));
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
});

/** What a call came to: `right`, `undecided`, or what it should never be. */
async function outcomeOf(call: () => unknown, isRight: (answer: unknown) => boolean): Promise<string> {
  try {
    const answer = await call();
    return isRight(answer) ? "right" : `wrong: ${JSON.stringify(answer)}`;
  } catch (error) {
    return error instanceof AuthorityError && error.reason === "UNDECIDED" ? "undecided" : `wrong: ${String(error)}`;
  }
}

/** Where `askAll` answers for recordUses. */
const indexOfUses = 7;
const isSet = (answer: unknown): boolean => answer !== null && typeof answer === "object";

/** One call of each kind, at once. */
function askAll(): Promise<readonly string[]> {
  const fresh = aNewToken();
  const isCreated = (answer: unknown) => isSet(answer) && (answer as { kind: string }).kind === "created";
  return Promise.all([
    outcomeOf(() => store.findByDigest(known.digest), isSet),
    outcomeOf(() => store.get(known.id), isSet),
    outcomeOf(() => store.list(aQuery()), isSet),
    outcomeOf(() => store.getAccount("acct_1", { countTo: 10, nowMs }), isSet),
    outcomeOf(() => store.create(fresh, null, anyLimit, at(nowMs)), isCreated),
    outcomeOf(() => store.setHold({ account: "acct_9" }, true, "", at(nowMs)), isSet),
    outcomeOf(() => store.revoke(known.id, "", at(nowMs)), isSet),
    outcomeOf(
      () => store.recordUses([{ issueRevision: 1, usedAtMs: nowMs }]),
      (answer) => answer === undefined,
    ),
    outcomeOf(
      () => store.freshness.untilFresh(),
      (answer) => answer === undefined,
    ),
  ]);
}

/** Asks all the time until the outage shows everywhere, and then a few times more: nothing is ever wrong. */
async function requireUndecided(mayBeRight: number | null = null): Promise<void> {
  const deadlineMs = performance.now() + 40_000;
  for (let undecided = 0; undecided < 3; ) {
    const outcomes = await askAll();
    expect(outcomes.filter((one) => one !== "right" && one !== "undecided")).toEqual([]);
    const isOut = outcomes.every((one, index) => one === "undecided" || index === mayBeRight);
    undecided = isOut ? undecided + 1 : 0;
    expect(performance.now()).toBeLessThan(deadlineMs);
  }
  expect(store.isServing()).toBe(false);
}

/** Measures how long it takes until every kind of call is answered again, by the same store. */
async function requireRecovery(what: string): Promise<void> {
  const startMs = performance.now();
  let outcomes: readonly string[] = [];
  do {
    outcomes = await askAll();
    expect(outcomes.filter((one) => one !== "right" && one !== "undecided")).toEqual([]);
  } while (outcomes.includes("undecided") && performance.now() - startMs < 30_000);
  const tookMs = performance.now() - startMs;
  console.log(`${what}: served again after ${Math.round(tookMs)} ms`);
  expect(outcomes).toEqual(outcomes.map(() => "right"));
  expect(tookMs).toBeLessThan(maxRecoveryMs);
  expect(store.isServing()).toBe(true);
}

describe("everything is undecided and nothing refused, and all is served soon after, while the database", () => {
  it("is stopped", async () => {
    await server.stop();
    await requireUndecided();
    await server.start();
    await requireRecovery("stopped");
    const messages = log.lines.map(({ message }) => message).filter((message) => message.startsWith("the database"));
    expect(messages).toEqual(["the database cannot be reached", "the database is there again"]);
  });

  it("is killed", async () => {
    await server.kill9();
    await requireUndecided();
    await server.start();
    await requireRecovery("killed");
  });

  it("is cut off", async () => {
    gate.cut();
    await requireUndecided();
    gate.open();
    await requireRecovery("cut off");
  });

  it("is behind a network that swallows everything", async () => {
    gate.swallow();
    await requireUndecided();
    // What was swallowed does not come any more: such a connection is dead.
    gate.cut();
    gate.open();
    await requireRecovery("swallowed");
  });

  it("stands still", async () => {
    server.sigstop();
    try {
      await requireUndecided();
    } finally {
      server.sigcont();
    }
    await requireRecovery("stood still");
  });

  it("takes no writes", async () => {
    await server.set({ default_transaction_read_only: "on" });
    try {
      await requireUndecided();
    } finally {
      await server.set({ default_transaction_read_only: "off" });
    }
    await requireRecovery("read-only");
  });

  it("has no connection left", async () => {
    await server.sql(`ALTER ROLE ${serverRole} CONNECTION LIMIT 0`);
    await server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${serverRole}'`);
    await requireUndecided();
    await server.sql(`ALTER ROLE ${serverRole} CONNECTION LIMIT -1`);
    await requireRecovery("out of connections");
  });

  it("waits for a standby that is not there", async () => {
    await server.set({ synchronous_standby_names: "nobody" });
    try {
      // Last uses wait for no standby: they were promised to nobody.
      await requireUndecided(indexOfUses);
    } finally {
      await server.set({ synchronous_standby_names: "" });
    }
    await requireRecovery("without its standby");
  });
});

it("a full disk refuses keys as short of room or leaves them undecided, and takes them again once there is room", async (context) => {
  context.skip(process.getuid?.() !== 0, "a small file system is mounted by root");
  await using small = await startTokens({ diskMiB: 96 });
  await using full = await openStoreOn(small.url(serverRole));
  const facts = aNewToken();
  await full.create(facts, null, anyLimit, at(nowMs));
  const filler = join(dirname(small.directory), "filler");
  const free = fillDisk(filler);
  const kinds = new Set<string>();
  for (let round = 0; round < 500 && !kinds.has("storage_low"); round += 1) {
    const outcome = await full
      .create(aNewToken({ name: "x".repeat(100) }), null, anyLimit, at(nowMs))
      .then(({ kind }) => kind)
      .catch((error: unknown) => (error instanceof AuthorityError ? error.reason : String(error)));
    kinds.add(outcome);
    const found = await outcomeOf(() => full.findByDigest(facts.digest), isSet);
    expect(["right", "undecided"]).toContain(found);
  }
  console.log(`full: ${[...kinds].join(", ")}`);
  expect([...kinds].filter((kind) => !["created", "storage_low", "UNDECIDED"].includes(kind))).toEqual([]);
  expect(kinds.size).toBeGreaterThan(1);
  free();
  const createOne = () =>
    outcomeOf(
      () => full.create(aNewToken(), null, anyLimit, at(nowMs)),
      (answer) => (answer as { kind: string }).kind === "created",
    );
  while ((await createOne()) !== "right") {
    if (!small.isRunning()) {
      // It ends by itself when its log has no room, and may do so a while after the disk has some again.
      await small.start();
    }
    await sleep(20);
  }
  expect(await full.findByDigest(facts.digest)).toMatchObject({ id: facts.id });
  await full.revoke(facts.id, "", at(nowMs));
  expect(await full.findByDigest(facts.digest)).toMatchObject({ revokedAtMs: nowMs });
});

/** Writes until there is no room, and returns what makes room again. */
function fillDisk(file: string): () => void {
  const descriptor = openSync(file, "w");
  try {
    for (const size of [1 << 20, 1 << 12]) {
      try {
        for (;;) {
          writeSync(descriptor, Buffer.alloc(size));
        }
      } catch {
        // Full, to that size.
      }
    }
  } finally {
    closeSync(descriptor);
  }
  return () => rmSync(file);
}
