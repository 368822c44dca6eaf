import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { openSqliteTokenStore } from "../../src/sqlite/open-sqlite-token-store.ts";
import { aNewToken, at, describeTokenStore } from "../support/describe-token-store.ts";
import { quietLog, temporaryDataDirectory } from "./store-rig.ts";

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
  const store = await openSqliteTokenStore(temporaryDataDirectory(), {
    minFreeBytes: 0,
    log: quietLog,
    onFatal(error) {
      throw error;
    },
  });
  onTestFinished(() => store[Symbol.asyncDispose]());
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
    await new Promise((resolve) => setImmediate(resolve));
    mostInTurn = Math.max(mostInTurn, answered - before);
  }
  await all;
  expect(mostInTurn).toBeLessThanOrEqual(4);
});
