import type { MessagePort } from "node:worker_threads";
import { AuthorityError, undecided } from "../../../authority/errors.ts";
import type { TokenStore } from "../../../authority/token-store.ts";
import { type ChangeSignal, createLongLogReader, createSignalReader, createSignalWait } from "../change-signal.ts";
import { type LeaseBoard, openLeaseBoard } from "../lease-board.ts";
import { markLeases } from "../leases-file.ts";
import { openReaderDatabase } from "../open-database.ts";
import { isLost } from "../sqlite-error.ts";
import { explainDamage } from "../store-fault.ts";
import { createLookUp } from "./look-up.ts";
import { createReader } from "./reader.ts";
import { createSharedFreshness } from "./shared-freshness.ts";
import { createWriterClient } from "./writer-client.ts";

/**
 * What a serving thread needs to open its own view of the store. May be sent to another thread, with `port`
 * transferred.
 */
export type ServingStoreSeed = {
  readonly database: string;
  /** Leads to the writer thread. */
  readonly port: MessagePort;
  readonly changeSignal: ChangeSignal;
  readonly leases: { readonly board: LeaseBoard; readonly file: string };
};

/** The store as one serving thread sees it. Disposed, it waits for the answers to what was asked. */
export type ServingStore = TokenStore &
  AsyncDisposable & {
    /** Gives up on all that waits, and serves no more. */
    fail(error: Error): void;
  };

/** Opens the store for one serving thread: its own reading connections, and its own line to the one writer of all. */
export function openServingStore({ database, port, changeSignal, leases }: ServingStoreSeed): ServingStore {
  const reader = createReader(openReaderDatabase(database));
  const writer = createWriterClient(port);
  const readSignal = createSignalReader(changeSignal);
  const isLogLong = createLongLogReader(changeSignal);
  // A connection of its own: what else is read must not see what the look-ups of a turn see.
  const lookUp = createLookUp(openReaderDatabase(database), { changeSignal: readSignal, isLogLong });

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

  const head = () => read(() => reader.head());
  const board = openLeaseBoard(leases.board);
  const freshness = createSharedFreshness({
    readSignal,
    untilSignal: createSignalWait(changeSignal),
    journal: {
      // What is known of the journal is seen by look-ups: else a key that is found after this would be remembered as
      // before a change that nobody tells of again.
      head() {
        lookUp.renew();
        return head();
      },
      changesAfter(revision, limit) {
        lookUp.renew();
        return read(() => reader.changesAfter(revision, limit));
      },
      hashOf: (revision) => read(() => reader.hashOf(revision)),
    },
    isServing: writer.isServing,
    board,
    place: board.takePlace(),
    markLeases: () => markLeases(leases.file),
  });

  return {
    findByDigest: (digest) => read(() => lookUp.findByDigest(digest)),
    get: async (id) => read(() => reader.get(id)),
    list: (query) => readInTurns(() => reader.list(query)),
    listChanges: (query) => readInTurns(() => reader.listChanges(query)),
    listAccounts: (query) => readInTurns(() => reader.listAccounts(query)),
    getAccount: (account, query) => readInTurns(() => reader.getAccount(account, query)),
    create: writer.create,
    revoke: writer.revoke,
    revokeMatching: writer.revokeMatching,
    rotateKey: writer.rotateKey,
    endRotation: writer.endRotation,
    setHold: writer.setHold,
    closeAccount: writer.closeAccount,
    recordUses: writer.recordUses,
    forgetRequests: writer.forgetRequests,
    head,
    freshness,
    isServing() {
      try {
        head();
        return true;
      } catch {
        return false;
      }
    },
    fail: writer.fail,
    async [Symbol.asyncDispose]() {
      await writer[Symbol.asyncDispose]();
      lookUp[Symbol.dispose]();
      reader[Symbol.dispose]();
    },
  };
}
