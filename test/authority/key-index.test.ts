import { describe, expect, it } from "vitest";
import { undecided } from "../../src/authority/errors.ts";
import type { Freshness } from "../../src/authority/freshness.ts";
import { digestKey, mintKey } from "../../src/authority/key.ts";
import { createKeyIndex } from "../../src/authority/key-index.ts";
import { createLeaseBoard, openLeaseBoard } from "../../src/stores/sqlite/lease-board.ts";
import { createSharedFreshness } from "../../src/stores/sqlite/serving/shared-freshness.ts";
import { openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import { aNewToken, at } from "../support/token-store/builders.ts";

/** A real store, with its look-ups counted. */
async function countingStore() {
  const store = await openStore(temporaryDataDirectory());
  const counted = { lookUps: 0, catchUps: 0 };
  const freshness: Freshness = {
    ...store.freshness,
    changesSince(mark, limit) {
      counted.catchUps += 1;
      return store.freshness.changesSince(mark, limit);
    },
  };
  const findByDigest = (digest: Uint8Array) => {
    counted.lookUps += 1;
    return store.findByDigest(digest);
  };
  const keys = createKeyIndex({
    freshness,
    findByDigest,
    maxBytes: 1_000_000,
  });
  /** A key is kept from the second time on. */
  async function findTwice(key: string) {
    await keys.find(key);
    return await keys.find(key);
  }
  async function create(key = mintKey("secret", true)) {
    const token = aNewToken({ digest: digestKey(key) });
    await store.create(token, null, 1_000_000, at(1));
    return { key, id: token.id };
  }
  return { store, counted, keys, findTwice, create };
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("the key index", () => {
  it("looks a key up twice, for only the second time says that it comes again, and an unknown one once", async () => {
    const { counted, keys, create } = await countingStore();
    const { key, id } = await create();
    const unknown = mintKey("secret", true);
    for (let round = 0; round < 5; round += 1) {
      expect((await keys.find(key))?.token.id).toBe(id);
      expect(await keys.find(unknown)).toBeNull();
    }
    expect(counted.lookUps).toBe(3);
  });

  it("says which principal it will find again, and keeps what its finder puts beside it until the token changes", async () => {
    const { store, keys, create } = await countingStore();
    const { key, id } = await create();
    const beside = { note: "of the finder" };
    expect((await keys.find(key))?.isRemembered).toBe(false);
    const principal = await keys.find(key);
    expect(principal).toMatchObject({ isRemembered: true, beside: null });
    Object.assign(principal ?? {}, { beside });
    expect((await keys.find(key))?.beside).toBe(beside);
    await store.revoke(id, "", at(2));
    expect((await keys.find(key))?.beside).toBeNull();
  });

  it("forgets every key, known or unknown and of whichever account, when an account was changed, and reads its state", async () => {
    const { store, counted, keys, findTwice, create } = await countingStore();
    const { key } = await create();
    const unknown = mintKey("secret", true);
    await findTwice(key);
    await findTwice(unknown);
    counted.lookUps = 0;
    for (const [change, accountState] of [
      [() => store.setHold({ account: "acct_1" }, true, "", at(2)), "held"],
      [() => store.setHold({ account: "acct_1" }, false, "", at(3)), "active"],
      [() => store.setHold({ account: "another" }, true, "", at(4)), "active"],
      [() => store.closeAccount("acct_1", "", at(5)), "closed"],
    ] as const) {
      await change();
      expect((await findTwice(key))?.token.accountState).toBe(accountState);
      expect(await findTwice(unknown)).toBeNull();
    }
    expect(counted.lookUps).toBe(4 * 2);
    await keys.find(key);
    expect(counted.lookUps).toBe(4 * 2);
  });

  it("tells keys apart whose digests begin with the same four bytes, by which they are kept", async () => {
    // Found among 72 794 keys.
    const first = "sk_test_1PbF68zV0EuuesMX8rjiDfcQEFH8nJVg1XIqkF";
    const second = "sk_test_zwNVDkr6Kaprwkwn51n5Y5vvHaNk3au22NIfrL";
    expect(digestKey(first).subarray(0, 4)).toEqual(digestKey(second).subarray(0, 4));
    const { keys, findTwice, create } = await countingStore();
    const { id } = await create(first);
    expect(await findTwice(second)).toBeNull();
    expect((await findTwice(first))?.token.id).toBe(id);
    expect(await findTwice(second)).toBeNull();
    const { id: other } = await create(second);
    expect((await findTwice(second))?.token.id).toBe(other);
    expect((await findTwice(first))?.token.id).toBe(id);
    expect((await keys.find(second))?.token.id).toBe(other);
  });

  it("keeps as many keys as find room, also when many others come before one comes again", async () => {
    const { store, create } = await countingStore();
    const token = await store.findByDigest(digestKey((await create()).key));
    let lookUps = 0;
    const findByDigest = () => {
      lookUps += 1;
      return token;
    };
    const keys = createKeyIndex({ freshness: store.freshness, findByDigest, maxBytes: 512 * 2 ** 20 });
    const all = Array.from({ length: 100_000 }, () => mintKey("secret", true));
    for (let round = 0; round < 3; round += 1) {
      lookUps = 0;
      for (const key of all) {
        await keys.find(key);
      }
    }
    expect(lookUps).toBeLessThan(0.3 * all.length);
  });

  it("keeps no key that came once, however many such keys come", async () => {
    const { counted, keys, create } = await countingStore();
    const { key } = await create();
    await keys.find(key);
    await keys.find(key);
    const once = await Promise.all(Array.from({ length: 1000 }, create));
    for (const one of once) {
      await keys.find(one.key);
    }
    counted.lookUps = 0;
    await keys.find(key);
    expect(counted.lookUps).toBe(0);
    for (const one of once) {
      await keys.find(one.key);
    }
    expect(counted.lookUps).toBe(1000);
  });

  it("tells what is no key from its form, with no look-up, also where it is as long as a key", async () => {
    const { counted, keys } = await countingStore();
    const key = mintKey("secret", true);
    const mistyped = key.slice(0, 20) + (key[20] === "A" ? "B" : "A") + key.slice(21);
    for (const text of [
      "",
      mistyped,
      mistyped,
      key.slice(1),
      `${key} `,
      "\ud800".repeat(key.length),
      "x".repeat(1_000_000),
    ]) {
      expect(keys.find(text)).toBeUndefined();
    }
    expect(counted.lookUps).toBe(0);
  });

  it("answers at once, without a promise, what it knows", async () => {
    const { keys, findTwice, create } = await countingStore();
    const { key } = await create();
    await findTwice(key);
    expect(keys.find(key)).not.toBeInstanceOf(Promise);
  });

  it("knows of a revocation from its answer on", async () => {
    const { store, keys, findTwice, create } = await countingStore();
    const { key, id } = await create();
    expect((await findTwice(key))?.token.revokedAtMs).toBeNull();
    await store.revoke(id, "", at(2));
    expect((await keys.find(key))?.token.revokedAtMs).toBe(2);
  });

  it("knows a key from the answer to its creation on, also when it was asked for before", async () => {
    const { store, keys } = await countingStore();
    const key = mintKey("secret", true);
    expect(await keys.find(key)).toBeNull();
    await store.create(aNewToken({ digest: digestKey(key) }), null, 10, at(1));
    expect((await keys.find(key))?.token.createRevision).toBe(1);
  });

  it("forgets only what changed, and everything when more than 1000 changes came at once", async () => {
    const { store, counted, keys, findTwice, create } = await countingStore();
    const kept = await create();
    await findTwice(kept.key);
    counted.lookUps = 0;
    await Promise.all(Array.from({ length: 1000 }, create));
    await keys.find(kept.key);
    expect(counted.lookUps).toBe(0);
    await Promise.all(Array.from({ length: 1001 }, create));
    expect((await keys.find(kept.key))?.token.id).toBe(kept.id);
    expect(counted.lookUps).toBe(1);
    await store.revoke(kept.id, "", at(2));
    expect((await keys.find(kept.key))?.token.revokedAtMs).toBe(2);
  });

  it("asks for changes only when there was one", async () => {
    const { counted, keys, findTwice, create } = await countingStore();
    const { key } = await create();
    await findTwice(key);
    counted.catchUps = 0;
    for (let round = 0; round < 100; round += 1) {
      expect(keys.find(key)).not.toBeInstanceOf(Promise);
    }
    expect(counted.catchUps).toBe(0);
    await create();
    await keys.find(key);
    await keys.find(key);
    expect(counted.catchUps).toBe(1);
  });

  it("looks up a bounded number of unknown keys in a turn, and known ones never wait behind them", async () => {
    const { counted, keys, findTwice, create } = await countingStore();
    const { key } = await create();
    await findTwice(key);
    await turn();
    counted.lookUps = 0;
    const flood = Array.from({ length: 1000 }, () => keys.find(mintKey("secret", true)));
    expect(counted.lookUps).toBe(8);
    expect(keys.find(key)).not.toBeInstanceOf(Promise);
    await turn();
    expect(counted.lookUps).toBe(16);
    expect(await Promise.all(flood)).toEqual(flood.map(() => null));
    expect(counted.lookUps).toBe(1000);
  });

  it("looks up more of those that somebody has", async () => {
    const { counted, keys, create } = await countingStore();
    const made = await Promise.all(Array.from({ length: 100 }, create));
    counted.lookUps = 0;
    const found = made.map(({ key }) => keys.find(key));
    expect(counted.lookUps).toBe(64);
    expect(await Promise.all(found)).not.toContain(null);
  });

  it("answers every look-up that waits, also when another one has answered it by then", async () => {
    const { keys } = await countingStore();
    const flood = Array.from({ length: 64 }, () => keys.find(mintKey("secret", true)));
    const again = mintKey("secret", true);
    const repeats = Array.from({ length: 300 }, () => keys.find(again));
    expect(await Promise.all([...flood, ...repeats])).toHaveLength(364);
  });

  it("gives up every look-up that waits once the store has failed, and answers nothing from memory", async () => {
    const { store, keys, create } = await countingStore();
    const { key } = await create();
    await keys.find(key);
    await turn();
    const flood = Promise.allSettled(Array.from({ length: 300 }, () => keys.find(mintKey("secret", true))));
    await store[Symbol.asyncDispose]();
    const settled = await flood;
    expect(settled.some(({ status }) => status === "rejected")).toBe(true);
    expect(() => keys.find(key)).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
  });

  it("never says unknown of a key that it has no time to look up: then it is undecided", async () => {
    const { keys, create } = await countingStore();
    const { key } = await create();
    const flood = Array.from({ length: 8 + 10_000 }, () => keys.find(mintKey("secret", true)));
    expect(() => keys.find(key)).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
    await Promise.all(flood);
    expect(await keys.find(key)).not.toBeNull();
  });

  it("keeps good keys through a flood of unknown ones", async () => {
    const { counted, keys, findTwice, create } = await countingStore();
    const good = await Promise.all(Array.from({ length: 100 }, create));
    for (const { key } of good) {
      await findTwice(key);
    }
    for (let count = 0; count < 20_000; count += 1) {
      await keys.find(mintKey("secret", true));
    }
    counted.lookUps = 0;
    for (const { key } of good) {
      await keys.find(key);
    }
    expect(counted.lookUps).toBe(0);
  });

  it("throws a look-up away that took its time while the token was revoked", async () => {
    const { store, create } = await countingStore();
    const { key, id } = await create();
    const gate = Promise.withResolvers<void>();
    const lookUps: number[] = [];
    const keys = createKeyIndex({
      freshness: store.freshness,
      async findByDigest(digest) {
        const token = await store.findByDigest(digest);
        lookUps.push(lookUps.length);
        await gate.promise;
        return token;
      },
      maxBytes: 1_000_000,
    });
    const finding = keys.find(key);
    await store.revoke(id, "", at(2));
    gate.resolve();
    expect((await finding)?.token.revokedAtMs).toBe(2);
    expect(lookUps).toHaveLength(2);
  });

  /** Look-ups that take until the test says so. */
  async function slowStore() {
    const { store, create } = await countingStore();
    const waiting: (() => void)[] = [];
    let lookUps = 0;
    const keys = createKeyIndex({
      freshness: store.freshness,
      async findByDigest(digest) {
        lookUps += 1;
        const token = await store.findByDigest(digest);
        await new Promise<void>((resolve) => waiting.push(resolve));
        return token;
      },
      maxBytes: 1_000_000,
    });
    async function answer(): Promise<void> {
      await turn();
      for (const one of waiting.splice(0)) {
        one();
      }
      await turn();
    }
    return { store, create, keys, answer, lookUps: () => lookUps };
  }

  it("keeps nobody waiting while others create: only a change of the very key makes a look-up again", async () => {
    const { store, create, keys, answer, lookUps } = await slowStore();
    const { key, id } = await create();
    const unknown = mintKey("secret", true);
    const finding = [keys.find(key), keys.find(unknown)];
    await Promise.all(Array.from({ length: 50 }, () => create()));
    await answer();
    expect((await Promise.all(finding)).map((found) => found?.token.id)).toEqual([id, undefined]);
    expect(lookUps()).toBe(2);
    const again = keys.find(key);
    await create();
    await store.revoke(id, "", at(2));
    await answer();
    await answer();
    expect((await again)?.token.revokedAtMs).toBe(2);
    expect(lookUps()).toBe(4);
  });

  it("makes a look-up again when an account was changed meanwhile, or more was than can be told", async () => {
    const { store, create, keys, answer, lookUps } = await slowStore();
    const { key } = await create();
    const held = keys.find(key);
    await store.setHold({ account: "acct_1" }, true, "", at(2));
    await answer();
    await answer();
    expect((await held)?.token.accountState).toBe("held");
    const many = keys.find(key);
    await Promise.all(Array.from({ length: 1001 }, () => create()));
    await answer();
    await answer();
    await many;
    expect(lookUps()).toBe(4);
  });

  it("looks a key up once that many ask for at the same time, and answers each of them what is true by then", async () => {
    const { store, create, keys, answer, lookUps } = await slowStore();
    const { key, id } = await create();
    const before = Array.from({ length: 100 }, () => keys.find(key));
    await store.revoke(id, "", at(2));
    const after = Array.from({ length: 100 }, () => keys.find(key));
    await answer();
    await answer();
    const found = await Promise.all([...before, ...after]);
    expect(new Set(found.map((one) => one?.token.revokedAtMs))).toEqual(new Set([2]));
    expect(lookUps()).toBe(2);
  });

  it("reads the changes again after a failed read, and decides nothing from memory until then", async () => {
    const { store, create } = await countingStore();
    const { key, id } = await create();
    let fails = false;
    const keys = createKeyIndex({
      findByDigest: store.findByDigest,
      freshness: {
        ...store.freshness,
        changesSince(mark, limit) {
          if (fails) {
            throw new Error("the journal could not be read");
          }
          return store.freshness.changesSince(mark, limit);
        },
      },
      maxBytes: 1_000_000,
    });
    await keys.find(key);
    await keys.find(key);
    await store.revoke(id, "", at(2));
    fails = true;
    expect(() => keys.find(key)).toThrow("the journal could not be read");
    fails = false;
    expect((await keys.find(key))?.token.revokedAtMs).toBe(2);
  });

  it("knows of a revocation that is answered while the changes before it are read", async () => {
    const { store, create } = await countingStore();
    const { key, id } = await create();
    let signal = 0;
    let whileReading: (() => void) | null = null;
    const keys = createKeyIndex({
      findByDigest: store.findByDigest,
      freshness: createSharedFreshness({
        readSignal: () => signal,
        untilSignal: () => new Promise(() => {}),
        journal: {
          head: store.head,
          changesAfter(revision) {
            const changes = before ?? [];
            whileReading?.();
            return changes.filter((change) => change.revision > revision);
          },
          hashOf: () => null,
        },
        isServing: () => true,
        board: openLeaseBoard(createLeaseBoard()),
        place: 0,
        markLeases() {},
      }),
      maxBytes: 1_000_000,
    });
    await keys.find(key);
    await keys.find(key);
    const mark = store.freshness.mark();
    await create();
    let before = store.freshness.changesSince(mark, 10).changes;
    await store.revoke(id, "", at(2));
    signal = 1;
    whileReading = () => {
      whileReading = null;
      signal = 2;
      before = store.freshness.changesSince(mark, 10).changes;
    };
    // Asked for before that answer: either is right.
    await keys.find(key);
    expect((await keys.find(key))?.token.revokedAtMs).toBe(2);
  });

  it("finds a key that was unknown before more than 1000 changes came at once", async () => {
    const { store, keys, create } = await countingStore();
    const key = mintKey("secret", true);
    expect(await keys.find(key)).toBeNull();
    const token = aNewToken({ digest: digestKey(key) });
    await Promise.all([store.create(token, null, 10_000, at(1)), ...Array.from({ length: 1001 }, create)]);
    expect((await keys.find(key))?.token.id).toBe(token.id);
  });

  describe("where the store cannot tell for a while what has changed", () => {
    /** A store whose freshness lapses, as a lease does, and comes back or does not. */
    async function lapsingStore() {
      const { store, create } = await countingStore();
      let lapsed: PromiseWithResolvers<void> | null = null;
      const freshness: Freshness = {
        ...store.freshness,
        isFresh: (mark) => lapsed === null && store.freshness.isFresh(mark),
        untilFresh: () => lapsed?.promise ?? Promise.resolve(),
      };
      const gate = { open: Promise.resolve() };
      const keys = createKeyIndex({
        freshness,
        async findByDigest(digest) {
          const token = await store.findByDigest(digest);
          await gate.open;
          return token;
        },
        maxBytes: 1_000_000,
      });
      return {
        ...{ store, create, keys, gate },
        lapse() {
          const comingBack = Promise.withResolvers<void>();
          lapsed = comingBack;
          return {
            comeBack() {
              lapsed = null;
              comingBack.resolve();
            },
            giveUp: () => comingBack.reject(undecided(new Error("no lease"))),
          };
        },
      };
    }

    it("answers nothing, from memory or from the store, and everything once it can tell", async () => {
      const { store, create, keys, lapse } = await lapsingStore();
      const [known, other] = [await create(), await create()];
      await keys.find(known.key);
      await keys.find(known.key);
      const { comeBack } = lapse();
      const asked = [known, other].map(({ key }) => keys.find(key));
      let answered = 0;
      for (const one of asked) {
        void Promise.resolve(one).then(() => {
          answered += 1;
        });
      }
      await turn();
      await turn();
      expect(answered).toBe(0);
      await store.revoke(known.id, "", at(2));
      comeBack();
      expect((await Promise.all(asked)).map((found) => found?.token.revokedAtMs)).toEqual([2, null]);
    });

    it("decides from memory that lives on without a lease, and not by what was read meanwhile", async () => {
      const { store, create } = await countingStore();
      const [known, other] = [await create(), await create()];
      let isPastLease = false;
      const leased = Promise.withResolvers<void>();
      const keys = createKeyIndex({
        freshness: {
          ...store.freshness,
          isPastLease: () => isPastLease,
          untilFresh: () => (isPastLease ? leased.promise : Promise.resolve()),
        },
        findByDigest: async (digest) => await store.findByDigest(digest),
        maxBytes: 1_000_000,
      });
      await keys.find(known.key);
      await keys.find(known.key);
      isPastLease = true;
      expect(keys.find(known.key)).toMatchObject({ token: { id: known.id } });
      let isFound = false;
      const finding = Promise.resolve(keys.find(other.key)).then((found) => {
        isFound = true;
        return found;
      });
      await turn();
      await turn();
      expect(isFound).toBe(false);
      isPastLease = false;
      leased.resolve();
      expect((await finding)?.token.id).toBe(other.id);
    });

    it("tells at once what is no key by its form", async () => {
      const { keys, lapse } = await lapsingStore();
      const key = mintKey("secret", true);
      lapse();
      expect(keys.find(key.slice(0, 20) + (key[20] === "A" ? "B" : "A") + key.slice(21))).toBeUndefined();
    });

    it("holds back a look-up that was under way, and answers it as of when it can tell again", async () => {
      const { store, create, keys, gate, lapse } = await lapsingStore();
      const { key, id } = await create();
      const opening = Promise.withResolvers<void>();
      gate.open = opening.promise;
      const finding = keys.find(key);
      const { comeBack } = lapse();
      opening.resolve();
      await turn();
      await store.revoke(id, "", at(2));
      comeBack();
      expect((await finding)?.token.revokedAtMs).toBe(2);
    });

    it("is undecided about those that wait when it cannot tell soon, and goes on once it can", async () => {
      const { create, keys, lapse } = await lapsingStore();
      const { key, id } = await create();
      const { giveUp } = lapse();
      const waiting = Promise.allSettled([keys.find(key), keys.find(mintKey("secret", true))]);
      await turn();
      giveUp();
      const outcomes = (await waiting).map((one) => (one.status === "rejected" ? one.reason.reason : one.status));
      expect(outcomes).toEqual(["UNDECIDED", "UNDECIDED"]);
      lapse().comeBack();
      expect((await keys.find(key))?.token.id).toBe(id);
    });
  });
});
