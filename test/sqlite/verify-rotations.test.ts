import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { aNewToken, anyLimit, aRequest, at } from "../support/token-store/builders.ts";
import { editByHand, quietLog, temporaryDataDirectory } from "./store-rig.ts";

let scene: string;

beforeAll(async () => {
  scene = await setScene();
});

afterAll(() => {
  rmSync(dirname(scene), { recursive: true });
});

/**
 * A closed store with tokens tok_…1 to tok_…3: 4 rotates the key of the first; 5 and 6 rotate that of the second and
 * take it back; 7 and 8 rotate that of the third and cut the old one; 9 rotates it again.
 */
async function setScene(): Promise<string> {
  const directory = join(mkdtempSync(join(tmpdir(), "sqlite-store-")), "data");
  await using store = await openSqliteTokenStore(directory, { minFreeBytes: 0, log: quietLog, onFatal() {} });
  for (const number of [1, 2, 3]) {
    await store.create(aNewToken({ id: idOf(number), keyHint: "0000" }), null, anyLimit, at(1000));
  }
  const rotate = (number: number, revision: number) => {
    const key = { digest: Buffer.alloc(32, revision), keyHint: `000${revision}` };
    return store.rotateKey(idOf(number), key, 500, aRequest(String(revision)), at(2000));
  };
  await rotate(1, 4);
  await rotate(2, 5);
  await store.endRotation(idOf(2), { kind: "cancel" }, at(2100));
  await rotate(3, 7);
  await store.endRotation(idOf(3), { kind: "cut" }, at(2200));
  await rotate(3, 9);
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

it("finds nothing in rotations that nobody touched", () => {
  expect(verifyJournal(scene, null)).toMatchObject({ fault: null, head: { revision: 9 } });
});

const anotherEnd = (number: number, revision: number) =>
  `the key of the token ${idOf(number)} that revision ${revision} issued says another end than the journal`;
const notIssued = (number: number, revision: number) =>
  `a key of the token ${idOf(number)} says revision ${revision} issued it, and the journal does not`;

it.each([
  ["the end of an old key moved", 1, "ends_at_ms = 9999999999999", anotherEnd(1, 1)],
  ["the end of an old key taken away", 1, "ends_at_ms = NULL, end_revision = NULL", anotherEnd(1, 1)],
  ["an old key that was ended by another change", 1, "end_revision = 3", anotherEnd(1, 1)],
  ["an end given to a new key", 4, "ends_at_ms = 1, end_revision = 4", anotherEnd(1, 4)],
  ["the hint of a new key", 4, "key_hint = '9999'", notIssued(1, 4)],
  ["the digest of a new key", 4, "digest = zeroblob(32)", notIssued(1, 4)],
  ["a new key that was issued by another change", 4, "issue_revision = 3", notIssued(1, 3)],
  ["a new key that was given to another token", 4, "token_revision = 2", `${notIssued(2, 4)}|the token ${idOf(1)} has`],
  ["a canceled key that lives again", 5, "ends_at_ms = NULL, end_revision = NULL", anotherEnd(2, 5)],
  ["an end given again to a key that goes on", 2, "ends_at_ms = 5, end_revision = 5", anotherEnd(2, 2)],
  ["a key that was cut off and lives again", 3, "ends_at_ms = NULL, end_revision = NULL", anotherEnd(3, 3)],
])("finds %s", (_what, issued, change, fault) => {
  expect(faultAfter(`UPDATE token_key SET ${change} WHERE issue_revision = ${issued}`)).toMatch(
    new RegExp(`^(?:${fault})`),
  );
});

it("finds a key that was deleted, and one that was slipped in", () => {
  expect(faultAfter("DELETE FROM token_key WHERE issue_revision = 4")).toBe(
    `the token ${idOf(1)} has not the key that revision 4 issued`,
  );
  for (const [token, issue] of [
    [1, 4],
    [1, 9],
    [3, 8],
  ]) {
    const row = `zeroblob(32), ${token}, ${issue}, '0000', NULL, NULL`;
    expect(faultAfter(`INSERT INTO token_key VALUES (${row})`)).toBe(notIssued(token ?? 0, issue ?? 0));
  }
});

it.each([
  ["facts = '{}'"],
  ["facts = NULL"],
  ["token_revision = 2"],
  ["action = 'end_key'"],
  ["at_ms = 5"],
  ["caller = 'me'"],
])("finds the change of keys edited: %s", (change) => {
  expect(faultAfter(`UPDATE journal SET ${change} WHERE revision = 4`)).toMatch(/^(?:the hash of )?revision 4 /);
});
