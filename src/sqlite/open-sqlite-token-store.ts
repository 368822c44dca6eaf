import { statSync } from "node:fs";
import { AuthorityError, undecided } from "../authority/errors.ts";
import type { Log } from "../authority/log.ts";
import type { TokenStore } from "../authority/token-store.ts";
import { type DataFiles, dataFiles } from "./data-directory.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { openReaderDatabase } from "./open-database.ts";
import { createReader, type Reader } from "./reader.ts";
import { startWriterThread } from "./start-writer-thread.ts";
import { readFreeBytes } from "./storage-room.ts";
import { createWriterClient, type WriterClient } from "./writer-client.ts";

export type SqliteTokenStoreOptions = {
  /** Below this much free room on the disk, nothing is created. */
  readonly minFreeBytes: number;
  readonly log: Log;
  /** Called once when the store cannot go on. The process should end with an error: a new start finds out what happened. */
  readonly onFatal: (error: unknown) => void;
};

export type StorageStats = {
  readonly databaseBytes: number;
  readonly walBytes: number;
  readonly ballastBytes: number;
  readonly freeBytes: number;
};

/** Disposed, it finishes the waiting changes and gives the directory back. */
export type SqliteTokenStore = TokenStore & AsyncDisposable & { stats(): StorageStats };

/** Opens the store in a data directory, which it makes if need be and owns until disposed. */
export async function openSqliteTokenStore(
  directory: string,
  options: SqliteTokenStoreOptions,
): Promise<SqliteTokenStore> {
  await using opening = new AsyncDisposableStack();
  const files = dataFiles(directory);
  opening.use(lockDataDirectory(files.directory));
  const thread = opening.use(
    await startWriterThread({ directory: files.directory, minFreeBytes: options.minFreeBytes }, options.log),
  );
  const reader = opening.use(createReader(openReaderDatabase(files.database)));
  const writer = opening.use(createWriterClient(thread.connect()));
  void thread.failed.then((error) => {
    writer.fail(error);
    options.onFatal(error);
  });
  const resources = opening.move();
  return {
    ...createServingStore(reader, writer),
    stats: () => readStats(files),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** The store as one serving thread sees it: its own reading connection, and its own line to the one writer of all. */
function createServingStore(reader: Reader, writer: WriterClient): TokenStore {
  /** Once the writer has failed nothing is answered any more: a revocation may have been lost with it. */
  function read<T>(look: () => T): T {
    if (!writer.isServing()) {
      throw undecided(new Error("the store is closed or has failed"));
    }
    try {
      return look();
    } catch (error) {
      throw undecided(error);
    }
  }

  return {
    findByDigest: (digest) => read(() => reader.findByDigest(digest)),
    get: async (id) => read(() => reader.get(id)),
    async list(query) {
      try {
        return await read(() => reader.list(query));
      } catch (error) {
        throw error instanceof AuthorityError ? error : undecided(error);
      }
    },
    create: writer.create,
    revoke: writer.revoke,
    recordUses: writer.recordUses,
    forgetRequests: writer.forgetRequests,
    head: () => read(() => reader.head()),
    isServing() {
      try {
        read(() => reader.head());
        return true;
      } catch {
        return false;
      }
    },
  };
}

function readStats(files: DataFiles): StorageStats {
  return {
    databaseBytes: sizeOf(files.database),
    walBytes: sizeOf(files.wal),
    ballastBytes: sizeOf(files.ballast),
    freeBytes: readFreeBytes(files.directory),
  };
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
