import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import type { Mark } from "../../src/authority/freshness.ts";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { openServingStore } from "../../src/stores/sqlite/serving/serving-store.ts";
import { aNewToken, aQuery, at } from "../support/token-store/builders.ts";
import { describeTokenStore } from "../support/token-store/describe-token-store.ts";
import { openStore, quietLog, temporaryDataDirectory } from "./store-rig.ts";

describeTokenStore({
  name: "sqlite",
  open: (directory) =>
    openSqliteTokenStore(join(directory, "data"), {
      minFreeBytes: 0,
      log: quietLog,
      onFatal(error) {
        throw error;
      },
    }),
  openView: (store) => openServingStore(store.seed()),
});

it("has no view at which a mark is fresh once a change was answered at any of them: they share memory", async () => {
  const store = await openStore(temporaryDataDirectory());
  const views = [store, openServingStore(store.seed()), openServingStore(store.seed())];
  for (let round = 0; round < 30; round += 1) {
    const marks = views.map(({ freshness }) => freshness.mark());
    expect(views.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(false);
    await views[round % 3]?.create(aNewToken(), null, 100, at(1));
    expect(views.map(({ freshness }, index) => freshness.isFresh(marks[index] as Mark))).not.toContain(true);
  }
  await Promise.all(views.slice(1).map((view) => view[Symbol.asyncDispose]()));
});

it("answers what was committed together a few at a time: other calls have their turns between", async () => {
  const store = await openStore(temporaryDataDirectory());
  let answered = 0;
  let mostInTurn = 0;
  const all = Promise.all(
    Array.from({ length: 50 }, async () => {
      await store.create(aNewToken(), null, 100, at(1));
      answered += 1;
    }),
  );
  while (answered < 50) {
    const before = answered;
    await nextTurn();
    mostInTurn = Math.max(mostInTurn, answered - before);
  }
  await all;
  expect(mostInTurn).toBeLessThanOrEqual(4);
});

it("gives each slice of lists that come together a turn of the event loop, so that other calls run between them", async () => {
  const store = await openStore(temporaryDataDirectory());
  await store.create(aNewToken(), null, 10, at(1));
  let isDone = false;
  const lists = Promise.all(Array.from({ length: 30 }, () => store.list(aQuery()))).finally(() => {
    isDone = true;
  });
  let turns = 0;
  for (; !isDone; turns += 1) {
    await nextTurn();
  }
  expect(new Set((await lists).map(({ tokens }) => tokens.length))).toEqual(new Set([1]));
  expect(turns).toBeGreaterThanOrEqual(30);
});

it("is fresh for nobody at a view that has lost its writer, and the other views go on", async () => {
  const store = await openStore(temporaryDataDirectory());
  const view = openServingStore(store.seed());
  const [mark, viewMark] = [store.freshness.mark(), view.freshness.mark()];
  expect(view.freshness.isFresh(viewMark)).toBe(true);
  view.fail(new Error("the writer is gone"));
  expect(view.freshness.isFresh(viewMark)).toBe(false);
  expect(() => view.freshness.changesSince(viewMark, 10)).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
  await expect(view.freshness.untilFresh()).rejects.toMatchObject({ reason: "UNDECIDED" });
  expect(store.freshness.isFresh(mark)).toBe(true);
  await view[Symbol.asyncDispose]();
});
