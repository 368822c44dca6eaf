import type { MessagePort } from "node:worker_threads";
import { readTimeSeen, type TimeSeen } from "../../../authority/clock.ts";
import { type Owner, runAsWorker, type Work } from "../../../machine/run-as-worker.ts";
import { attestAction } from "../../changes/old-hash.ts";
import { type ChangeSignal, createLongLogMark, createSignalBump } from "../change-signal.ts";
import { countAllTokens } from "../count-tokens.ts";
import { dataFiles, hasDatabase } from "../data-directory.ts";
import { openWriterDatabase } from "../open-database.ts";
import { asStartError, explainDamage } from "../store-fault.ts";
import { readAuthorityId } from "../store-identity.ts";
import { type FileIdentity, identify, requireInPlace } from "../watched-files.ts";
import { checkpointAll, warnWhenHeld } from "./checkpoint.ts";
import { nameByMarker, openMarker, readMarker, requireNoted } from "./marker.ts";
import { isOnDiskOf, openRevocationLog } from "./revocation-log.ts";
import { ballastRetryMs, createStorageRoom } from "./storage-room.ts";
import { createWriter } from "./writer.ts";
import { createWriterLoop } from "./writer-loop.ts";
import { yieldToOthers } from "./yield-to-others.ts";

/**
 * What may be missing though the database has changes, or had some: the person who starts the process must ask for a
 * new one.
 */
export type Missing = "database" | "revocation log" | "marker";

export type WriterThreadData = {
  readonly directory: string;
  readonly revocationLog: string;
  readonly marker: string;
  readonly makeAnew: readonly Missing[];
  readonly lock: FileIdentity;
  readonly timeSeen: TimeSeen;
  readonly minFreeBytes: number;
  readonly changeSignal: ChangeSignal;
};

/** What the writer found at its start. */
export type OpenedDatabase = {
  readonly isNew: boolean;
  readonly tokens: number;
  readonly revision: number;
  /** The greatest time that was seen before, in Unix milliseconds. */
  readonly notedMs: number;
  /** Whether one lost disk takes both the database and the revocation log. */
  readonly logSharesDisk: boolean;
};

const lookEveryMs = 1000;
const flushMarkerEveryMs = 1000;
const upkeepEveryMs = 60_000;

/** A port from a serving thread, whose calls are taken from now on. */
export type WriterThreadOrder = MessagePort;
export type WriterThreadAnswer = "connected";

function start(
  data: WriterThreadData,
  { log, fail }: Owner,
): Work<OpenedDatabase, WriterThreadOrder, WriterThreadAnswer> {
  const { directory, revocationLog, minFreeBytes, changeSignal, makeAnew, timeSeen } = data;
  const files = dataFiles(directory, { revocationLog, marker: data.marker });
  const monotonicMs = () => performance.now();
  const room = createStorageRoom(files, minFreeBytes, monotonicMs, log);
  room.makeRoomToStart();
  const isNew = !hasDatabase(files.database);
  const noted = isNew ? null : readMarker(files.marker);
  let isNamedNow = false;
  const db = openWriterDatabase(files.database, {
    nameUnnamed(unnamed) {
      isNamedNow = true;
      return nameByMarker(files.marker, noted, unnamed, log);
    },
    onAttested(change) {
      // In the form of every change's line: of each revision, the log says what it was.
      const fields = {
        action: attestAction,
        revision: change.revision,
        hash: Buffer.from(change.hash).toString("hex"),
      };
      log.info(fields, "changed");
    },
  });
  if (!isNamedNow) {
    requireNoted(files.marker, noted, db, makeAnew.includes("marker"));
  }
  checkpointAll(db, log);
  room.restoreBallast();
  const writer = createWriter(db);
  const revocations = openRevocationLog(files, db, room, monotonicMs, makeAnew.includes("revocation log"));
  const notedMs = noted?.timeMs ?? 0;
  const marker = openMarker(files.marker, readAuthorityId(db), writer.head(), notedMs, (error) => loop.fail(error));
  const inPlace = [data.lock, ...[files.database, files.wal, files.shm].map(identify), marker.identity];
  const loop = createWriterLoop({
    ...{ db, writer, room, revocations, log },
    signalChange: createSignalBump(changeSignal),
    markLogLong: createLongLogMark(changeSignal),
    requireInPlace: () => requireInPlace(inPlace),
    noteHead: (head) => marker.note(head, timeToNote()),
    onFatal: (error) => fail(explainDamage(error, files.database)),
  });
  const upkeep = setInterval(room.restoreBallast, ballastRetryMs);
  const looking = setInterval(() => loop.look(), lookEveryMs);
  const noting = setInterval(() => {
    marker.note(writer.head(), timeToNote());
    warnWhenHeld(db, log);
  }, upkeepEveryMs);
  const flushing = setInterval(() => marker.flush(), flushMarkerEveryMs);

  /** Nobody has asked for the time before the first call. */
  function timeToNote(): number {
    const seenMs = readTimeSeen(timeSeen);
    return seenMs === 0 ? notedMs : seenMs;
  }

  async function close(): Promise<void> {
    for (const timer of [upkeep, looking, noting, flushing]) {
      clearInterval(timer);
    }
    await loop.drain();
    loop.closePorts();
    revocations.noteHead(writer.head());
    revocations[Symbol.dispose]();
    marker.note(writer.head(), timeToNote());
    marker[Symbol.dispose]();
    checkpointAll(db, log);
    db.close();
  }

  const { revision } = writer.head();
  const logSharesDisk = isOnDiskOf(files.revocationLog, files.database);
  return {
    ready: { isNew, tokens: countAllTokens(db, revision), revision, notedMs, logSharesDisk },
    perform(port) {
      loop.accept(port);
      return "connected";
    },
    close,
  };
}

await runAsWorker((data: WriterThreadData, owner) => {
  try {
    yieldToOthers();
    return start(data, owner);
  } catch (error) {
    throw asStartError(error, dataFiles(data.directory));
  }
});
