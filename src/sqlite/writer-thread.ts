import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Failure, toFailure } from "../authority/failure.ts";
import { createThreadLog, type LogReport } from "../authority/thread-log.ts";
import { type ChangeSignal, createSignalBump } from "./change-signal.ts";
import { checkpointAll } from "./checkpoint.ts";
import { dataFiles } from "./data-directory.ts";
import { openWriterDatabase } from "./open-database.ts";
import { openRevocationLog } from "./revocation-log.ts";
import { ballastRetryMs, createStorageRoom } from "./storage-room.ts";
import { createWriter } from "./writer.ts";
import { createWriterLoop } from "./writer-loop.ts";
import { yieldToOthers } from "./yield-to-others.ts";

export type WriterThreadData = {
  readonly directory: string;
  readonly revocationLog: string;
  readonly minFreeBytes: number;
  readonly changeSignal: ChangeSignal;
};

/** To the thread that owns this one. */
export type WriterThreadReport =
  | { readonly kind: "ready" }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "fatal"; readonly failure: Failure }
  | LogReport;

/** From the thread that owns this one. */
export type WriterThreadOrder = { readonly kind: "connect"; readonly port: MessagePort } | { readonly kind: "close" };

function report(message: WriterThreadReport): void {
  parentPort?.postMessage(message);
}

const log = createThreadLog(report);

function start({ directory, revocationLog, minFreeBytes, changeSignal }: WriterThreadData): void {
  const files = { ...dataFiles(directory), revocationLog };
  const monotonicMs = () => performance.now();
  const room = createStorageRoom(files, minFreeBytes, monotonicMs, log);
  room.makeRoomToStart();
  const db = openWriterDatabase(files.database);
  checkpointAll(db, log);
  room.restoreBallast();
  const writer = createWriter(db);
  const revocations = openRevocationLog(files, db, room, monotonicMs);
  const loop = createWriterLoop(db, writer, room, revocations, log, createSignalBump(changeSignal), (error) => {
    report({ kind: "fatal", failure: toFailure(error) });
  });
  const upkeep = setInterval(room.restoreBallast, ballastRetryMs);

  async function close(): Promise<void> {
    clearInterval(upkeep);
    await loop.drain();
    loop.closePorts();
    revocations.noteHead(writer.head());
    revocations[Symbol.dispose]();
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
  report({ kind: "ready" });
}

try {
  yieldToOthers();
  start(workerData);
} catch (error) {
  report({ kind: "refused", failure: toFailure(error) });
}
