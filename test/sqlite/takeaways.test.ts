import { appendFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { MadeChange } from "../../src/authority/journal.ts";
import { parseJournalLine, takeawayLine } from "../../src/stores/changes/revocation-line.ts";
import { backUp } from "../../src/stores/sqlite/offline/back-up.ts";
import { restore } from "../../src/stores/sqlite/offline/restore.ts";
import { verifyJournal } from "../../src/stores/sqlite/offline/verify-journal.ts";
import { aNewToken, anyLimit, at, createdIn, nowMs } from "../support/token-store/builders.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

const tokenId = `tok_${"1".repeat(24)}`;
const digest = Buffer.alloc(32, 7);
const made = { revision: 5, atMs: 2000, hash: Buffer.alloc(32, 1), caller: "spiffe://a" };
const onToken = { ...made, subject: { tokenId } };
const onAccount = { ...made, subject: { account: "acct_1" } };
const ends = [{ digest, endsAtMs: 9000 }];

const takeaways: readonly MadeChange[] = [
  { ...onToken, action: "revoke", ends: [], reason: "leaked" },
  { ...onToken, action: "revoke", ends: [], reason: "" },
  { ...onToken, action: "rotate_key", ends, reason: "" },
  { ...onToken, action: "end_key", ends, reason: "" },
  { ...onToken, action: "cancel_rotation", ends: [...ends, { digest, endsAtMs: null }], reason: "" },
  { ...onToken, action: "hold", ends: [], reason: "looked at" },
  { ...onToken, action: "resume", ends: [], reason: "" },
  { ...onAccount, action: "hold", ends: [], reason: "looked at" },
  { ...onAccount, action: "resume", ends: [], reason: "" },
  { ...onAccount, action: "close", ends: [], reason: "fraud" },
];

it("a line of the log says all of a takeaway", () => {
  for (const change of takeaways) {
    const { action, subject, atMs, caller, reason } = change;
    expect(parseJournalLine(takeawayLine(3, change))).toEqual({
      ...{ after: 3, revision: 5, hash: Buffer.from(change.hash).toString("hex"), authority: null },
      takeaway: { action, subject, ends: change.ends, atMs, caller, reason },
    });
  }
});

it("only a revocation has its hash under the name that older releases look for", () => {
  for (const change of takeaways) {
    const line = JSON.parse(takeawayLine(3, change));
    expect([line.hash !== undefined, line.head !== undefined]).toEqual([
      change.action === "revoke",
      change.action !== "revoke",
    ]);
  }
});

const hash = "ab".repeat(32);
const rotation = { after: 3, revision: 5, head: hash, time: 1, action: "rotate_key", token_id: tokenId, caller: "me" };
const end = { digest: hash, ends_at: 1 };

it.each([
  ["has its hash under the other name", { ...rotation, head: undefined, hash, ends: [end] }],
  ["has its hash under both names", { ...rotation, hash, ends: [end] }],
  ["ends no key", { ...rotation, ends: [] }],
  ["does not say which key ends", { ...rotation, ends: [{ ends_at: 1 }] }],
  ["names a key that is none", { ...rotation, ends: [{ digest: "ab", ends_at: 1 }] }],
  ["ends a key at no time", { ...rotation, ends: [{ digest: hash, ends_at: "soon" }] }],
  ["leaves out when a key ends", { ...rotation, ends: [{ digest: hash }] }],
  ["is about an account", { ...rotation, token_id: undefined, account: "acct_1", ends: [end] }],
  ["is about a token and an account", { ...rotation, action: "hold", account: "acct_1" }],
  ["closes a token", { ...rotation, action: "close" }],
  ["holds a key", { ...rotation, action: "hold", ends: [end] }],
  ["does something of a newer release", { ...rotation, action: "shorten", ends: [end] }],
])("a line is not understood that %s", (_what, fields) => {
  expect(parseJournalLine(JSON.stringify(fields))).toBeNull();
});

/** A backup of one token, and a log that goes on with these changes of the ends of keys. */
async function aLoggedLife(changes: readonly Pick<MadeChange, "action" | "ends">[], facts = aNewToken()) {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  createdIn(await store.create(facts, null, anyLimit, at(nowMs)));
  await store[Symbol.asyncDispose]();
  const backup = temporaryDataDirectory();
  await backUp(directory, backup, process.pid);
  const log = `${directory}/revocations.log`;
  for (const [index, change] of changes.entries()) {
    const revision = index + 2;
    const by = { atMs: nowMs + revision, caller: "me", reason: "", subject: { tokenId: facts.id } };
    appendFileSync(log, takeawayLine(revision - 1, { ...change, ...by, revision, hash: Buffer.alloc(32, revision) }));
  }
  const files = { backup, directory: temporaryDataDirectory(), revocationLog: null, marker: null, revocations: [log] };
  return { ...files, acceptLost: false };
}

it.each([
  [["rotate_key"], nowMs + 100],
  [["rotate_key", "end_key"], nowMs + 10],
  [["rotate_key", "cancel_rotation"], null],
] as const)(
  "a restore does %j again in its order, and passes over keys that are lost",
  async (actions, keyEndsAtMs) => {
    const facts = aNewToken();
    const issuedLater = { digest: Buffer.alloc(32, 9), endsAtMs: nowMs + 50 };
    const endsAfter = { rotate_key: nowMs + 100, end_key: nowMs + 10, cancel_rotation: null };
    const changes = actions.map((action) => ({
      action,
      ends: [issuedLater, { digest: facts.digest, endsAtMs: endsAfter[action] }],
    }));
    const order = await aLoggedLife(changes, facts);
    const restored = await restore(order, nowMs);
    expect(restored).toMatchObject({ changedAgain: actions.length, gaps: [], unreadable: [], mayLiveAgain: null });
    expect(verifyJournal(order.directory, null)).toEqual({ fault: null, head: restored.head });
    const store = await openStore(order.directory);
    expect(await store.findByDigest(facts.digest)).toMatchObject({ id: facts.id, keyEndsAtMs });
  },
);
