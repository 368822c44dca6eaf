import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { aNewToken, anyLimit, at } from "../support/token-store/builders.ts";
import { editByHand, quietLog, temporaryDataDirectory } from "./store-rig.ts";

let scene: string;

beforeAll(async () => {
  scene = await setScene();
});

afterAll(() => {
  rmSync(dirname(scene), { recursive: true });
});

/**
 * A closed store with tokens tok_…1 to tok_…3: 4 holds the first; 5 and 6 hold and release the second. 7 holds the
 * account "held"; 8 and 9 hold and release "released"; 10 and 11 hold and close "both"; 12 closes "closed".
 */
async function setScene(): Promise<string> {
  const directory = join(mkdtempSync(join(tmpdir(), "sqlite-store-")), "data");
  await using store = await openSqliteTokenStore(directory, { minFreeBytes: 0, log: quietLog, onFatal() {} });
  for (const number of [1, 2, 3]) {
    await store.create(aNewToken({ id: idOf(number) }), null, anyLimit, at(1000));
  }
  await store.setHold({ tokenId: idOf(1) }, true, "odd", at(2000));
  await store.setHold({ tokenId: idOf(2) }, true, "", at(2000));
  await store.setHold({ tokenId: idOf(2) }, false, "fine", at(2000));
  await store.setHold({ account: "held" }, true, "", at(2000));
  await store.setHold({ account: "released" }, true, "", at(2000));
  await store.setHold({ account: "released" }, false, "", at(2000));
  await store.setHold({ account: "both" }, true, "", at(2000));
  await store.closeAccount("both", "fraud", at(2000));
  await store.closeAccount("closed", "", at(2000));
  return directory;
}

function idOf(number: number): string {
  return `tok_${String(number).padStart(24, "0")}`;
}

/** The verdict after these statements were run on the file by hand. */
function faultAfter(...statements: readonly string[]): string | null {
  const directory = temporaryDataDirectory();
  cpSync(scene, directory, { recursive: true });
  editByHand(join(directory, "tokens.db"), ...statements);
  return verifyJournal(directory, null).fault;
}

it("finds nothing in holds and closures that nobody touched", () => {
  expect(verifyJournal(scene, null)).toMatchObject({ fault: null, head: { revision: 12 } });
});

it.each([
  ["1", "NULL", "it is not held", "revision 4 holds it"],
  ["1", "5", "revision 5 holds it", "revision 4 holds it"],
  ["2", "5", "revision 5 holds it", "it is not held"],
  ["2", "6", "revision 6 holds it", "it is not held"],
  ["3", "4", "revision 4 holds it", "it is not held"],
  ["3", "99", "revision 99 holds it", "it is not held"],
])("finds a token %s whose hold was edited to %s", (token, revision, says, journal) => {
  expect(faultAfter(`UPDATE token SET hold_revision = ${revision} WHERE revision = ${token}`)).toBe(
    `the token ${idOf(Number(token))} says that ${says}, and the journal ${journal}`,
  );
});

it.each([
  ["held", "hold_revision = 8", "held says that revision 8 holds it, and the journal revision 7 holds it"],
  ["held", "hold_revision = NULL", "held says that it is not held, and the journal revision 7 holds it"],
  ["held", "close_revision = 12", "held says that revision 12 has closed it, and the journal it is not closed"],
  ["held", "account = 'acct_1'", "acct_1 says that revision 7 holds it, and the journal it is not held"],
  ["both", "hold_revision = NULL", "both says that it is not held, and the journal revision 10 holds it"],
  ["both", "close_revision = NULL", "both says that it is not closed, and the journal revision 11 has closed it"],
  [
    "closed",
    "close_revision = 11",
    "closed says that revision 11 has closed it, and the journal revision 12 has closed it",
  ],
  ["closed", "hold_revision = 7", "closed says that revision 7 holds it, and the journal it is not held"],
])("finds an account %s whose %s was edited", (account, edit, fault) => {
  expect(faultAfter(`UPDATE account_state SET ${edit} WHERE account = '${account}'`)).toBe(`the account ${fault}`);
});

it.each([
  ["released", "8, NULL", "revision 8 holds it", "it is not held"],
  ["acct_1", "NULL, 12", "revision 12 has closed it", "it is not closed"],
])("finds a state that was slipped in for the account %s", (account, revisions, says, journal) => {
  expect(faultAfter(`INSERT INTO account_state VALUES ('${account}', ${revisions})`)).toBe(
    `the account ${account} says that ${says}, and the journal ${journal}`,
  );
});

it.each([
  ["held", "it is not held", "revision 7 holds it"],
  ["closed", "it is not closed", "revision 12 has closed it"],
])("finds a state of the account %s that was deleted", (account, says, journal) => {
  expect(faultAfter(`DELETE FROM account_state WHERE account = '${account}'`)).toBe(
    `the account ${account} says that ${says}, and the journal ${journal}`,
  );
});

it.each([
  ["4", `facts = '{"reason":"even"}'`],
  ["4", "facts = NULL"],
  ["4", "action = 'resume'"],
  ["4", "token_revision = 3"],
  ["4", "token_revision = NULL, account = 'acct_1'"],
  ["7", "account = 'released'"],
  ["7", "action = 'close'"],
  ["11", `facts = '{"reason":"age"}'`],
  ["12", "caller = 'somebody'"],
])("finds revision %s of the journal after %s", (revision, edit) => {
  expect(faultAfter(`UPDATE journal SET ${edit} WHERE revision = ${revision}`)).toMatch(
    new RegExp(`^the hash of revision ${revision} fits neither`),
  );
});

it.each([
  ["token_revision = NULL", "revision 4 is about the token of revision null, which is not there"],
  ["token_revision = 99", "revision 4 is about the token of revision 99, which is not there"],
  ["action = 'close'", `revision 4 closes the token ${idOf(1)}, and only accounts are closed`],
])("finds a hold of nothing, after %s", (edit, fault) => {
  expect(faultAfter(`UPDATE journal SET ${edit} WHERE revision = 4`)).toBe(fault);
});

it("finds accounts beyond those that it looks at together", () => {
  const rows = (count: number) =>
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
     INSERT INTO account_state SELECT printf('a%05d', i), 7, NULL FROM n`;
  expect(faultAfter(rows(2500))).toBe(
    "the account a00001 says that revision 7 holds it, and the journal it is not held",
  );
});
