import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { Caller } from "../../src/authority/caller.ts";
import { createSealer } from "../../src/authority/sealer.ts";
import type { CreateRequest } from "../../src/authority/token-authority.ts";
import { editByHand, openStore, temporaryDataDirectory } from "../sqlite/store-rig.ts";
import { authorityOver } from "../support/authority-over.ts";

const requestId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c52";
const anotherId = "0197e2b4-8c1e-7c30-9d5a-3f1f6f0d9c53";
const request: CreateRequest = {
  ...{ account: "acct_1", name: "a key", type: "secret", livemode: true },
  ...{ permissions: [], expiresAtMs: null, requestId },
};
const owner: Caller = { identity: "spiffe://a", role: "operator" };
const other: Caller = { identity: "spiffe://b", role: "operator" };

// Whoever can write into the database gives a caller the request of another: the sealed key must not open for it.
it.each([
  ["another caller", "UPDATE create_request SET caller = 'spiffe://b'", other, request],
  [
    "another request",
    `UPDATE create_request SET request_id = '${anotherId}'`,
    owner,
    { ...request, requestId: anotherId },
  ],
])("a sealed key that was put under %s in the database is shown to nobody", async (_whose, edit, caller, again) => {
  const directory = temporaryDataDirectory();
  const store = await openStore(directory);
  const authority = authorityOver(store, { sealer: createSealer(randomBytes(32)) });
  const { key } = await authority.create(owner, request);
  expect((await authority.create(owner, request)).key).toBe(key);
  editByHand(join(directory, "tokens.db"), edit);
  await expect(authority.create(caller, again)).rejects.toMatchObject({ reason: "REPLAY_UNREADABLE" });
});
