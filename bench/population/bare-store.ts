import { digestKey, keyHint, mintKey, mintTokenId } from "../../src/authority/key.ts";
import type { NewToken } from "../../src/authority/token-store.ts";
import { dataFiles } from "../../src/stores/sqlite/data-directory.ts";
import { openWriterDatabase } from "../../src/stores/sqlite/open-database.ts";
import { createWriter } from "../../src/stores/sqlite/writer/writer.ts";
import { createCall } from "./seed.ts";
import { type Population, randomSmallAccount, unrevokedTokens } from "./seeded-token.ts";

/**
 * The store's own statements in a loop: no thread, no message, no RPC. A baseline for what the disk and SQLite allow.
 */
export type BareStore = Disposable & {
  /** Creates tokens for so long, so many in a transaction, with synchronous=FULL. Returns how many a second. */
  createFor(durationMs: number, inTransaction: number): number;
  /** Revokes seeded tokens in the same way, from the one numbered `first` on. */
  revokeFor(
    durationMs: number,
    inTransaction: number,
    tokens: { readonly first: number; readonly atMost: number },
  ): number;
};

export function openBareStore(directory: string, population: Population): BareStore {
  const db = openWriterDatabase(dataFiles(directory).database);
  // The server does this by hand between answers.
  db.pragma("wal_autocheckpoint = 2048");
  const writer = createWriter(db);

  function createOne(): void {
    const outcome = writer.create(createCall(newToken(population), Date.now()), () => false);
    if (outcome.kind !== "created") {
      throw new Error(`the bare store did not create: ${outcome.kind}`);
    }
  }

  function changeFor(durationMs: number, inTransaction: number, atMost: number, changeOne: () => void): number {
    const startMs = performance.now();
    let changed = 0;
    while (changed < atMost && performance.now() - startMs < durationMs) {
      writer.transact(() => {
        for (let place = 0; place < inTransaction; place += 1) {
          changeOne();
        }
      });
      changed += inTransaction;
    }
    return (changed * 1000) / (performance.now() - startMs);
  }

  return {
    createFor: (durationMs, inTransaction) => changeFor(durationMs, inTransaction, Number.POSITIVE_INFINITY, createOne),
    revokeFor(durationMs, inTransaction, { first, atMost }) {
      const tokens = unrevokedTokens(population, first);
      return changeFor(durationMs, inTransaction, atMost, () => {
        const { id } = tokens.next().value;
        writer.revoke({
          method: "revoke",
          id,
          reason: "bench",
          context: { caller: "bench", atMs: Date.now(), bearerKey: null },
        });
      });
    },
    [Symbol.dispose]() {
      db.close();
    },
  };
}

function newToken(population: Population): NewToken {
  const key = mintKey("restricted", true);
  return {
    id: mintTokenId(),
    digest: digestKey(key),
    account: randomSmallAccount(population),
    name: "Bench",
    type: "restricted",
    livemode: true,
    keyHint: keyHint(key),
    permissions: ["invoices:read", "events:write"],
    expiresAtMs: null,
  };
}
