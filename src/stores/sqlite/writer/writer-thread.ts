import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { readTimeSeen, type TimeSeen } from "../../../authority/clock.ts";
import { type Failure, toFailure } from "../../../machine/failure.ts";
import { createThreadLog, type LogReport } from "../../../machine/thread-log.ts";
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

/** What may be missing though the database has changes, or had some: whoever starts the process must say that it shall be made anew. */
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

/** To the thread that owns this one. */
export type WriterThreadReport =
  | { readonly kind: "ready"; readonly opened: OpenedDatabase }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "fatal"; readonly failure: Failure }
  | LogReport;

/** From the thread that owns this one. */
export type WriterThreadOrder = { readonly kind: "connect"; readonly port: MessagePort } | { readonly kind: "close" };

function report(message: WriterThreadReport): void {
  parentPort?.postMessage(message);
}

const lookEveryMs = 1000;
const flushMarkerEveryMs = 1000;
const upkeepEveryMs = 60_000;

const log = createThreadLog(report);

function start(data: WriterThreadData): void {
  const { revocationLog, minFreeBytes, changeSignal, makeAnew, timeSeen } = data;
  const files = { ...dataFiles(data.directory), revocationLog, marker: data.marker };
  const monotonicMs = () => performance.now();
  const room = createStorageRoom(files, minFreeBytes, monotonicMs, log);
  room.makeRoomToStart();
  const isNew = !hasDatabase(files.database);
  const noted = isNew ? null : readMarker(files.marker);
  let isNamedNow = false;
  const db = openWriterDatabase(files.database, (unnamed) => {
    isNamedNow = true;
    return nameByMarker(files.marker, noted, unnamed, log);
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
    onFatal: (error) => report({ kind: "fatal", failure: toFailure(explainDamage(error, files.database)) }),
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
    parentPort?.close();
  }

  parentPort?.on("message", (order: WriterThreadOrder) => {
    switch (order.kind) {
      case "connect":
        loop.accept(order.port);
        return;
      case "close":
        void close();
        return;
    }
  });
  const { revision } = writer.head();
  const logSharesDisk = isOnDiskOf(files.revocationLog, files.database);
  report({ kind: "ready", opened: { isNew, tokens: countAllTokens(db, revision), revision, notedMs, logSharesDisk } });
}

try {
  yieldToOthers();
  start(workerData);
} catch (error) {
  const { directory }: WriterThreadData = workerData;
  report({ kind: "refused", failure: toFailure(asStartError(error, dataFiles(directory))) });
}
