import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { aNewToken, anyLimit, aRequest, at, nowMs } from "../support/token-store/builders.ts";
import { openStore, temporaryDataDirectory } from "./store-rig.ts";

/** A store in which a creation and two rotations have sealed keys, of which each but the newest is to end. */
async function aScene() {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const { id } = aNewToken();
  await store.create(aNewToken({ id }), aRequest("1", "b", "sealed first"), anyLimit, at(nowMs));
  for (const [number, sealed] of ["sealed second", "sealed third"].entries()) {
    const key = { digest: Buffer.alloc(32, number + 1), keyHint: `000${number}` };
    await store.rotateKey(id, key, 60_000, aRequest(`r${number}`, "b", sealed), at(nowMs));
  }
  return { directory, store, id };
}

/** Which of them can be read in the database's file, once the log is moved into it. */
function readableIn(directory: string): readonly string[] {
  const file = readFileSync(join(directory, "tokens.db"), "latin1");
  return ["first", "second", "third"].filter((one) => file.includes(`sealed ${one}`));
}

it("a sealed key is gone from the file with the end of its key, and the others stay until theirs", async () => {
  const { directory, store, id } = await aScene();
  // The second rotation has replaced the key of the first.
  await store.forgetRequests(nowMs);
  expect(readableIn(directory)).toEqual(["first", "third"]);
  await store.endRotation(id, { kind: "cut" }, at(nowMs + 1));
  await store.forgetRequests(nowMs);
  expect(readableIn(directory)).toEqual(["third"]);
});

it("the sealed keys of all keys of a token are gone from the file with its revocation", async () => {
  const { directory, store, id } = await aScene();
  await store.revoke(id, "", at(nowMs + 1));
  await store.forgetRequests(nowMs);
  expect(readableIn(directory)).toEqual([]);
});
