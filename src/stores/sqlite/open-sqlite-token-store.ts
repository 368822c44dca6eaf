import { statSync } from "node:fs";
import { createTimeSeen, type TimeSeen } from "../../authority/clock.ts";
import { settleMs } from "../../authority/lease.ts";
import type { TokenStore } from "../../authority/token-store.ts";
import type { Log } from "../../machine/log.ts";
import { StartError } from "../../machine/start-error.ts";
import type { StorageStats } from "../storage-stats.ts";
import { createChangeSignal } from "./change-signal.ts";
import { type DataFiles, dataFiles, type Elsewhere, hasDatabase, readFreeBytes } from "./data-directory.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { createLeaseBoard, type LeaseBoardView, openLeaseBoard } from "./lease-board.ts";
import { tellsOfLeases, unmarkLeases } from "./leases-file.ts";
import { openServingStore, type ServingStoreSeed } from "./serving/serving-store.ts";
import { startWriterThread } from "./start-writer-thread.ts";
import { asStartError } from "./store-fault.ts";
import { readMarker } from "./writer/marker.ts";
import { tellsOfChanges } from "./writer/revocation-log.ts";
import type { Missing, OpenedDatabase } from "./writer/writer-thread.ts";

export type SqliteTokenStoreOptions = Elsewhere & {
  /** Below this much free room on the disk, nothing is created. */
  readonly minFreeBytes: number;
  /** What is missing and shall be made anew; otherwise the start is refused. */
  readonly makeAnew?: readonly Missing[];
  /** The greatest time seen is noted for the next start. Default: none. */
  readonly timeSeen?: TimeSeen;
  readonly log: Log;
  /**
   * Called once when the store cannot go on. The process should end with an error: a new start finds out what happened.
   */
  readonly onFatal: (error: unknown) => void;
};

/**
 * What this store promises beyond every store: a revocation works even when the disk is full, and overwrites the sealed
 * key of its token. Disposed, it finishes the waiting changes and gives the directory back.
 */
export type SqliteTokenStore = TokenStore &
  AsyncDisposable & {
    /** What was found when it was opened. */
    readonly opened: OpenedDatabase;
    stats(): StorageStats;
    /** For one more serving thread, which opens it with openServingStore. */
    seed(): ServingStoreSeed;
  };

/** Opens the store in a data directory, which it makes if need be and owns until disposed. */
export async function openSqliteTokenStore(
  directory: string,
  options: SqliteTokenStoreOptions,
): Promise<SqliteTokenStore> {
  try {
    return await open(directory, options);
  } catch (error) {
    throw asStartError(error, dataFiles(directory));
  }
}

async function open(directory: string, options: SqliteTokenStoreOptions): Promise<SqliteTokenStore> {
  await using opening = new AsyncDisposableStack();
  const { makeAnew = [], log } = options;
  const files = dataFiles(directory, { revocationLog: options.revocationLog ?? null, marker: options.marker ?? null });
  requireNothingLost(files, makeAnew.includes("database"));
  const lock = opening.use(lockDataDirectory(files.directory));
  const changeSignal = createChangeSignal();
  const board = createLeaseBoard();
  const leases = openLeaseBoard(board);
  if (tellsOfLeases(files.leases)) {
    log.warn({ file: files.leases }, "the process before may have left leases: revocations wait for their end");
    opening.use(waitOut(leases));
  }
  const thread = opening.use(
    await startWriterThread(
      {
        directory: files.directory,
        revocationLog: files.revocationLog,
        marker: files.marker,
        makeAnew,
        lock: lock.identity,
        timeSeen: options.timeSeen ?? createTimeSeen(0),
        minFreeBytes: options.minFreeBytes,
        changeSignal,
      },
      log,
    ),
  );
  tellWhatWasOpened(thread.opened, files, log);
  const seed = () => ({
    database: files.database,
    port: thread.connect(),
    changeSignal,
    leases: { board, file: files.leases },
  });
  const store = opening.use(openServingStore(seed()));
  void thread.failed.then((error) => {
    store.fail(error);
    options.onFatal(error);
  });
  const resources = opening.move();
  return {
    ...store,
    seed,
    opened: thread.opened,
    stats: () => readStats(files),
    async [Symbol.asyncDispose]() {
      // Who knows of no lease that is left spares the next start the wait.
      if (!leases.hasLeases()) {
        unmarkLeases(files.leases);
      }
      await resources.disposeAsync();
    },
  };
}

/** The process before had ended before this one has the directory: its leases are over after their time from now. */
function waitOut(leases: LeaseBoardView): Disposable {
  leases.setEarlierLeases(true);
  const timer = setTimeout(() => leases.setEarlierLeases(false), settleMs);
  timer.unref();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Before anything is made: nothing is there where something was. */
function requireNothingLost(files: DataFiles, makeAnew: boolean): void {
  const { database, marker, revocationLog } = files;
  if (hasDatabase(database)) {
    if (makeAnew) {
      throw new StartError(`--init: the database ${database} is there: start without --init`);
    }
    return;
  }
  const noted = readMarker(marker);
  const what = `there is no database ${database}`;
  if (noted !== null && noted.revision > 0 && !makeAnew) {
    throw new StartError(
      `${what}, where there was one with ${noted.revision} changes, says the marker ${marker}: put it back (is its disk mounted?), restore a backup with npm run restore, or start once with --init to begin with an empty one, which knows none of the keys`,
    );
  }
  if (tellsOfChanges(revocationLog)) {
    throw new StartError(
      `${what}, and the revocation log ${revocationLog} tells of one: put the database back (is its disk mounted?), or restore a backup with npm run restore; to begin with an empty one, which knows none of the keys, move the log away`,
    );
  }
}

function tellWhatWasOpened({ isNew, ...opened }: OpenedDatabase, files: DataFiles, log: Log): void {
  const { tokens, revision, logSharesDisk } = opened;
  log.info({ database: files.database, tokens, revision }, isNew ? "made a new database" : "opened the database");
  if (logSharesDisk) {
    log.warn(
      { revocationLog: files.revocationLog },
      "the revocation log is on the file system of the database: who loses both knows of no revocation since the last backup",
    );
  }
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
