import { describe, expect, it } from "vitest";
import type { Freshness, Mark, TokenChange } from "../../../src/authority/freshness.ts";
import { leaseMs } from "../../../src/authority/lease.ts";
import { aNewToken, anyLimit, at, createdIn, nowMs, revokedIn } from "./builders.ts";
import type { OpenStore, StoreRig } from "./store-rig.ts";

const anyNumber = 10_000;

/** The promises of Freshness. */
export function describeFreshness(rig: StoreRig): void {
  const { create, revoke } = rig;

  describe("isFresh", () => {
    it("is true of a mark while nothing changes, and false from the answer of each change on", async () => {
      const { freshness } = rig.store;
      const atFirst = freshness.mark();
      expect([freshness.isFresh(atFirst), freshness.isFresh(atFirst)]).toEqual([true, true]);
      const token = await create();
      expect(freshness.isFresh(atFirst)).toBe(false);
      const created = freshness.mark();
      expect(freshness.isFresh(created)).toBe(true);
      await revoke(token);
      expect([freshness.isFresh(atFirst), freshness.isFresh(created)]).toEqual([false, false]);
    });

    it("is false from when a takeaway is settled, at whichever view of the store", async () => {
      const views = [rig.store, await rig.openView(), await rig.openView()];
      await season(views);
      for (let round = 0; round < 30; round += 1) {
        const [asked = rig.store] = views.slice(round % 3);
        const token = createdIn(await asked.create(aNewToken(), null, anyLimit, at(nowMs))).token;
        await Promise.all(views.map(({ freshness }) => reached(freshness, token.createRevision)));
        const marks = views.map(({ freshness }) => freshness.mark());
        expect(views.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(false);
        const revoked = revokedIn(await asked.revoke(token.id, "", at(nowMs)));
        await asked.freshness.settle(revoked.token.revokeRevision ?? 0);
        expect(views.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(true);
      }
    });

    it("is false soon after a creation that was asked for elsewhere, and a look-up finds the token at once", async () => {
      const view = await rig.openView();
      const mark = view.freshness.mark();
      const facts = aNewToken();
      await rig.store.create(facts, null, anyLimit, at(nowMs));
      expect(await view.findByDigest(facts.digest)).toMatchObject({ createRevision: 1 });
      await reached(view.freshness, 1);
      expect(view.freshness.isFresh(mark)).toBe(false);
    });

    it("is false of a mark from before a change that was caught up with since", async () => {
      const { freshness } = rig.store;
      const before = freshness.mark();
      await create();
      freshness.changesSince(before, anyNumber);
      expect(freshness.isFresh(before)).toBe(false);
    });
  });

  describe("mark", () => {
    it("is the place of the newest change, and the start where there is none", async () => {
      expect(rig.store.freshness.mark().revision).toBe(0);
      await revoke(await create());
      expect(rig.store.freshness.mark().revision).toBe(2);
    });
  });

  describe("changesSince", () => {
    it("answers the changes after a mark, oldest first, each with its action and the digests of the keys of the token that it is of", async () => {
      const { freshness } = rig.store;
      const [first, second] = [aNewToken(), aNewToken()];
      const start = freshness.mark();
      await rig.store.create(first, null, anyLimit, at(nowMs));
      await rig.store.create(second, null, anyLimit, at(nowMs));
      const created = freshness.mark();
      await revoke(first);
      expect(seen(freshness.changesSince(start, anyNumber).changes)).toEqual([
        [1, "create", [first.digest]],
        [2, "create", [second.digest]],
        [3, "revoke", [first.digest]],
      ]);
      expect(seen(freshness.changesSince(created, anyNumber).changes)).toEqual([[3, "revoke", [first.digest]]]);
    });

    it("reaches a mark that is fresh, after which nothing has changed", async () => {
      const { freshness } = rig.store;
      const start = freshness.mark();
      await create();
      await create();
      const { mark } = freshness.changesSince(start, anyNumber);
      expect(mark.revision).toBe(2);
      expect(freshness.isFresh(mark)).toBe(true);
      expect(freshness.changesSince(mark, anyNumber)).toEqual({ changes: [], mark });
    });

    it("answers null when there are more than the limit, and reaches the newest; and all of them at the limit", async () => {
      const { freshness } = rig.store;
      const start = freshness.mark();
      for (let count = 0; count < 3; count += 1) {
        await create();
      }
      expect(freshness.changesSince(start, 3).changes).toHaveLength(3);
      const { changes, mark } = freshness.changesSince(start, 2);
      expect(changes).toBeNull();
      expect(mark.revision).toBe(3);
      expect(freshness.isFresh(mark)).toBe(true);
    });

    it("tells each change once to who follows from mark to mark, whatever comes meanwhile, and reads see it by then", async () => {
      const views = [rig.store, await rig.openView()];
      const made = 60;
      const followers = views.map((view) => follow(view, made));
      await Promise.all(
        Array.from({ length: made }, (_, index) => views[index % 2]?.create(aNewToken(), null, anyLimit, at(nowMs))),
      );
      const all = Array.from({ length: made }, (_, index) => index + 1);
      expect(await Promise.all(followers)).toEqual([all, all]);
    });
  });

  describe("untilChanged", () => {
    it("resolves at once where the mark is not fresh, and otherwise with the next change, at whichever view", async () => {
      const { freshness } = rig.store;
      const before = freshness.mark();
      const view = await rig.openView();
      const changed = [freshness, view.freshness].map((one) => one.untilChanged(one.mark()));
      await create();
      await Promise.all(changed);
      await freshness.untilChanged(before);
      expect(freshness.isFresh(before)).toBe(false);
    });
  });

  describe("hashOf", () => {
    it("is that of the change with the revision; 32 zero bytes before the first, and null where there is none", async () => {
      const { freshness } = rig.store;
      await create();
      expect(Buffer.from(freshness.hashOf(1) ?? [])).toEqual(Buffer.from(rig.store.head().hash));
      expect(Buffer.from(freshness.hashOf(0) ?? [])).toEqual(Buffer.alloc(32));
      expect(freshness.hashOf(2)).toBeNull();
    });
  });

  describe("settle", () => {
    const report = (settledRevision: number) => ({ settledRevision, holders: 1, silent: [] });
    const nobody = { acknowledged: 0, silent: [], unconfirmed: [] };

    /** Two views whose holders know of everything so far. */
    async function watchedViews() {
      const views = [rig.store, await rig.openView()] as const;
      const [one, other] = [views[0].freshness, views[1].freshness];
      await season(views);
      const { createRevision } = await create();
      await reached(other, createRevision);
      for (const { freshness } of views) {
        expect(freshness.leaseMs()).toBeGreaterThan(0);
        expect(freshness.leaseMs()).toBeLessThanOrEqual(leaseMs);
        freshness.report(report(createRevision));
      }
      return { one, other, known: createRevision };
    }

    async function takeAway(): Promise<number> {
      return (await revoke(await create())).revokeRevision ?? 0;
    }

    it("resolves where nobody holds a lease of any view", async () => {
      await create();
      expect(await rig.store.freshness.settle(1)).toEqual(nobody);
    });

    it("resolves once the holders of every view have acknowledged the revision, and says how many", async () => {
      const { one, other, known } = await watchedViews();
      const revision = await takeAway();
      let isSettled = false;
      const settling = one.settle(revision).then((settlement) => {
        isSettled = true;
        return settlement;
      });
      await reached(other, revision);
      other.report(report(revision));
      expect(await other.settle(known)).toEqual({ ...nobody, acknowledged: 2 });
      expect(isSettled).toBe(false);
      one.report(report(revision + 2));
      expect(await settling).toEqual({ ...nobody, acknowledged: 2 });
      one.report(null);
      other.report(null);
      expect(await other.settle(await takeAway())).toMatchObject({ silent: [] });
      expect(await other.settle(known)).toEqual(nobody);
    });

    it("names who was silent meanwhile, and nobody who was before", async () => {
      const { one, other, known } = await watchedViews();
      const silent = { kind: "gateway", identity: "spiffe://casapay/gateway", heardAtMs: nowMs } as const;
      other.report({ ...report(known), silent: [silent] });
      const revision = await takeAway();
      const settling = one.settle(revision);
      await one.settle(known);
      other.report({ ...report(known), silent: [{ ...silent, identity: "another" }] });
      await reached(other, revision);
      other.report(null);
      one.report(null);
      expect(await settling).toMatchObject({ silent: [{ ...silent, identity: "another" }] });
    });

    it("resolves when every lease from before the change is over, and names a view that lags then", async () => {
      const { one, other } = await watchedViews();
      one.report(null);
      const { silent } = await one.settle(await takeAway());
      expect(silent).toMatchObject([{ kind: "node", heardAtMs: null }]);
      other.report(null);
    });
  });

  describe("untilFresh", () => {
    it("resolves when a mark can be fresh, also while others change", async () => {
      const { freshness } = rig.store;
      const start = freshness.mark();
      await create();
      await freshness.untilFresh();
      expect(freshness.isFresh(freshness.changesSince(start, anyNumber).mark)).toBe(true);
    });
  });
}

/** A store that was opened just now may not say yet that everybody knows of a change: from here on it may. */
async function season(views: readonly OpenStore[]): Promise<void> {
  await Promise.all(views.map(({ freshness }) => freshness.settle(0)));
}

/** Resolves once this view knows of the changes up to this revision. */
async function reached(freshness: Freshness, revision: number): Promise<void> {
  for (let mark = freshness.mark(); mark.revision < revision; mark = freshness.mark()) {
    await freshness.untilChanged(mark);
  }
}

function seen(changes: readonly TokenChange[] | null) {
  return changes?.map(({ revision, action, digests }) => [revision, action, digests?.map((one) => Buffer.from(one))]);
}

/** The revisions that this view tells of, from mark to mark, until it has told of this many changes. */
async function follow({ freshness, findByDigest }: OpenStore, count: number): Promise<readonly number[]> {
  const told: number[] = [];
  for (let mark = freshness.mark(); told.length < count; ) {
    await new Promise((resolve) => setImmediate(resolve));
    if (freshness.isFresh(mark)) {
      continue;
    }
    const since = freshness.changesSince(mark, anyNumber);
    for (const { revision, digests } of since.changes ?? []) {
      told.push(revision);
      expect(await findByDigest(digests?.[0] ?? new Uint8Array(32))).toMatchObject({ createRevision: revision });
    }
    mark = since.mark;
  }
  return told;
}
