import { renameSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { backUp } from "../../src/stores/sqlite/offline/back-up.ts";
import { type Restored, restore } from "../../src/stores/sqlite/offline/restore.ts";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import type { SqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { aChangeQuery, aNewToken, anyLimit, at, nowMs } from "../support/token-store/builders.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

const facts = aNewToken();
const { id: tokenId } = facts;

type Life = (store: SqliteTokenStore) => Promise<unknown>;

const hold =
  (subject: { readonly tokenId: string } | { readonly account: string }, held = true, reason = ""): Life =>
  (store) =>
    store.setHold(subject, held, reason, at(nowMs + 1, "spiffe://fraud"));
const close =
  (account: string): Life =>
  (store) =>
    store.closeAccount(account, "fraud", at(nowMs + 1, "spiffe://fraud"));

/** Does the one before a backup and the other after it, and then loses the database. */
async function restored(before: readonly Life[], after: readonly Life[], logOf = (log: string) => [log]) {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  await store.create(facts, null, anyLimit, at(nowMs));
  for (const one of before) {
    await one(store);
  }
  const backup = temporaryDataDirectory();
  await backUp(directory, backup, process.pid);
  for (const one of after) {
    await one(store);
  }
  await store[Symbol.asyncDispose]();
  const log = `${temporaryDataDirectory()}.log`;
  renameSync(join(directory, "revocations.log"), log);
  const fresh = temporaryDataDirectory();
  const order = { backup, directory: fresh, revocationLog: null, marker: null, acceptLost: false };
  const counts: Restored = await restore({ ...order, revocations: logOf(log) }, nowMs + 10);
  expect(verifyJournal(fresh, null)).toEqual({ fault: null, head: counts.head });
  return { counts, store: await openStore(fresh) };
}

async function stateOf(store: SqliteTokenStore) {
  const token = await store.get(tokenId);
  const accounts = ["acct_1", "acct_2"].map((account) => store.getAccount(account, { countTo: 10, nowMs }));
  const [first, second] = await Promise.all(accounts);
  return [token?.held, first?.state, second?.state];
}

describe("a restore with the log", () => {
  it.each<[string, Life[], Life[], unknown[], number]>([
    ["a hold of a token", [], [hold({ tokenId })], [true, "active", "active"], 1],
    ["a hold of an account", [], [hold({ account: "acct_1" })], [false, "held", "active"], 1],
    ["a closure", [], [close("acct_1")], [false, "closed", "active"], 1],
    ["a hold and then a release", [], [hold({ tokenId }), hold({ tokenId }, false)], [false, "active", "active"], 2],
    [
      "a release and then a hold",
      [hold({ account: "acct_1" })],
      [hold({ account: "acct_1" }, false), hold({ account: "acct_1" })],
      [false, "held", "active"],
      2,
    ],
    [
      "a release of what the backup holds",
      [hold({ tokenId })],
      [hold({ tokenId }, false)],
      [false, "active", "active"],
      1,
    ],
    [
      "a hold and then a closure",
      [],
      [hold({ account: "acct_2" }), close("acct_2"), hold({ account: "acct_1" })],
      [false, "held", "closed"],
      3,
    ],
  ])("does %s again, in order", async (_what, before, after, state, changedAgain) => {
    const { store, counts } = await restored(before, after);
    expect(await stateOf(store)).toEqual(state);
    expect(counts).toMatchObject({ changedAgain, revokedAgain: 0, mayLiveAgain: null });
  });

  it("keeps who did it, when and why", async () => {
    const { store } = await restored([], [hold({ account: "acct_1" }, true, "“odd”")]);
    const page = await store.listChanges(aChangeQuery({ account: "acct_1" }, { limit: 1 }));
    expect(page?.changes).toMatchObject([
      { caller: "restore:spiffe://fraud", atMs: nowMs + 1, action: "hold", account: "acct_1", reason: "“odd”" },
    ]);
  });

  it("passes over a hold of a token that is lost, and tells of it", async () => {
    const lost = aNewToken();
    const { counts } = await restored(
      [],
      [(store) => store.create(lost, null, anyLimit, at(nowMs)), hold({ tokenId: lost.id }), hold({ tokenId })],
    );
    expect(counts).toMatchObject({ changedAgain: 1, ofLostTokens: 1 });
  });
});

it("a restore without the log is refused", async () => {
  await expect(restored([], [hold({ account: "acct_1" })], () => [])).rejects.toThrow(/a backup does not know/);
});
