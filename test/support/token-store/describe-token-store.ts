import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import { mintTokenId } from "../../../src/authority/key.ts";
import { aChangeQuery, aNewToken, anyLimit, aQuery, aRequest, at, createdIn, nowMs, usedAt } from "./builders.ts";
import { describeFreshness } from "./describe-freshness.ts";
import { describeHolds } from "./describe-holds.ts";
import { describeReads } from "./describe-reads.ts";
import { describeRotations } from "./describe-rotations.ts";
import { describeWrites } from "./describe-writes.ts";
import { type OpenStore, openStoreForEach, type StoreKind, type StoreRig } from "./store-rig.ts";

/**
 * The promises of TokenStore, which any store keeps: a group of clauses for each promise, and what holds of all three
 * once it is closed.
 */
export function describeTokenStore<Store extends OpenStore>(kind: StoreKind<Store>): void {
  describe(`${kind.name} as a token store`, () => {
    const rig = openStoreForEach(kind);
    describeReads(rig);
    describeWrites(rig);
    describeRotations(rig);
    describeHolds(rig);
    describeFreshness(rig);
    describeClosed(rig);
  });
}

function describeClosed(rig: StoreRig): void {
  const { create, revoke } = rig;

  describe("a closed store", () => {
    it("keeps everything for the next opening", async () => {
      const facts = aNewToken();
      const { token } = createdIn(await rig.store.create(facts, aRequest("1"), anyLimit, at(nowMs)));
      await rig.store.recordUses([{ issueRevision: 1, usedAtMs: nowMs }]);
      await revoke(await create());
      const head = rig.store.head();
      await rig.reopen();
      expect(rig.store.head()).toEqual(head);
      expect(await rig.store.findByDigest(facts.digest)).toEqual(token);
      expect(await rig.store.get(facts.id)).toEqual(usedAt(token, nowMs));
      expect(await rig.store.create(aNewToken(), aRequest("1"), anyLimit, at(nowMs))).toMatchObject({
        kind: "replayed",
      });
      expect(await create()).toMatchObject({ createRevision: 4 });
    });

    it("has done what was asked of it before", async () => {
      const waiting = Promise.all(Array.from({ length: 50 }, () => create()));
      await rig.store[Symbol.asyncDispose]();
      expect(await waiting).toHaveLength(50);
      await rig.reopen();
      expect(rig.store.head().revision).toBe(50);
    });

    it("says that it does not serve, and is undecided about everything", async () => {
      const mark = rig.store.freshness.mark();
      await rig.store[Symbol.asyncDispose]();
      const undecided = { reason: "UNDECIDED" };
      expect(rig.store.isServing()).toBe(false);
      await expect(async () => rig.store.findByDigest(randomBytes(32))).rejects.toMatchObject(undecided);
      await expect(rig.store.get(mintTokenId())).rejects.toMatchObject(undecided);
      await expect(rig.store.list(aQuery())).rejects.toMatchObject(undecided);
      await expect(rig.store.listChanges(aChangeQuery())).rejects.toMatchObject(undecided);
      const accounts = { prefix: "", after: null, limit: 1, scanLimit: 1, countTo: 1, nowMs };
      await expect(rig.store.listAccounts(accounts)).rejects.toMatchObject(undecided);
      await expect(create()).rejects.toMatchObject(undecided);
      await expect(rig.store.revoke(mintTokenId(), "", at(nowMs))).rejects.toMatchObject(undecided);
      await expect(rig.store.setHold({ account: "acct_1" }, true, "", at(nowMs))).rejects.toMatchObject(undecided);
      await expect(rig.store.closeAccount("acct_1", "", at(nowMs))).rejects.toMatchObject(undecided);
      await expect(rig.store.getAccount("acct_1", { countTo: 1, nowMs })).rejects.toMatchObject(undecided);
      await expect(rig.store.recordUses([])).rejects.toMatchObject(undecided);
      await expect(rig.store.forgetRequests(nowMs)).rejects.toMatchObject(undecided);
      expect(rig.store.freshness.isFresh(mark)).toBe(false);
      expect(() => rig.store.freshness.mark()).toThrow(expect.objectContaining(undecided));
      expect(() => rig.store.freshness.changesSince(mark, 10)).toThrow(expect.objectContaining(undecided));
      await expect(rig.store.freshness.untilFresh()).rejects.toMatchObject(undecided);
      await rig.reopen();
    });
  });
}
