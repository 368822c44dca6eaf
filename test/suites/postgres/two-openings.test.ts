import { randomBytes } from "node:crypto";
import { beforeAll, beforeEach, expect, it, onTestFinished } from "vitest";
import { emptyHead, hashChange } from "../../../src/authority/journal.ts";
import type { PostgresTokenStore } from "../../../src/stores/postgres/open-postgres-token-store.ts";
import { authorityOver } from "../../support/authority-over.ts";
import { operator } from "../../support/authority-rig.ts";
import {
  aChangeQuery,
  aNewToken,
  anyLimit,
  aQuery,
  aRequest,
  at,
  createdIn,
  nowMs,
  sealedKeyIn,
} from "../../support/token-store/builders.ts";
import { type Postgres, serverRole } from "../support/postgres.ts";
import { emptyTokens, startTokens } from "./databases.ts";
import { openStoreOn } from "./store-kind.ts";

const aChangesRequest = {
  ...{ pageSize: 10, pageToken: "", tokenId: "", caller: "", action: null, account: "" },
  ...{ changedFromMs: null, changedBeforeMs: null, afterRevision: 0, oldestFirst: true },
};

let server: Postgres;

beforeAll(async () => {
  server = await startTokens();
  return () => server[Symbol.asyncDispose]();
});

beforeEach(() => emptyTokens(server));

/** Another opening of the one database, as a machine of its own has it. It ends with the test. */
async function open(): Promise<PostgresTokenStore> {
  const store = await openStoreOn(server.url(serverRole));
  onTestFinished(() => store[Symbol.asyncDispose]());
  return store;
}

it("a takeaway at one moves the signal of another before it is settled, and neither decides from what it knew", async () => {
  const [asked, other] = [await open(), await open()];
  for (let round = 0; round < 5; round += 1) {
    const facts = aNewToken();
    await asked.create(facts, null, anyLimit, at(nowMs));
    await other.freshness.untilFresh();
    const mark = other.freshness.mark();
    await asked.revoke(facts.id, "leaked", at(nowMs));
    await asked.freshness.settle(asked.head().revision);
    expect(other.freshness.isFresh(mark)).toBe(false);
    expect(other.head().revision).toBe(asked.head().revision);
    expect(await other.findByDigest(facts.digest)).toMatchObject({ revokedAtMs: nowMs });
  }
});

it("what one has answered is known to the other by the end of its next read, and no place in the journal is refused", async () => {
  const [one, other] = [await open(), await open()];
  const authority = authorityOver(other);
  for (let round = 1; round <= 40; round += 1) {
    const facts = aNewToken();
    await one.create(facts, null, anyLimit, at(nowMs));
    const { changes } = await authority.listChanges(operator, { ...aChangesRequest, afterRevision: round });
    expect(changes).toEqual([]);
    await one.create(aNewToken(), null, anyLimit, at(nowMs));
    round += 1;
    expect((await other.list(aQuery({ limit: 1 }))).tokens[0]?.createRevision).toBe(round);
    expect(other.head().revision).toBe(round);
  }
  await expect(authority.listChanges(operator, { ...aChangesRequest, afterRevision: 2 ** 62 })).rejects.toMatchObject({
    reason: "FIELD_INVALID",
  });
});

it("a limit on live tokens holds across them", async () => {
  const stores = [await open(), await open(), await open()];
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, n) => stores[n % 3]?.create(aNewToken(), null, 25, at(nowMs))),
  );
  const kinds = outcomes.map((outcome) => outcome?.kind);
  expect(kinds.filter((kind) => kind === "created")).toHaveLength(25);
  expect(kinds.filter((kind) => kind === "limit_reached")).toHaveLength(35);
});

it("a request that both are asked at once creates one token, and is replayed by the other", async () => {
  const [one, other] = [await open(), await open()];
  for (let round = 0; round < 10; round += 1) {
    const ask = (store: PostgresTokenStore) =>
      store.create(aNewToken(), aRequest(`${round}`, "body", `sealed ${round}`), anyLimit, at(nowMs));
    const outcomes = await Promise.all([ask(one), ask(other)]);
    expect(outcomes.map(({ kind }) => kind).toSorted()).toEqual(["created", "replayed"]);
    const tokens = outcomes.map((outcome) => ("token" in outcome ? outcome.token.id : null));
    expect(tokens[0]).toBe(tokens[1]);
    expect(outcomes.map(sealedKeyIn)).toContain(`sealed ${round}`);
  }
  const reused = await other.create(aNewToken(), aRequest("0", "another body"), anyLimit, at(nowMs));
  expect(reused).toEqual({ kind: "request_id_reused" });
});

it("their changes make one journal: revisions without gaps, times that never fall, one chain of hashes", async () => {
  const stores = [await open(), await open(), await open()];
  await Promise.all(
    Array.from({ length: 300 }, async (_, n) => {
      const store = stores[n % 3] ?? stores[0];
      // Each has a clock of its own.
      const { token } = createdIn(
        (await store?.create(aNewToken(), null, anyLimit, at(nowMs + (n % 3) * 1000))) ?? { kind: "storage_low" },
      );
      await (n % 2 === 0 ? store?.revoke(token.id, "leaked", at(nowMs + n)) : null);
    }),
  );
  const page = await stores[1]?.listChanges(aChangeQuery({}, { direction: "newer", limit: 1000 }));
  const changes = page?.changes ?? [];
  expect(changes.map(({ revision }) => revision)).toEqual(Array.from({ length: 450 }, (_, n) => n + 1));
  let before = emptyHead;
  for (const change of changes) {
    expect(change.atMs).toBeGreaterThanOrEqual(before.atMs);
    expect(change.hash).toEqual(Buffer.from(hashChange(before.hash, change, change.facts)));
    before = change;
  }
});

it("uses of one key that several see are kept, and never go back", async () => {
  const stores = [await open(), await open()];
  const { token } = createdIn(
    (await stores[0]?.create(aNewToken(), null, anyLimit, at(nowMs))) ?? { kind: "storage_low" },
  );
  const others = await Promise.all(
    Array.from(
      { length: 40 },
      async () =>
        createdIn((await stores[1]?.create(aNewToken(), null, anyLimit, at(nowMs))) ?? { kind: "storage_low" }).token,
    ),
  );
  const uses = [token, ...others].map(({ issueRevision }) => ({ issueRevision, usedAtMs: nowMs }));
  // In orders that would lock each other out.
  await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      stores[n % 2]?.recordUses(
        (n % 2 === 0 ? uses : uses.toReversed()).map((use) => ({ ...use, usedAtMs: nowMs + n * 60_000 })),
      ),
    ),
  );
  expect((await stores[0]?.get(token.id))?.lastUsedAtMs).toBe(nowMs + 19 * 60_000);
});

it("one that knows of changes which the database has lost stops, and so do those who know them too", async () => {
  const [one, other] = [await open(), await open()];
  const facts = aNewToken();
  await one.create(facts, null, anyLimit, at(nowMs));
  await one.revoke(facts.id, "leaked", at(nowMs));
  await one.freshness.settle(2);
  // As after a failover to a standby that did not have the revocation.
  await server.sql(
    `DELETE FROM token_authority.journal WHERE revision = 2;
     UPDATE token_authority.token SET revoked_at_ms = NULL, revoke_reason = '', revoke_revision = NULL`,
  );
  for (const store of [one, other]) {
    await expect.poll(() => store.readings().refusal).toBe("JOURNAL_WENT_BACK");
    await expect(async () => store.findByDigest(facts.digest)).rejects.toMatchObject({ reason: "UNDECIDED" });
    await expect(store.get(facts.id)).rejects.toMatchObject({ reason: "UNDECIDED" });
    await expect(store.create(aNewToken(), null, anyLimit, at(nowMs))).rejects.toMatchObject({ reason: "UNDECIDED" });
    expect(store.isServing()).toBe(false);
  }
});

it("one that seals with another secret than the others does not start", async () => {
  await open();
  const refused = openStoreOn(server.url(serverRole), undefined, randomBytes(32));
  await expect(refused).rejects.toMatchObject({
    name: "StartError",
    message: expect.stringContaining("sealing secret"),
  });
});
