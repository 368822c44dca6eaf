import { expect, it } from "vitest";
import { ownerRole, serverRole, startPostgres } from "../support/postgres.ts";
import { migrateTokens } from "./databases.ts";
import { openStoreOn } from "./store-kind.ts";

const startError = (message: string) => ({ name: "StartError", message: expect.stringContaining(message) });

it("a store does not start on what it must not serve, and says in one line what to change", async () => {
  await using server = await startPostgres({ version: 15 });
  const url = server.url(serverRole);
  await expect(openStoreOn(url)).rejects.toMatchObject(startError("npm run migrate"));
  await migrateTokens(server);
  await using store = await openStoreOn(url);
  expect(store.isServing()).toBe(true);

  await expect(openStoreOn(server.url(ownerRole))).rejects.toMatchObject(startError("may rewrite the journal"));
  await expect(openStoreOn(server.url("nobody_known"))).rejects.toMatchObject(startError("does not let the role"));
  await expect(openStoreOn(url.replace("/tokens", "/none"))).rejects.toMatchObject(startError("has no database none"));
  await server.set({ default_transaction_read_only: "on" });
  await expect(openStoreOn(url)).rejects.toMatchObject(startError("takes no writes"));
  await server.set({ default_transaction_read_only: "off" });
  await server.set({ fsync: "off" });
  await expect(openStoreOn(url)).rejects.toMatchObject(startError("fsync"));
  await server.set({ fsync: "on" });
  await server.stop();
  await expect(openStoreOn(url)).rejects.toMatchObject(startError("cannot be reached (ECONNREFUSED)"));
});
