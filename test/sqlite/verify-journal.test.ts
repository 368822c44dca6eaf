import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createFacts, emptyHead, hashChange, type JournalHead } from "../../src/authority/journal.ts";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";
import { editByHand, openStore, quietLog, temporaryDataDirectory } from "./store-rig.ts";

type Scene = { readonly directory: string; readonly head: JournalHead };

let scene: Scene;

/** A copy of the scene, to be edited. */
function aJournal(): Scene {
  const directory = temporaryDataDirectory();
  cpSync(scene.directory, directory, { recursive: true });
  return { ...scene, directory };
}

beforeAll(async () => {
  scene = await setScene();
});

afterAll(() => {
  rmSync(dirname(scene.directory), { recursive: true });
});

/** A closed store with tokens tok_…1 to tok_…4, created by revisions 1 to 4; revisions 5 and 6 revoke the first two. */
async function setScene(): Promise<Scene> {
  const directory = join(mkdtempSync(join(tmpdir(), "sqlite-store-")), "data");
  const store = await openSqliteTokenStore(directory, { minFreeBytes: 0, log: quietLog, onFatal() {} });
  for (const number of [1, 2, 3, 4]) {
    await store.create(aNewToken({ id: idOf(number) }), null, 10, at(1000 + number, "spiffe://a"));
  }
  await store.revoke(idOf(1), "leaked", at(2001, "spiffe://b"));
  await store.revoke(idOf(2), "", at(2002, "spiffe://b"));
  const head = store.head();
  await store[Symbol.asyncDispose]();
  rmSync(join(directory, "ballast"));
  // Otherwise a store in a copy whose tail was cut off would not start.
  rmSync(join(directory, "revocations.log"));
  return { directory, head };
}

function idOf(number: number): string {
  return `tok_${String(number).padStart(24, "0")}`;
}

/** The verdict after these statements were run on the file by hand. */
function faultAfter(...statements: readonly string[]): string | null {
  const { directory } = aJournal();
  editByHand(join(directory, "tokens.db"), ...statements);
  return verifyJournal(directory, null).fault;
}

it("finds nothing in a journal that nobody touched, and answers its head", async () => {
  const { directory, head } = aJournal();
  expect(verifyJournal(directory, null)).toEqual({ fault: null, head });
  expect(verifyJournal(directory, head)).toEqual({ fault: null, head });
});

it("finds nothing in an empty journal", async () => {
  const directory = temporaryDataDirectory();
  await openStore(directory);
  expect(verifyJournal(directory, null)).toEqual({ fault: null, head: emptyHead });
});

it("accepts a head of before, when the journal has grown since", async () => {
  const { directory, head } = aJournal();
  const store = await openStore(directory, 0, { makeAnew: ["marker", "revocation log"] });
  await store.create(aNewToken(), null, 10, at(3000));
  expect(verifyJournal(directory, head)).toEqual({ fault: null, head: store.head() });
});

it.each([
  ["account", "'acct_2'"],
  ["type", "'secret'"],
  ["livemode", "0"],
  ["permissions", `'["charges:write"]'`],
  ["permissions", "'['"],
  ["expires_at_ms", "99999999999999"],
  ["name", "'Till 8'"],
  ["id", "'tok_x'"],
])("finds a token whose %s was edited to %s", async (column, value) => {
  const fault = faultAfter(`UPDATE token SET ${column} = ${value} WHERE revision = 3`);
  expect(fault).toContain(column === "id" ? "tok_x" : idOf(3));
});

it.each([
  ["digest", "zeroblob(32)", /^the hash of revision 3 fits neither its row nor its token tok_0*3 nor/],
  ["key_hint", "'0000'", /^the hash of revision 3 fits neither its row nor its token tok_0*3 nor/],
  ["token_revision", "4", /^the token tok_0*3 has not the key that revision 3 issued$/],
  ["token_revision", "9", /^the token tok_0*3 has not the key that revision 3 issued$/],
  ["issue_revision", "4", /^the token tok_0*3 has not the key that revision 3 issued$/],
  ["ends_at_ms", "5", /^a key of the token tok_0*3 says that it ends, and the journal does not$/],
  ["end_revision", "5", /^a key of the token tok_0*3 says that it ends, and the journal does not$/],
])("finds a key whose %s was edited to %s", async (column, value, fault) => {
  expect(faultAfter(`UPDATE token_key SET ${column} = ${value} WHERE issue_revision = 3`)).toMatch(fault);
});

it.each([
  ["3, 3", "revision 3 issued one key, and there are more that say so"],
  ["3, 5", `a key of the token ${idOf(3)} says revision 5 issued it, and the journal does not`],
  ["-7, -7", "a key is of the token of revision -7, which is not there"],
  ["9, 9", "a key is of the token of revision 9, which is not there"],
])("finds a key that was slipped in, of token and change %s", async (revisions, fault) => {
  expect(faultAfter(`INSERT INTO token_key VALUES (x'${"ff".repeat(32)}', ${revisions}, 'Zz09', NULL, NULL)`)).toBe(
    fault,
  );
});

it("finds a key that was deleted", async () => {
  expect(faultAfter("DELETE FROM token_key WHERE issue_revision = 3")).toBe(
    `the token ${idOf(3)} has not the key that revision 3 issued`,
  );
});

it.each([
  ["created_at_ms", "1"],
  ["created_by", "'spiffe://x'"],
])("finds a token whose %s is not the journal's", async (column, value) => {
  expect(faultAfter(`UPDATE token SET ${column} = ${value} WHERE revision = 3`)).toBe(
    `the token ${idOf(3)} says another creation time or creator than revision 3`,
  );
});

it("finds a token that was given another revision", async () => {
  expect(faultAfter("UPDATE token SET revision = 9 WHERE revision = 3")).toBe(
    "revision 3 is about the token of revision 3, which is not there",
  );
});

it("finds a revoke reason that was edited, and one of a token that is not revoked", async () => {
  expect(faultAfter("UPDATE token SET revoke_reason = 'fine' WHERE revision = 1")).toBe(
    `revision 5 says something else of its token ${idOf(1)} than is so`,
  );
  expect(faultAfter("UPDATE token SET revoke_reason = 'fine' WHERE revision = 3")).toBe(
    `the token ${idOf(3)} has a revoke reason, and is not revoked`,
  );
});

it("finds a revocation that was taken back", async () => {
  expect(
    faultAfter("UPDATE token SET revoked_at_ms = NULL, revoke_revision = NULL, revoke_reason = '' WHERE revision = 1"),
  ).toBe(`revision 5 revokes the token ${idOf(1)}, which says it is not revoked`);
  expect(faultAfter("UPDATE token SET revoked_at_ms = NULL WHERE revision = 1")).toBe(
    `the token ${idOf(1)} says another revocation time than revision 5`,
  );
});

it("finds a revocation that was moved in time", async () => {
  expect(faultAfter("UPDATE token SET revoked_at_ms = 5 WHERE revision = 2")).toBe(
    `the token ${idOf(2)} says another revocation time than revision 6`,
  );
});

it("finds a revocation without a change", async () => {
  expect(faultAfter("UPDATE token SET revoked_at_ms = 5, revoke_revision = 9 WHERE revision = 3")).toBe(
    `the token ${idOf(3)} says revision 9 revoked it, and the journal does not`,
  );
  expect(faultAfter("UPDATE token SET revoked_at_ms = 5, revoke_revision = 5 WHERE revision = 3")).toBe(
    `the token ${idOf(3)} says revision 5 revoked it, and the journal does not`,
  );
  expect(faultAfter("UPDATE token SET revoked_at_ms = 5 WHERE revision = 3")).toBe(
    `the token ${idOf(3)} is revoked by half`,
  );
});

it("finds a token that was slipped in", async () => {
  for (const revision of [Number.MIN_SAFE_INTEGER, -7, 7, 1_000_000]) {
    expect(
      faultAfter(
        `INSERT INTO token SELECT ${revision}, 'tok_x', account, name, type, livemode, permissions,
           created_by, created_at_ms, expires_at_ms, revoked_at_ms, revoke_reason, revoke_revision, hold_revision FROM token WHERE revision = 3`,
      ),
    ).toBe(`the token tok_x says revision ${revision} created it, and the journal does not`);
  }
});

it("finds a token that was deleted", async () => {
  expect(faultAfter("DELETE FROM token WHERE revision = 3")).toBe(
    "revision 3 is about the token of revision 3, which is not there",
  );
});

it("finds a change that was deleted, also with its token", async () => {
  const fault = "revision 3 is missing: after 2 comes 4";
  expect(faultAfter("DELETE FROM journal WHERE revision = 3")).toBe(fault);
  expect(faultAfter("DELETE FROM journal WHERE revision = 3", "DELETE FROM token WHERE revision = 3")).toBe(fault);
  expect(faultAfter("DELETE FROM journal WHERE revision = 1")).toBe("revision 1 is missing: after 0 comes 2");
});

it.each([
  ["at_ms = 5", /^the token tok_0*3 says another creation time or creator than revision 3$/],
  ["caller = 'spiffe://x'", /^the token tok_0*3 says another creation time or creator than revision 3$/],
  ["action = 'revoke'", /^revision 3 revokes the token tok_0*3, which says it is not revoked$/],
  ["action = 'delete'", /^revision 3 has the unknown action "delete"$/],
  ["token_revision = 4", /^revision 3 creates the token tok_0*4, which says revision 4 did$/],
  ["token_revision = NULL", /^revision 3 is about the token of revision null, which is not there$/],
  ["account = 'acct_1'", /^revision 3 says something else of its account acct_1 than is so$/],
  ["facts = '{}'", /^revision 3 says something else of its token tok_0*3 than is so$/],
  ["hash = zeroblob(32)", /^the hash of revision 3 fits neither/],
])("finds a change edited to %s", async (edit, fault) => {
  expect(faultAfter(`UPDATE journal SET ${edit} WHERE revision = 3`)).toMatch(fault);
});

it("finds who revoked edited, which no token says", async () => {
  expect(faultAfter("UPDATE journal SET caller = 'spiffe://x' WHERE revision = 5")).toMatch(
    /^the hash of revision 5 fits neither/,
  );
});

it("finds a revocation's reason edited alike in the change and the token, by the hash", async () => {
  expect(
    faultAfter(
      `UPDATE journal SET facts = '{"reason":"fine"}' WHERE revision = 5`,
      "UPDATE token SET revoke_reason = 'fine' WHERE revision = 1",
    ),
  ).toMatch(/^the hash of revision 5 fits neither/);
});

it("finds a change and its token edited alike, by the hash", async () => {
  const caller = "'spiffe://x'";
  expect(
    faultAfter(
      `UPDATE journal SET caller = ${caller} WHERE revision = 3`,
      `UPDATE token SET created_by = ${caller} WHERE revision = 3`,
    ),
  ).toMatch(/^the hash of revision 3 fits neither/);
});

it("finds a changed row whose hash was made anew, by the next row", async () => {
  const { directory } = aJournal();
  const store = await openStore(directory, 0, { makeAnew: ["marker", "revocation log"] });
  const token = await store.get(idOf(3));
  await store[Symbol.asyncDispose]();
  const subject = { tokenId: idOf(3) };
  const row = { revision: 3, atMs: 1003, caller: "spiffe://x", action: "create", subject };
  const hash = hashChange(new Uint8Array(32), row, createFacts(token ?? aNewToken(), new Uint8Array(32)));
  editByHand(
    join(directory, "tokens.db"),
    `UPDATE journal SET caller = 'spiffe://x', hash = x'${Buffer.from(hash).toString("hex")}' WHERE revision = 3`,
    "UPDATE token SET created_by = 'spiffe://x' WHERE revision = 3",
  );
  expect(verifyJournal(directory, null).fault).toMatch(/^the hash of revision [34] fits neither/);
});

it("finds a tail that was cut off in good order, when it knows the head", async () => {
  const { directory, head } = aJournal();
  editByHand(
    join(directory, "tokens.db"),
    "DELETE FROM journal WHERE revision = 6",
    "UPDATE token SET revoked_at_ms = NULL, revoke_revision = NULL, revoke_reason = '' WHERE revision = 2",
  );
  expect(verifyJournal(directory, null).fault).toBeNull();
  expect(verifyJournal(directory, head).fault).toBe("the journal ends at revision 5, before the expected revision 6");
});

it("finds a tail that was cut off and grew again otherwise, when it knows the head", async () => {
  const { directory, head } = aJournal();
  editByHand(
    join(directory, "tokens.db"),
    "DELETE FROM journal WHERE revision = 6",
    "UPDATE token SET revoked_at_ms = NULL, revoke_revision = NULL, revoke_reason = '' WHERE revision = 2",
  );
  const store = await openStore(directory, 0, { makeAnew: ["marker", "revocation log"] });
  await store.create(aNewToken(), null, 10, at(3000));
  expect(verifyJournal(directory, null).fault).toBeNull();
  expect(verifyJournal(directory, head).fault).toMatch(
    /^revision 6 is not the one expected: its hash is [0-9a-f]{64}$/,
  );
});

it("runs beside a server that goes on changing, in its own short transactions", async () => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory, 0, { makeAnew: ["marker", "revocation log"] });
  const ids: string[] = [];
  async function change(): Promise<void> {
    const { id } = aNewToken();
    await store.create(aNewToken({ id }), null, 100_000, at(1));
    ids.push(id);
    if (ids.length % 3 === 0) {
      await store.revoke(ids[Math.floor(ids.length / 2)] ?? "", "", at(2));
    }
  }
  let isOver = false;
  const changing = Promise.all(
    Array.from({ length: 32 }, async () => {
      while (!isOver) {
        await change();
      }
    }),
  );
  const verdicts = [];
  while (ids.length < 2500) {
    verdicts.push(verifyJournal(directory, null));
    // The changes need turns of the event loop that the verification does not give them.
    const { length } = ids;
    while (ids.length < length + 200) {
      await change();
    }
  }
  isOver = true;
  await changing;
  expect(verdicts.length).toBeGreaterThan(5);
  expect(verdicts.filter(({ fault }) => fault !== null)).toEqual([]);
});

it("does not open a directory that has no database, nor make one", () => {
  const directory = temporaryDataDirectory();
  expect(() => verifyJournal(directory, null)).toThrow(/there is no database of a token authority/);
  expect(existsSync(directory)).toBe(false);
});
