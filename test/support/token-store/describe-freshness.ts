import { describe, expect, it } from "vitest";
import type { Mark, TokenChange } from "../../../src/authority/freshness.ts";
import { aNewToken, anyLimit, at, nowMs } from "./builders.ts";
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

    it("is false from the answer of a change on, at whichever view of the store it was asked for", async () => {
      const views = [rig.store, await rig.openView(), await rig.openView()];
      for (let round = 0; round < 30; round += 1) {
        const marks = views.map(({ freshness }) => freshness.mark());
        expect(views.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(false);
        await views[round % 3]?.create(aNewToken(), null, anyLimit, at(nowMs));
        expect(views.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(true);
      }
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
