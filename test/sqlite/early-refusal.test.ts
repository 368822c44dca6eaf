import { expect, it } from "vitest";
import { aNewToken, aRequest, at } from "../support/token-store/builders.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

it("refuses to create before the disk is full, and still revokes and replays", async () => {
  const directory = temporaryDataDirectory();
  const facts = aNewToken();
  const roomy = await openStore(directory);
  await roomy.create(facts, aRequest("1"), 10, at(1));
  await roomy[Symbol.asyncDispose]();

  const store = await openStore(directory, Number.MAX_SAFE_INTEGER);
  expect(await store.create(aNewToken(), null, 10, at(2))).toEqual({ kind: "storage_low" });
  expect(await store.create(aNewToken(), null, 1, at(2))).toEqual({ kind: "limit_reached" });
  expect(await store.create(aNewToken(), aRequest("1"), 10, at(2))).toMatchObject({ kind: "replayed" });
  expect(await store.revoke(facts.id, "", at(3))).toMatchObject({ change: { revision: 2 } });
  expect(store.isServing()).toBe(true);
});
