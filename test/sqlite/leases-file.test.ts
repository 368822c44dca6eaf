import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { settleMs } from "../../src/authority/lease.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

const report = { settledRevision: 0, holders: 1, silent: [] };

it("the file is made before the first lease, and gone after a stop that has seen all leases end", async () => {
  const { directory, leases } = dataFiles(temporaryDataDirectory());
  const store = await openStore(directory);
  expect(existsSync(leases)).toBe(false);
  store.freshness.report(report);
  expect(existsSync(leases)).toBe(true);
  await store[Symbol.asyncDispose]();
  expect(existsSync(leases)).toBe(true);

  const next = await openStore(directory);
  next.freshness.report(report);
  next.freshness.report(null);
  await next[Symbol.asyncDispose]();
  // The leases of the process before may not be over yet.
  expect(existsSync(leases)).toBe(true);
});

it("a start that finds the file settles nothing until every lease from before is over, and removes it at its end", async () => {
  const { directory, leases } = dataFiles(temporaryDataDirectory());
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(leases, "", { mode: 0o600 });
  const order: string[] = [];
  // Counted from before the start, however long that takes.
  const earlier = new Promise<void>((resolve) =>
    setTimeout(() => {
      order.push("the leases from before are over");
      resolve();
    }, settleMs - 50),
  );
  const store = await openStore(directory);
  await store.freshness.settle(0).then(() => order.push("settled"));
  await earlier;
  expect(order).toEqual(["the leases from before are over", "settled"]);
  expect(await store.freshness.settle(0)).toEqual({ acknowledged: 0, silent: [], unconfirmed: [] });
  await store[Symbol.asyncDispose]();
  expect(existsSync(leases)).toBe(false);
});

it("a lease is not granted where the file cannot be made: a restart would not know of it", async () => {
  const { directory, leases } = dataFiles(temporaryDataDirectory());
  const store = await openStore(directory);
  mkdirSync(leases);
  expect(() => store.freshness.report(report)).toThrow(expect.objectContaining({ reason: "UNDECIDED" }));
  expect(await store.freshness.settle(1)).toEqual({ acknowledged: 0, silent: [], unconfirmed: [] });
});
