import type { MessagePort } from "node:worker_threads";
import { AuthorityError, undecided } from "../../../authority/errors.ts";
import type { TokenStore } from "../../../authority/token-store.ts";
import { type ChangeSignal, createSignalReader } from "../change-signal.ts";
import { openReaderDatabase } from "../open-database.ts";
import { isLost } from "../sqlite-error.ts";
import { explainDamage } from "../store-fault.ts";
import { createReader, type Reader } from "./reader.ts";
import { createSharedFreshness } from "./shared-freshness.ts";
import { createWriterClient } from "./writer-client.ts";

/** What a serving thread needs to open its own view of the store. May be sent to another thread, with `port` transferred. */
export type ServingStoreSeed = {
  readonly database: string;
  /** Leads to the writer thread. */
  readonly port: MessagePort;
  readonly changeSignal: ChangeSignal;
};

/** The store as one serving thread sees it. Disposed, it waits for the answers to what was asked. */
export type ServingStore = TokenStore &
  AsyncDisposable & {
    /** Gives up on all that waits, and serves no more. */
    fail(error: Error): void;
  };

/** Opens the store for one serving thread: its own reading connection, and its own line to the one writer of all. */
export function openServingStore({ database, port, changeSignal }: ServingStoreSeed): ServingStore {
  const reader = createReader(openReaderDatabase(database));
  const writer = createWriterClient(port);

  /** Once the writer has failed nothing is answered any more: a revocation may have been lost with it. */
  function read<T>(look: () => T): T {
    if (!writer.isServing()) {
      throw undecided(new Error("the store is closed or has failed"));
    }
    try {
      return look();
    } catch (error) {
      if (isLost(error)) {
        // Nobody would say that the store is lost for good, if each read failed by itself.
        writer.giveUp(explainDamage(error, database));
      }
      throw undecided(error);
    }
  }

  /** The same for what takes its turns. */
  async function readInTurns<T>(look: () => Promise<T>): Promise<T> {
    try {
      return await read(look);
    } catch (error) {
      if (isLost(error)) {
        writer.giveUp(explainDamage(error, database));
      }
      throw error instanceof AuthorityError ? error : undecided(error);
    }
  }

  const journal: Pick<Reader, "head" | "changesAfter"> = {
    head: () => read(() => reader.head()),
    changesAfter: (revision, limit) => read(() => reader.changesAfter(revision, limit)),
  };

  return {
    findByDigest: (digest) => read(() => reader.findByDigest(digest)),
    get: async (id) => read(() => reader.get(id)),
    list: (query) => readInTurns(() => reader.list(query)),
    listChanges: (query) => readInTurns(() => reader.listChanges(query)),
    listAccounts: (query) => readInTurns(() => reader.listAccounts(query)),
    create: writer.create,
    revoke: writer.revoke,
    recordUses: writer.recordUses,
    forgetRequests: writer.forgetRequests,
    head: journal.head,
    freshness: createSharedFreshness({
      readSignal: createSignalReader(changeSignal),
      journal,
      isServing: writer.isServing,
    }),
    isServing() {
      try {
        journal.head();
        return true;
      } catch {
        return false;
      }
    },
    fail: writer.fail,
    async [Symbol.asyncDispose]() {
      await writer[Symbol.asyncDispose]();
      reader[Symbol.dispose]();
    },
  };
}
