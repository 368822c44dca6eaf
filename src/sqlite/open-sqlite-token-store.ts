import { statSync } from "node:fs";
import type { Log } from "../authority/log.ts";
import type { TokenStore } from "../authority/token-store.ts";
import { createChangeSignal } from "./change-signal.ts";
import { type DataFiles, dataFiles } from "./data-directory.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { openServingStore, type ServingStoreSeed } from "./serving-store.ts";
import { startWriterThread } from "./start-writer-thread.ts";
import { readFreeBytes } from "./storage-room.ts";

export type SqliteTokenStoreOptions = {
  /** Below this much free room on the disk, nothing is created. */
  readonly minFreeBytes: number;
  /** Default: in the data directory. */
  readonly revocationLog?: string;
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
export type SqliteTokenStore = TokenStore &
  AsyncDisposable & {
    stats(): StorageStats;
    /** For one more serving thread, which opens it with openServingStore. */
    seed(): ServingStoreSeed;
  };

/** Opens the store in a data directory, which it makes if need be and owns until disposed. */
export async function openSqliteTokenStore(
  directory: string,
  options: SqliteTokenStoreOptions,
): Promise<SqliteTokenStore> {
  await using opening = new AsyncDisposableStack();
  const files = dataFiles(directory);
  opening.use(lockDataDirectory(files.directory));
  const changeSignal = createChangeSignal();
  const thread = opening.use(
    await startWriterThread(
      {
        directory: files.directory,
        revocationLog: options.revocationLog ?? files.revocationLog,
        minFreeBytes: options.minFreeBytes,
        changeSignal,
      },
      options.log,
    ),
  );
  const seed = () => ({ database: files.database, port: thread.connect(), changeSignal });
  const store = opening.use(openServingStore(seed()));
  void thread.failed.then((error) => {
    store.fail(error);
    options.onFatal(error);
  });
  const resources = opening.move();
  return {
    ...store,
    seed,
    stats: () => readStats(files),
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
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
