import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { connect } from "../../../src/stores/postgres/offline/connect.ts";
import { selectsOfChunks } from "../../../src/stores/postgres/offline/verify-journal.ts";
import { readNewestRevision } from "../../../src/stores/postgres/serving/ask.ts";
import { matchingStatement, readsOfChanges } from "../../../src/stores/postgres/serving/batch-reads.ts";
import { updatesOfChanges } from "../../../src/stores/postgres/serving/batch-writes.ts";
import { forgetRequests } from "../../../src/stores/postgres/serving/changes.ts";
import { countAccount, countAccounts } from "../../../src/stores/postgres/serving/list-accounts.ts";
import { findOfToken, matchStatement, readBounds } from "../../../src/stores/postgres/serving/list-changes.ts";
import { sliceStatement } from "../../../src/stores/postgres/serving/list-tokens.ts";
import { findByDigests } from "../../../src/stores/postgres/serving/look-up.ts";
import { findById } from "../../../src/stores/postgres/serving/reads.ts";
import { openSession, type Session, type Statement } from "../../../src/stores/postgres/session.ts";
import { aChangeQuery, aQuery, everything } from "../../support/token-store/builders.ts";
import { ownerRole, type Postgres, serverRole } from "../support/postgres.ts";
import { startTokens } from "./databases.ts";
import { fill } from "./fill.ts";

const tokens = 100_000;

/** A list with every filter set, but for those that are given. */
function slice(filter: Partial<typeof everything>, direction: "older" | "newer" = "older"): Statement {
  return sliceStatement(aQuery({ filter: { ...everything, ...filter }, direction }), 5, 500, 21).statement;
}

function changes(filter: Partial<ReturnType<typeof aChangeQuery>["filter"]>, where: readonly number[] | null = null) {
  const { filter: all } = aChangeQuery();
  return matchStatement({ ...all, ...filter }, "older", where ?? { from: 1, before: 500 }, 21).statement;
}

const everyFilter = {
  types: ["secret" as const],
  livemode: true,
  states: ["active" as const],
  permission: "charges:read",
  createdFromMs: 1,
  createdBeforeMs: 2,
  expiresFromMs: 1,
  expiresBeforeMs: 2,
  unusedSinceMs: 1,
  nameContains: "x",
  keyHint: "abcd",
  createdBy: "caller",
  held: true,
  rotating: true,
};

const statements: Readonly<Record<string, Statement>> = {
  head: readNewestRevision,
  "look-up of keys": findByDigests,
  get: findById,
  "list, all": slice({}),
  "list, of an account, newer": slice({ account: "acct_big" }, "newer"),
  "list, every filter": slice({ ...everyFilter, account: "acct_big" }),
  "changes, where they begin": readBounds,
  "changes in a window": changes({ caller: "c", action: "revoke", changedFromMs: 1, changedBeforeMs: 2, account: "a" }),
  "changes of revisions": changes({}, [1, 2]),
  "changes of a token": findOfToken.older,
  "counts of an account": countAccount,
  "counts of accounts": countAccounts.after,
  "to change: tokens by a filter": matchingStatement(
    { createRevisions: [1, 2], filter: { ...everything, ...everyFilter, account: "acct_big" } },
    5,
  ).statement,
  ...Object.fromEntries(
    [...readsOfChanges, ...updatesOfChanges, forgetRequests].map((one) => [`to change: ${one.name}`, one]),
  ),
};

describe.each([15, 18] as const)("the plans of PostgreSQL %i", (version) => {
  let server: Postgres;
  let session: Session;

  beforeAll(async () => {
    server = await startTokens({ version });
    const settings = readDatabaseSettings(server.url(serverRole), null, "plans");
    session = await openSession(settings, settings.hosts[0] ?? { host: "", port: 0 }, {
      name: "plans",
      statementTimeoutMs: 60_000,
    });
  });

  afterAll(async () => {
    session?.destroy();
    await server?.[Symbol.asyncDispose]();
  });

  /** What is read of each table, in order: `Index Only Scan token_unrevoked`. */
  async function readsOf(statement: Statement): Promise<readonly string[]> {
    const count = new Set(statement.text.match(/\$\d+/g)).size;
    await session.run({ name: "", text: `PREPARE one AS ${statement.text}` });
    const values = Array.from({ length: count }, () => "NULL").join(", ");
    const text = `EXPLAIN (COSTS OFF, FORMAT TEXT) EXECUTE one${count === 0 ? "" : `(${values})`}`;
    const { rows } = await session.run<{ "QUERY PLAN": string }>({ name: "", text });
    await session.run({ name: "", text: "DEALLOCATE one" });
    const lines = rows.map((row) => row["QUERY PLAN"]);
    return lines.flatMap((line) => {
      const [, kind, direction = "", name] =
        /((?:Index|Index Only|Seq|Bitmap Index|Bitmap Heap) Scan)( Backward)?(?: using (?=\S)| on )(\S+)/.exec(line) ??
        [];
      return kind === undefined ? [] : [`${kind}${direction} ${name}`];
    });
  }

  async function holdAccounts(count: number): Promise<void> {
    const held = `'held_' || lpad(n::text, 4, '0'), 10 * ${tokens} + n`;
    await server.sql(`
      INSERT INTO token_authority.journal (account, revision, at_ms, caller, action, hash)
        SELECT ${held}, 1, 'caller', 'hold', sha256('') FROM generate_series(1, ${count}) AS n;
      INSERT INTO token_authority.account_state (account, hold_revision)
        SELECT ${held} FROM generate_series(1, ${count}) AS n`);
    await server.sql("VACUUM ANALYZE");
  }

  /** How many rows the plan of a statement reads of a table or index at the most, with these values. */
  async function mostRowsRead(client: pg.Client, text: string, values: readonly unknown[]): Promise<number> {
    const { rows } = await client.query<{ "QUERY PLAN": string }>(`EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ${text}`, [
      ...values,
    ]);
    const read = rows.flatMap((row) => /Scan.*rows=(\d+).* loops=(\d+)/.exec(row["QUERY PLAN"])?.slice(1) ?? []);
    return Math.max(...read.map(Number));
  }

  async function allReads(): Promise<Readonly<Record<string, readonly string[]>>> {
    const found: Record<string, readonly string[]> = {};
    for (const [name, one] of Object.entries(statements)) {
      found[name] = await readsOf(one);
    }
    return found;
  }

  it("go along these indexes, whether the server knows nothing of the tables, or what they hold", async () => {
    const empty = await allReads();
    await fill(server, "tokens", tokens);
    const unknown = await allReads();
    await server.sql("VACUUM ANALYZE");
    const known = await allReads();
    expect(unknown).toEqual(empty);
    expect(known).toEqual(empty);
    await using command = await connect(readDatabaseSettings(server.url(ownerRole), null, "plans"), "plans");
    await holdAccounts(2000);
    for (const [name, text] of Object.entries(selectsOfChunks)) {
      const places = name === "selectAccounts" ? ["held_0500"] : Array(text.includes("$3") ? 2 : 1).fill(tokens / 2);
      // The check of the journal reads nothing again from the start of a table, nor what the next chunks are of.
      expect(await mostRowsRead(command.client, text, [...places, 100])).toBeLessThanOrEqual(101);
    }
    expect(known).toMatchInlineSnapshot(`
      {
        "changes in a window": [
          "Index Scan Backward journal_pkey",
          "Index Scan token_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
        ],
        "changes of a token": [
          "Index Only Scan token_pkey",
          "Index Scan token_pkey",
          "Index Only Scan journal_later",
        ],
        "changes of revisions": [
          "Index Scan Backward journal_pkey",
          "Index Scan token_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
        ],
        "changes, where they begin": [
          "Seq Scan authority",
          "Index Only Scan Backward journal_pkey",
          "Index Scan token_id_key",
        ],
        "counts of accounts": [
          "Index Only Scan token_by_account",
          "Index Only Scan account_state_pkey",
          "Index Scan account_state_pkey",
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_revoked",
        ],
        "counts of an account": [
          "Index Scan account_state_pkey",
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_revoked",
        ],
        "get": [
          "Index Scan token_id_key",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
          "Index Scan journal_pkey",
        ],
        "head": [
          "Index Only Scan Backward journal_pkey",
        ],
        "list, all": [
          "Index Only Scan Backward token_pkey",
          "Index Scan Backward token_pkey",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
          "Index Scan journal_pkey",
        ],
        "list, every filter": [
          "Index Only Scan Backward token_by_account",
          "Index Scan Backward token_by_account",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
          "Index Scan journal_pkey",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Only Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
        ],
        "list, of an account, newer": [
          "Index Only Scan token_by_account",
          "Index Scan token_by_account",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
          "Index Scan journal_pkey",
        ],
        "look-up of keys": [
          "Index Only Scan Backward journal_pkey",
          "Index Scan token_key_pkey",
          "Index Scan token_pkey",
          "Index Scan account_state_pkey",
        ],
        "to change: count_live": [
          "Index Only Scan token_unrevoked",
          "Index Only Scan token_unrevoked",
          "Index Only Scan Backward token_unrevoked",
        ],
        "to change: drop_accounts": [
          "Index Scan account_state_pkey",
        ],
        "to change: erase_sealed_keys": [
          "Index Scan create_request_by_token",
        ],
        "to change: forget_requests": [
          "Index Scan create_request_by_time",
          "Index Scan create_request_pkey",
        ],
        "to change: hold_tokens": [
          "Index Scan token_pkey",
        ],
        "to change: lock_changes": [
          "Index Scan authority_pkey",
        ],
        "to change: mark_revoked": [
          "Index Scan token_pkey",
        ],
        "to change: move_ends": [
          "Index Scan token_key_pkey",
        ],
        "to change: read_accounts": [
          "Index Scan account_state_pkey",
        ],
        "to change: read_changed_tokens": [
          "Index Scan token_id_key",
          "Index Scan account_state_pkey",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
          "Index Scan journal_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
        ],
        "to change: read_journal_head": [
          "Index Scan Backward journal_pkey",
        ],
        "to change: read_replayed_tokens": [
          "Index Scan token_pkey",
          "Index Scan account_state_pkey",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
          "Index Scan journal_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
        ],
        "to change: read_requests": [
          "Index Scan token_id_key",
          "Index Scan create_request_pkey",
        ],
        "to change: read_resumes_of_accounts": [
          "Index Scan Backward journal_by_account",
        ],
        "to change: read_resumes_of_tokens": [
          "Index Scan token_id_key",
          "Index Scan Backward journal_later",
        ],
        "to change: tokens by a filter": [
          "Index Scan token_pkey",
          "Index Scan account_state_pkey",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Scan token_key_token_revision_issue_revision_key",
          "Index Only Scan token_key_token_revision_issue_revision_key",
          "Index Scan last_use_pkey",
        ],
      }
    `);
  });
});
