import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { openSqliteTokenStore } from "../../src/sqlite/open-sqlite-token-store.ts";
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
