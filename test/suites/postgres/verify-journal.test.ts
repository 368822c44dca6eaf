import { createHash } from "node:crypto";
import type pg from "pg";
import { afterAll, beforeAll, expect, it, onTestFinished, vi } from "vitest";
import { createFacts, emptyHead, hashChange, type JournalHead, keyFacts } from "../../../src/authority/journal.ts";
import { readDatabaseSettings } from "../../../src/stores/postgres/database-url.ts";
import { connect } from "../../../src/stores/postgres/offline/connect.ts";
import { type CopiedValue, type CopySource, copy } from "../../../src/stores/postgres/offline/copy.ts";
import { verifyDatabase, verifyJournal } from "../../../src/stores/postgres/offline/verify-journal.ts";
import { ownerRole, type Postgres } from "../support/postgres.ts";
import { copyTokens, startTokens, urlOf } from "./databases.ts";

let server: Postgres;

beforeAll(async () => {
  server = await startTokens();
});

afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
});

const bornMs = 1_700_000_000_000;
const endMs = 2 * bornMs;
const idOf = (number: number) => `tok_${number}`;
const first = (number: number) => createHash("sha256").update(`first ${number}`).digest();
const second = (number: number) => createHash("sha256").update(`second ${number}`).digest();

/** An authority of so many tokens: each but the first was rotated once, when all of them were there. */
function rotated(tokens: number): CopySource {
  const journal: (readonly CopiedValue[])[] = [];
  let head: JournalHead = emptyHead;
  const issuedBy = (number: number) => tokens + number - 1;

  function add(action: "create" | "rotate_key", number: number, facts: string): void {
    const revision = head.revision + 1;
    const change = { revision, atMs: bornMs + revision, caller: "caller", action, subject: { tokenId: idOf(number) } };
    head = { revision, atMs: change.atMs, hash: hashChange(head.hash, change, facts) };
    const told = action === "create" ? null : facts;
    journal.push([revision, change.atMs, "caller", action, number, null, told, head.hash]);
  }

  const numbers = Array.from({ length: tokens }, (_, index) => index + 1);
  const made = { account: "acct_1", name: "", type: "secret", livemode: true, permissions: [] } as const;
  for (const number of numbers) {
    add("create", number, createFacts({ ...made, expiresAtMs: null, keyHint: "aaaa" }, first(number)));
  }
  for (const number of numbers.slice(1)) {
    const issued = { digest: second(number), keyHint: "bbbb" };
    add("rotate_key", number, keyFacts({ issued, ends: [{ issueRevision: number, endsAtMs: endMs }] }));
  }
  const rows: Readonly<Record<string, (number: number) => readonly (readonly CopiedValue[])[]>> = {
    token: (number) => [
      [number, idOf(number), "acct_1", "", "secret", true, "[]", "caller", bornMs + number, null, null, "", null, null],
    ],
    token_key: (number) =>
      number === 1
        ? [[first(number), number, number, "aaaa", null, null]]
        : [
            [first(number), number, number, "aaaa", endMs, issuedBy(number)],
            [second(number), number, issuedBy(number), "bbbb", null, null],
          ],
  };
  return {
    authorityId: "a".repeat(32),
    lastOldRevision: 0,
    head,
    sealingSecret: null,
    rows: (table) => (table === "journal" ? journal : numbers.flatMap((number) => rows[table]?.(number) ?? [])),
  };
}

/** Connected as a command is, to a database of its own that holds the authority. */
async function aDatabaseOf(name: string, source: CopySource): Promise<pg.Client> {
  await copyTokens(server, name);
  const connection = await connect(readDatabaseSettings(urlOf(server, name, ownerRole), null, "verify"), "verify");
  onTestFinished(() => connection[Symbol.asyncDispose]());
  await copy(connection.client, source);
  return connection.client;
}

it("takes a few statements of thousands of rotated tokens, wherever a chunk of their keys ends", async () => {
  const source = rotated(3000);
  const client = await aDatabaseOf("many_rotated", source);
  const query = vi.spyOn(client, "query");
  expect(await verifyJournal(client, source.head)).toMatchObject({ fault: null });
  expect(query.mock.calls.length).toBeLessThan(20);
});

it("finds what was done by hand to keys, tokens and accounts, also before the first revision", async () => {
  const client = await aDatabaseOf("by_hand", rotated(10));
  const faultAfter = async (...statements: readonly string[]) => {
    await client.query("BEGIN");
    await client.query(statements.join(";"));
    const verdict = await verifyDatabase(client, null);
    await client.query("ROLLBACK");
    return verdict.fault;
  };
  const key = (change: string, issued: number) =>
    `UPDATE token_authority.token_key SET ${change} WHERE issue_revision = ${issued}`;
  expect(await faultAfter("SELECT 1")).toBe(null);
  expect(await faultAfter(key("ends_at_ms = 1", 7))).toBe(
    "the key of the token tok_7 that revision 7 issued says another end than the journal",
  );
  expect(await faultAfter(key("digest = sha256('x')", 17))).toBe(
    "a key of the token tok_8 says revision 17 issued it, and the journal does not",
  );
  expect(await faultAfter("DELETE FROM token_authority.token_key WHERE issue_revision = 17")).toBe(
    "the token tok_8 has not the key that revision 17 issued",
  );
  expect(await faultAfter(key("ends_at_ms = 1, end_revision = 1", 1))).toBe(
    "a key of the token tok_1 says that it ends, and the journal does not",
  );
  const early = "INSERT INTO token_authority.token_key VALUES (sha256('y'), -5, -5, 'cccc')";
  expect(await faultAfter(early)).toBe("a key is of the token of revision -5, which is not there");
  expect(
    await faultAfter(
      `INSERT INTO token_authority.token (revision, id, account, name, type, livemode, permissions, created_by,
        created_at_ms) VALUES (-5, 'tok_early', 'acct_1', '', 'secret', true, '[]', 'caller', 1)`,
      early,
    ),
  ).toBe("the token tok_early says revision -5 created it, and the journal does not");
  expect(await faultAfter("INSERT INTO token_authority.account_state VALUES ('acct_9', 3)")).toBe(
    "the account acct_9 says that revision 3 holds it, and the journal it is not held",
  );
});
