import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import type { Log } from "../authority/log.ts";
import { checkpointAll } from "./checkpoint.ts";
import { dataFiles } from "./data-directory.ts";
import { openWriterDatabase } from "./open-database.ts";
import { ballastRetryMs, createStorageRoom } from "./storage-room.ts";
import { createWriter } from "./writer.ts";
import { type Failure, toFailure } from "./writer-call.ts";
import { createWriterLoop } from "./writer-loop.ts";

export type WriterThreadData = { readonly directory: string; readonly minFreeBytes: number };

/** To the thread that owns this one. */
export type WriterThreadReport =
  | { readonly kind: "ready" }
  | { readonly kind: "refused"; readonly failure: Failure }
  | { readonly kind: "fatal"; readonly failure: Failure }
  | { readonly kind: "log"; readonly level: keyof Log; readonly fields: object; readonly message: string };

/** From the thread that owns this one. */
export type WriterThreadOrder = { readonly kind: "connect"; readonly port: MessagePort } | { readonly kind: "close" };

function report(message: WriterThreadReport): void {
  parentPort?.postMessage(message);
}

const log: Log = {
  info: (fields, message) => report({ kind: "log", level: "info", fields, message }),
  warn: (fields, message) => report({ kind: "log", level: "warn", fields, message }),
  error: (fields, message) => report({ kind: "log", level: "error", fields, message }),
};

function start({ directory, minFreeBytes }: WriterThreadData): void {
  const files = dataFiles(directory);
  const room = createStorageRoom(files, minFreeBytes, () => performance.now(), log);
  room.makeRoomToStart();
  const db = openWriterDatabase(files.database);
  checkpointAll(db, log);
  room.restoreBallast();
  const loop = createWriterLoop(db, createWriter(db), room, log, (error) => {
    report({ kind: "fatal", failure: toFailure(error) });
  });
  const upkeep = setInterval(room.restoreBallast, ballastRetryMs);

  async function close(): Promise<void> {
    clearInterval(upkeep);
    await loop.drain();
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
  start(workerData);
} catch (error) {
  report({ kind: "refused", failure: toFailure(error) });
}
