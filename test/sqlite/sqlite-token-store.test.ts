import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { openSqliteTokenStore } from "../../src/stores/sqlite/open-sqlite-token-store.ts";
import { aNewToken, aQuery, at, describeTokenStore } from "../support/describe-token-store.ts";
import { openStore, quietLog, temporaryDataDirectory } from "./store-rig.ts";

describeTokenStore("sqlite", (directory) =>
  openSqliteTokenStore(join(directory, "data"), {
    minFreeBytes: 0,
    log: quietLog,
    onFatal(error) {
      throw error;
    },
  }),
);

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
