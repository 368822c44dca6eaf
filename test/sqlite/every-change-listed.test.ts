import Database from "better-sqlite3";
import { expect, it } from "vitest";
import { type ChangeQuery, pageBounds } from "../../src/authority/token-store.ts";
import { migrate } from "../../src/stores/sqlite/schema.ts";
import { createReader } from "../../src/stores/sqlite/serving/reader.ts";
import { createWriter } from "../../src/stores/sqlite/writer/writer.ts";
import { aChangeQuery, aNewToken, anyLimit, at, createdIn, nowMs, revokedIn } from "../support/token-store/builders.ts";

/** A journal with changes of every kind of subject, of which the writer makes only the first three and the last. */
function openJournal() {
  const db = new Database(":memory:");
  migrate(db);
  const writer = createWriter(db);
  const create = () =>
    createdIn(
      writer.create(
        { method: "create", token: aNewToken(), request: null, maxLiveTokens: anyLimit, context: at(nowMs) },
        () => false,
      ),
    ).token;
  const [first, second] = writer.transact(() => [create(), create()] as const);
  revokedIn(
    writer.transact(() => writer.revoke({ method: "revoke", id: first.id, reason: "lost", context: at(nowMs) })),
  );
  const add = db.prepare(
    "INSERT INTO journal (revision, at_ms, caller, action, token_revision, account, facts, hash) VALUES (?, ?, 'desk', ?, ?, ?, ?, zeroblob(32))",
  );
  const reason = JSON.stringify({ reason: "looks odd" });
  add.run(4, nowMs, "hold", first.createRevision, null, reason);
  add.run(5, nowMs, "close", null, "acct_1", reason);
  add.run(6, nowMs, "resume", first.createRevision, null, JSON.stringify({}));
  add.run(7, nowMs, "attest", null, null, JSON.stringify({ names_hints_reasons: "00" }));
  add.run(8, nowMs, "close", null, "acct_2", reason);
  return { reader: createReader(db), first, second };
}

async function listed(
  { reader }: ReturnType<typeof openJournal>,
  filter: Partial<ChangeQuery["filter"]> = {},
  facts: Partial<ChangeQuery> = {},
) {
  return (await reader.listChanges(aChangeQuery(filter, facts)))?.changes.map(({ revision }) => revision);
}

it("leaves no revision out, whatever the change was done to, and tells what that is", async () => {
  const journal = openJournal();
  expect(await listed(journal)).toEqual([8, 7, 6, 5, 4, 3, 2, 1]);
  const page = await journal.reader.listChanges(aChangeQuery());
  const told = page?.changes.map(({ subject, account, tokenName, tokenType, reason }) => [
    ...[subject, account, tokenName, tokenType, reason],
  ]);
  const token = { tokenId: journal.first.id };
  expect(told?.slice(0, 6)).toEqual([
    [{ account: "acct_2" }, "acct_2", "", null, "looks odd"],
    [null, "", "", null, ""],
    [token, "acct_1", "Till 7", "restricted", ""],
    [{ account: "acct_1" }, "acct_1", "", null, "looks odd"],
    [token, "acct_1", "Till 7", "restricted", "looks odd"],
    [token, "acct_1", "Till 7", "restricted", "lost"],
  ]);
});

it("finds the changes of an account among those of its tokens, and by what they did", async () => {
  const journal = openJournal();
  expect(await listed(journal, { account: "acct_1" })).toEqual([6, 5, 4, 3, 2, 1]);
  expect(await listed(journal, { account: "acct_2" })).toEqual([8]);
  expect(await listed(journal, { action: "attest" })).toEqual([7]);
});

it("finds all changes of a token, however many, in both directions and page by page", async () => {
  const journal = openJournal();
  const tokenId = journal.first.id;
  expect(await listed(journal, { tokenId })).toEqual([6, 4, 3, 1]);
  expect(await listed(journal, { tokenId }, { direction: "newer" })).toEqual([1, 3, 4, 6]);
  expect(await listed(journal, { tokenId: journal.second.id })).toEqual([2]);
  const ofToken = (facts: Partial<ChangeQuery>) => journal.reader.listChanges(aChangeQuery({ tokenId }, facts));
  expect(await ofToken({ scanLimit: 2 })).toMatchObject({ changes: [{ revision: 6 }, { revision: 4 }], next: 4 });
  expect(await ofToken({ scanLimit: 2, after: 4 })).toMatchObject({
    changes: [{ revision: 3 }, { revision: 1 }],
    next: null,
  });
  expect(await ofToken({ direction: "newer", scanLimit: 3 })).toMatchObject({ next: 4 });
  expect(await ofToken({ direction: "newer", ...pageBounds, after: 4 })).toMatchObject({
    changes: [{ revision: 6 }],
    next: null,
  });
});
