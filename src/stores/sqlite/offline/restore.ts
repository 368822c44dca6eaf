import { chmodSync, constants, copyFileSync, existsSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type Database from "better-sqlite3";
import type { JournalHead } from "../../../authority/journal.ts";
import { syncDirectory } from "../../../machine/private-file.ts";
import { StartError } from "../../../machine/start-error.ts";
import {
  type KnownChanges,
  type MissedRevocations,
  readMissedRevocations,
  requireComplete,
} from "../../changes/missed-revocations.ts";
import { type TakenAgain, takeAgain } from "../../changes/take-again.ts";
import { type DataFiles, dataFiles, syncFile } from "../data-directory.ts";
import { lockDataDirectory } from "../data-directory-lock.ts";
import { attestOldChanges } from "../old-hashes.ts";
import { openCopy } from "../open-database.ts";
import { unmarkBackup } from "../schema.ts";
import { readAuthorityId } from "../store-identity.ts";
import { systemCodeOf } from "../system-error.ts";
import { openMarker, readMarker } from "../writer/marker.ts";
import { openRevocationLog, unfinishedLog } from "../writer/revocation-log.ts";
import { createWriter } from "../writer/writer.ts";
import { asCopyError, removeDatabase, requireWhole } from "./back-up.ts";

export type RestoreOrder = {
  readonly backup: string;
  readonly directory: string;
  /**
   * Where the restored store's revocation log will be, null for in the directory. One that is there already is moved
   * aside.
   */
  readonly revocationLog: string | null;
  /** Where the restored store's marker will be, null for beside the directory. */
  readonly marker: string | null;
  /** Revocation logs, and files with log lines of changes among others. */
  readonly revocations: readonly string[];
  /** Restores also when it is not known what was revoked since. */
  readonly acceptLost: boolean;
};

export type Restored = Readonly<TakenAgain> & {
  readonly backupHead: JournalHead;
  /** With what was done again. */
  readonly head: JournalHead;
  /** The newest change that the files tell of. */
  readonly reached: number;
  readonly gaps: MissedRevocations["gaps"];
  readonly unreadable: MissedRevocations["unreadable"];
  /**
   * Null when it is known what was revoked, as far as the files reach. Otherwise whose revocation may be among what is
   * not known.
   */
  readonly mayLiveAgain: LiveTokens | null;
  /** Where the log of the store before was moved to. */
  readonly oldLog: string | null;
  /** Where the log of the restored store is, and why it could not be moved to its place; null when it is there. */
  readonly unmovedLog: { readonly file: string; readonly reason: string } | null;
};

export type LiveTokens = {
  /** The first of them, by account. */
  readonly tokens: readonly { readonly id: string; readonly account: string }[];
  readonly count: number;
};

/** More is nothing that a person reads: they are the active tokens of the restored store, which lists them. */
const maxNamed = 10_000;

/**
 * Puts a backup into a data directory without a database, with every revocation that the given files tell of since. The
 * database appears at once and as a whole, and only when it is known what was revoked after the backup, as far as the
 * files reach; how far that is, they cannot tell. Otherwise a StartError says what is missing.
 */
export async function restore(order: RestoreOrder, nowMs: number): Promise<Restored> {
  if (order.revocations.length === 0 && !order.acceptLost) {
    throw new StartError(
      "a backup does not know what was revoked since, and those keys would live again: give the revocation log, or the log lines of changes, with --revocations FILE, or else say --accept-lost-revocations",
    );
  }
  if (!existsSync(order.backup)) {
    throw new StartError(`there is no backup ${order.backup}`);
  }
  const files = dataFiles(order.directory, { revocationLog: order.revocationLog, marker: order.marker });
  requireKnownLog(order, files);
  using _lock = lockDataDirectory(files.directory);
  requireNoDatabase(files);
  const unfinished = { database: `${files.database}.unfinished`, revocationLog: unfinishedLog(files.revocationLog) };
  // A killed restore has left it.
  removeDatabase(unfinished.database);
  rmSync(unfinished.revocationLog, { force: true });
  const seenMs = readMarker(files.marker)?.timeMs ?? 0;
  const logBytes = sizeOf(files.revocationLog);
  let oldLog: string | null = null;
  try {
    const { authority, ...restored } = await build(order, unfinished, nowMs);
    syncFile(unfinished.database);
    if (existsSync(files.revocationLog)) {
      oldLog = `${files.revocationLog}.before-restore-${new Date(nowMs).toISOString().replaceAll(":", "-")}`;
      moveFile(files.revocationLog, oldLog);
    }
    if (oldLog !== null && sizeOf(oldLog) !== logBytes) {
      throw new StartError(
        `${files.revocationLog} has changed since it was read: stop the server that writes to it, and start again`,
      );
    }
    openMarker(files.marker, authority, restored.head, seenMs, () => {})[Symbol.dispose]();
    renameSync(unfinished.database, files.database);
    syncDirectory(files.directory);
    // Last: a start finds the log beside its place, should this be the end.
    return { ...restored, oldLog, unmovedLog: giveLogItsName(unfinished.revocationLog, files.revocationLog) };
  } catch (error) {
    removeDatabase(unfinished.database);
    if (!existsSync(files.database)) {
      // Nothing was restored: the log is where it was, and the next try asks for it.
      rmSync(unfinished.revocationLog, { force: true });
      if (oldLog !== null && existsSync(oldLog)) {
        moveFile(oldLog, files.revocationLog);
      }
    }
    throw asCopyError(error, files.directory, order.backup);
  }
}

async function build(
  order: RestoreOrder,
  unfinished: Pick<DataFiles, "database" | "revocationLog">,
  nowMs: number,
): Promise<Omit<Restored, "oldLog" | "unmovedLog"> & { readonly authority: string }> {
  const file = unfinished.database;
  if (existsSync(`${order.backup}-wal`)) {
    throw new StartError(`${order.backup}-wal exists: this is a database in use, or the copy of one, and no backup`);
  }
  copyFileSync(order.backup, file, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  chmodSync(file, 0o600);
  const db = openCopy(file);
  try {
    const backupHead = requireWhole(db, order.backup);
    const missed = await readMissedRevocations(order.revocations, knownIn(db, backupHead));
    if (!order.acceptLost) {
      requireComplete(missed, { name: "the backup", head: backupHead, mayHaveForked: false });
    }
    const counts = takeAwayAgain(db, missed);
    const head = requireWhole(db, file);
    openRevocationLog(unfinished, db, noRoomToMake, () => 0, true)[Symbol.dispose]();
    const { reached, gaps, unreadable } = missed;
    const isAllKnown =
      reached >= backupHead.revision && order.revocations.length > 0 && gaps.length + unreadable.length === 0;
    const mayLiveAgain = isAllKnown ? null : findLive(db, nowMs);
    return { authority: readAuthorityId(db), backupHead, head, reached, gaps, unreadable, mayLiveAgain, ...counts };
  } finally {
    db.close();
  }
}

function knownIn(db: Database.Database, head: JournalHead): KnownChanges {
  const findHash = db.prepare<[number], Uint8Array>("SELECT hash FROM journal WHERE revision = ?").pluck();
  const findToken = db.prepare<[string]>("SELECT 1 FROM token WHERE id = ?");
  return {
    head,
    name: "the backup",
    hashOf: (revision) => findHash.get(revision) ?? null,
    hasToken: (id) => findToken.get(id) !== undefined,
    mayHaveForked: false,
  };
}

function findLive(db: Database.Database, nowMs: number): LiveTokens {
  const condition = "revoked_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > ?)";
  const count = db.prepare<[number], number>(`SELECT count(*) FROM token WHERE ${condition}`).pluck().get(nowMs) ?? 0;
  const tokens = db
    .prepare<[number, number], LiveTokens["tokens"][number]>(
      `SELECT id, account FROM token WHERE ${condition} ORDER BY account, revision LIMIT ?`,
    )
    .all(nowMs, maxNamed);
  return { tokens, count };
}

/** A full disk ends the restore. */
const noRoomToMake = { noteFull() {}, giveUpBallast: () => false };

/** In one transaction with what makes a database of the backup. */
function takeAwayAgain(db: Database.Database, { takeaways }: MissedRevocations): TakenAgain {
  // A backup's journal ends where it was made. Now it goes on.
  db.transaction(attestOldChanges).immediate(db);
  const writer = createWriter(db);
  const counts = { revokedAgain: 0, changedAgain: 0, knownAlready: 0, ofLostTokens: 0 };
  writer.transact(() => {
    for (const takeaway of takeaways) {
      counts[takeAgain(writer, takeaway, "restore")] += 1;
    }
    unmarkBackup(db);
  });
  return counts;
}

/** The log at its place knows most, and is moved aside: to leave it out must be meant. */
function requireKnownLog({ revocations, acceptLost }: RestoreOrder, { revocationLog }: DataFiles): void {
  const given = revocations.map((file) => resolve(file));
  if (existsSync(revocationLog) && !acceptLost && !given.includes(revocationLog)) {
    throw new StartError(`there is a revocation log: give it as well: --revocations ${revocationLog}`);
  }
}

function requireNoDatabase({ directory, database }: DataFiles): void {
  // A write-ahead log that was left behind would be taken for the new database's.
  const found = ["", "-wal", "-shm", "-journal"]
    .map((suffix) => `${database}${suffix}`)
    .find((file) => existsSync(file));
  if (found !== undefined) {
    throw new StartError(`${directory} holds a database, or a part of one (${found}): move it away first`);
  }
}

function sizeOf(file: string): number | null {
  return statSync(file, { throwIfNoEntry: false })?.size ?? null;
}

/** The database is restored, and needs this log: it is never removed. */
function giveLogItsName(file: string, name: string): Restored["unmovedLog"] {
  try {
    moveFile(file, name);
    return null;
  } catch (error) {
    return { file, reason: systemCodeOf(error) ?? "unknown" };
  }
}

function moveFile(from: string, to: string): void {
  renameSync(from, to);
  syncDirectory(dirname(to));
}
