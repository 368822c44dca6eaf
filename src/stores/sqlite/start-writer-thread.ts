import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { fromFailure } from "../../machine/failure.ts";
import type { Log } from "../../machine/log.ts";
import { logStandardError } from "../../machine/thread-log.ts";
import type {
  OpenedDatabase,
  WriterThreadData,
  WriterThreadOrder,
  WriterThreadReport,
} from "./writer/writer-thread.ts";

/**
 * The thread that owns the only writing connection. Disposed, it does what is waiting, and closes the database; the disposal
 * rejects when that fails.
 */
export type WriterThread = AsyncDisposable & {
  readonly opened: OpenedDatabase;
  /** A port for one serving thread, which may send it calls. */
  connect(): MessagePort;
  /** Resolves when the thread cannot go on: then it is unknown whether the waiting changes happened, and only a new start can tell. */
  readonly failed: Promise<Error>;
};

/** Resolves once the database is open and migrated; rejects when it cannot be. */
export async function startWriterThread(data: WriterThreadData, log: Log): Promise<WriterThread> {
  const worker = new Worker(new URL("./writer/writer-thread.ts", import.meta.url), {
    name: "writer",
    workerData: data,
    stderr: true,
  });
  logStandardError(worker.stderr, log);
  const started = Promise.withResolvers<OpenedDatabase>();
  const failed = Promise.withResolvers<Error>();
  const ended = Promise.withResolvers<void>();
  let state: "starting" | "running" | "closing" | "failed" = "starting";
  let closingFailure: Error | null = null;

  function fail(error: Error): void {
    if (state === "starting") {
      started.reject(error);
    } else if (state === "running") {
      failed.resolve(error);
    } else if (state === "closing") {
      closingFailure = error;
      // After a failure, the loop never says that it has drained.
      void worker.terminate();
    }
    state = "failed";
  }

  worker.on("message", (report: WriterThreadReport) => {
    switch (report.kind) {
      case "ready":
        state = "running";
        started.resolve(report.opened);
        return;
      case "refused":
      case "fatal":
        fail(fromFailure(report.failure));
        return;
      case "log":
        log[report.level](report.fields, report.message);
        return;
    }
  });
  worker.on("error", fail);
  worker.on("exit", (code) => {
    ended.resolve();
    // After "close" it ends by itself, with 0.
    if (state !== "closing" || code !== 0) {
      fail(new Error(`the writer thread ended with code ${code}`));
    }
  });

  let opened: OpenedDatabase;
  try {
    opened = await started.promise;
  } catch (error) {
    await worker.terminate();
    throw error;
  }

  function order(message: WriterThreadOrder, transfer: readonly MessagePort[] = []): void {
    worker.postMessage(message, [...transfer]);
  }

  return {
    opened,
    connect() {
      const { port1, port2 } = new MessageChannel();
      order({ kind: "connect", port: port2 }, [port2]);
      return port1;
    },
    failed: failed.promise,
    async [Symbol.asyncDispose]() {
      if (state === "running") {
        state = "closing";
        order({ kind: "close" });
        await ended.promise;
        if (closingFailure !== null) {
          throw new Error("the writer thread did not end in good order", { cause: closingFailure });
        }
      } else {
        await worker.terminate();
      }
    },
  };
}
