import { beforeAll, describe, expect, it } from "vitest";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { openSession } from "../../../src/stores/postgres/session.ts";
import { aNewToken, anyLimit, aRequest, at, createdIn, nowMs } from "../../support/token-store/builders.ts";
import type { Postgres } from "../support/postgres.ts";
import { aDatabase, type Database } from "./changes-rig.ts";
import { startTokens, urlOf } from "./databases.ts";

let server: Postgres;

beforeAll(async () => {
  server = await startTokens();
  return () => server[Symbol.asyncDispose]();
});

const undecided = expect.objectContaining({ reason: "UNDECIDED" });
const some = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Sessions of changes whose COMMIT waits for a standby. */
const waitingCommits = `SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event = 'SyncRep' AND application_name LIKE '%/changes'`;

const waitingForLocks = `SELECT FROM pg_stat_activity
  WHERE datname = current_database() AND wait_event_type = 'Lock'`;

/** A standby that never answers, until the end of `work`. */
async function withoutStandby<T>(work: () => Promise<T>): Promise<T> {
  await server.set({ synchronous_standby_names: "nobody" });
  try {
    return await work();
  } finally {
    await server.set({ synchronous_standby_names: "" });
  }
}

async function untilCommitsWait(database: Database): Promise<void> {
  await expect.poll(async () => (await database.sql(waitingCommits)).length).toBe(1);
}

describe("changes at two openings of one database", () => {
  it("keep to the limit of an account, and no revision is left out or made twice", async () => {
    const database = await aDatabase(server);
    const [one, other] = await Promise.all([database.open(), database.open()]);
    const outcomes = await Promise.all(
      some(80).map((n) => (n % 2 === 0 ? one : other).create(aNewToken(), null, 50, at(nowMs))),
    );
    const created = outcomes.flatMap((outcome) => (outcome.kind === "created" ? [outcome.change.revision] : []));
    expect(created.toSorted((a, b) => a - b)).toEqual(some(50).map((n) => n + 1));
    expect(outcomes.filter(({ kind }) => kind === "limit_reached")).toHaveLength(30);
  });

  it("answer a request once, and once more with the same key", async () => {
    const database = await aDatabase(server);
    const [one, other] = await Promise.all([database.open(), database.open()]);
    const outcomes = await Promise.all(
      [one, other].flatMap((changes, index) =>
        some(4).map(() => changes.create(aNewToken(), aRequest("1", "body", `sealed ${index}`), anyLimit, at(nowMs))),
      ),
    );
    const [first] = outcomes.filter(({ kind }) => kind === "created").map(createdIn);
    const replayed = outcomes.flatMap((outcome) => (outcome.kind === "replayed" ? [outcome] : []));
    expect(replayed).toHaveLength(7);
    expect(new Set(replayed.map(({ token }) => token.id))).toEqual(new Set([first?.token.id]));
    expect(new Set(replayed.map(({ sealedKey }) => String(sealedKey))).size).toBe(1);
  });

  it("never have times that fall, though one clock is behind the other", async () => {
    const database = await aDatabase(server);
    const [ahead, behind] = await Promise.all([database.open(), database.open()]);
    createdIn(await ahead.create(aNewToken(), null, anyLimit, at(nowMs + 5000)));
    const { change } = createdIn(await behind.create(aNewToken(), null, anyLimit, at(nowMs)));
    expect(change.atMs).toBe(nowMs + 5000);
    const rows = await database.sql("SELECT at_ms FROM token_authority.journal ORDER BY revision");
    expect(rows.map((row) => Number(row.at_ms))).toEqual([nowMs + 5000, nowMs + 5000]);
  });

  it("record the same uses in opposite orders, and never wait for each other in a ring", async () => {
    const database = await aDatabase(server);
    const [one, other] = await Promise.all([database.open(), database.open()]);
    const uses = some(9).map((n) => ({ issueRevision: n + 1, usedAtMs: nowMs }));
    await one.recordUses(uses);
    // In the order of the calls, each would come to this row from its own side, and would have the others by then.
    const middle = await database.connect();
    await middle.query("BEGIN");
    await middle.query("SELECT FROM token_authority.last_use WHERE issue_revision = 5 FOR UPDATE");
    const later = uses.map((use) => ({ ...use, usedAtMs: nowMs + 60_000 }));
    const recorded = Promise.all([one.recordUses(later), other.recordUses(later.toReversed())]);
    await expect.poll(async () => (await database.sql(waitingForLocks)).length).toBe(2);
    await middle.query("COMMIT");
    await recorded;
    expect(
      await database.sql(`SELECT FROM token_authority.last_use WHERE used_at_ms = ${nowMs + 60_000}`),
    ).toHaveLength(9);
  });

  it("are not held up by a last use whose row is locked", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    await changes.recordUses([{ issueRevision: 1, usedAtMs: nowMs }]);
    const locking = await database.connect();
    await locking.query("BEGIN");
    await locking.query("SELECT FROM token_authority.last_use FOR UPDATE");
    const recorded = changes.recordUses([{ issueRevision: 1, usedAtMs: nowMs + 60_000 }]);
    await expect.poll(async () => (await database.sql(waitingForLocks)).length).toBe(1);
    await changes.create(aNewToken(), null, anyLimit, at(nowMs));
    expect(await database.sql(waitingForLocks)).toHaveLength(1);
    await locking.query("COMMIT");
    await recorded;
  });

  it("forget requests at once, each whatever the other leaves", async () => {
    const database = await aDatabase(server);
    const [one, other] = await Promise.all([database.open(), database.open()]);
    await database.sql(
      `INSERT INTO token_authority.create_request SELECT 'caller', 'acct_1', 'r' || n, '\\x00', 1, 1, NULL, ${nowMs}
         FROM generate_series(1, 1700) AS n`,
    );
    const dayMs = 24 * 60 * 60 * 1000;
    await Promise.all([one.forgetRequests(nowMs + dayMs - 1), other.forgetRequests(nowMs + dayMs - 1)]);
    expect(await database.sql("SELECT FROM token_authority.create_request")).toHaveLength(1700);
    await Promise.all([one.forgetRequests(nowMs + dayMs), other.forgetRequests(nowMs + dayMs)]);
    expect(await database.sql("SELECT FROM token_authority.create_request")).toHaveLength(0);
  });

  it("are not held up by a session that keeps the lock and says nothing more", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    const settings = readDatabaseSettings(urlOf(server, database.name), null, "a node that stands still");
    const [host] = settings.hosts;
    if (host === undefined) {
      throw new Error("no host");
    }
    const silent = await openSession(settings, host, { name: "changes", statementTimeoutMs: 5000 });
    await silent.run({ name: "", text: "BEGIN" });
    await silent.run({ name: "", text: "SELECT FROM token_authority.authority FOR UPDATE" });
    expect((await changes.create(aNewToken(), null, anyLimit, at(nowMs))).kind).toBe("created");
    expect(silent.isLost()).toBe(true);
  });
});

describe("changes that come together", () => {
  it("share a transaction", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    await Promise.all(some(64).map(() => changes.create(aNewToken(), null, anyLimit, at(nowMs))));
    const rows = await database.sql("SELECT count(DISTINCT xmin::text) AS made FROM token_authority.journal");
    expect(rows.map((row) => Number(row.made))).toEqual([1]);
  });

  it("are made with what takes something away first, however many are created", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    const { token } = createdIn(await changes.create(aNewToken(), null, anyLimit, at(nowMs)));
    const flood = some(400).map(() => changes.create(aNewToken(), null, anyLimit, at(nowMs)));
    const outcome = await changes.revoke(token.id, "leaked", at(nowMs));
    expect(outcome).toMatchObject({ kind: "revoked", change: { revision: 2 } });
    await Promise.all(flood);
  });

  it("are known to their own thread when they are answered", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    for (const revision of some(20)) {
      createdIn(await changes.create(aNewToken(), null, anyLimit, at(nowMs)));
      expect(changes.node.appliedRevision()).toBe(revision + 1);
    }
  });

  it("leave no sealed key of a token that was revoked", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    const { token } = createdIn(await changes.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs)));
    createdIn(await changes.create(aNewToken(), aRequest("2"), anyLimit, at(nowMs)));
    await changes.revoke(token.id, "leaked", at(nowMs));
    const rows = await database.sql(
      "SELECT request_id, sealed_key IS NULL AS erased FROM token_authority.create_request ORDER BY request_id",
    );
    expect(rows).toEqual([
      { request_id: "1", erased: true },
      { request_id: "2", erased: false },
    ]);
  });
});

describe("a COMMIT whose outcome is not known", () => {
  it("is UNDECIDED when its wait for a standby is cancelled, though the server says COMMIT", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    const { token } = createdIn(await changes.create(aNewToken(), null, anyLimit, at(nowMs)));
    await withoutStandby(async () => {
      const revoked = changes.revoke(token.id, "leaked", at(nowMs)).catch((error) => error);
      await untilCommitsWait(database);
      await database.sql(`SELECT pg_cancel_backend(pid) FROM (${waitingCommits}) AS waiting`);
      expect(await revoked).toEqual(undecided);
    });
    // It did happen: what is asked again finds it so.
    expect(await changes.revoke(token.id, "leaked", at(nowMs))).toMatchObject({ kind: "revoked", change: null });
  });

  it("is UNDECIDED for every call of its batch, and no refusal", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    await withoutStandby(async () => {
      const asked = some(5).map((n) =>
        changes.create(aNewToken(), aRequest(String(n)), 3, at(nowMs)).catch((error) => error),
      );
      await untilCommitsWait(database);
      await database.sql(`SELECT pg_cancel_backend(pid) FROM (${waitingCommits}) AS waiting`);
      expect(await Promise.all(asked)).toEqual(some(5).map(() => undecided));
    });
    const again = await Promise.all(some(5).map((n) => changes.create(aNewToken(), aRequest(String(n)), 3, at(nowMs))));
    expect(again.map(({ kind }) => kind)).toEqual([
      "replayed",
      "replayed",
      "replayed",
      "limit_reached",
      "limit_reached",
    ]);
  });

  it("is UNDECIDED also where all that is asked would be refused: who cannot commit may not know better", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    await withoutStandby(async () => {
      const asked = changes.create(aNewToken(), null, 0, at(nowMs)).catch((error) => error);
      await untilCommitsWait(database);
      await database.sql(`SELECT pg_cancel_backend(pid) FROM (${waitingCommits}) AS waiting`);
      expect(await asked).toEqual(undecided);
    });
    expect(await changes.create(aNewToken(), null, 0, at(nowMs))).toEqual({ kind: "limit_reached" });
  });

  it("is UNDECIDED when the session is lost meanwhile, and the next change has another one", async () => {
    const database = await aDatabase(server);
    const changes = await database.open();
    await withoutStandby(async () => {
      const asked = changes.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs)).catch((error) => error);
      await untilCommitsWait(database);
      await database.sql(`SELECT pg_terminate_backend(pid) FROM (${waitingCommits}) AS waiting`);
      expect(await asked).toEqual(undecided);
    });
    const again = await changes.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs));
    expect(again.kind).toBe("replayed");
  });
});

it("a change whose session was ended between two changes has another one", async () => {
  const database = await aDatabase(server);
  const changes = await database.open();
  createdIn(await changes.create(aNewToken(), null, anyLimit, at(nowMs)));
  await database.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE '%/changes'`,
  );
  await expect
    .poll(() =>
      changes.create(aNewToken(), null, anyLimit, at(nowMs)).then(
        ({ kind }) => kind,
        ({ reason }) => reason,
      ),
    )
    .toBe("created");
});

it("a change that loses its revision to another one is made again", async () => {
  const database = await aDatabase(server);
  const changes = await database.open();
  createdIn(await changes.create(aNewToken(), null, anyLimit, at(nowMs)));
  // As a server that does not hold to the lock would: the primary key of the journal is what it meets.
  await database.sql(`
    CREATE SEQUENCE token_authority.tries;
    CREATE FUNCTION token_authority.rival() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
      IF nextval('token_authority.tries') <= 2 THEN RAISE unique_violation USING CONSTRAINT = 'journal_pkey'; END IF;
      RETURN NULL; END $$;
    CREATE TRIGGER rival BEFORE INSERT ON token_authority.journal EXECUTE FUNCTION token_authority.rival()`);
  expect((await changes.create(aNewToken(), null, anyLimit, at(nowMs))).kind).toBe("created");
  expect(await database.sql("SELECT last_value::int AS tries FROM token_authority.tries")).toEqual([{ tries: 3 }]);
});

describe("a change whose time is not the database's", () => {
  it("is refused before anything is written, whatever is in its batch; the others are made", async () => {
    const database = await aDatabase(server);
    const changes = await database.open((shownMs) => shownMs);
    const create = (atMs: number) => changes.create(aNewToken(), null, anyLimit, at(atMs));
    const asked = [-60_000, -4000, 0, 4000, 60_000].map((offMs) => create(Date.now() + offMs));
    const outcomes = await Promise.allSettled(asked);
    expect(outcomes.map(({ status }) => status)).toEqual([
      "rejected",
      "fulfilled",
      "fulfilled",
      "fulfilled",
      "rejected",
    ]);
    await expect(create(Date.now() + 60_000)).rejects.toEqual(undecided);
    expect(await database.sql("SELECT count(*)::int AS made FROM token_authority.journal")).toEqual([{ made: 3 }]);
    expect(await create(Date.now())).toMatchObject({ kind: "created" });
  });

  it("is made when the journal has reached it already: the newest change was made when the database's was ahead", async () => {
    const database = await aDatabase(server);
    let aheadMs = 60_000;
    const changes = await database.open((shownMs) => shownMs + aheadMs);
    const create = (atMs: number) => changes.create(aNewToken(), null, anyLimit, at(atMs));
    const newestMs = Date.now() + 60_000;
    await create(newestMs);
    aheadMs = 0;
    expect(await create(newestMs)).toMatchObject({ kind: "created" });
    await expect(create(newestMs + 1)).rejects.toEqual(undecided);
  });
});
