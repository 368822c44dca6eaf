import { MessageChannel, type MessagePort } from "node:worker_threads";
import type { Log } from "../../machine/log.ts";
import { startWorker } from "../../machine/start-worker.ts";
import type {
  OpenedDatabase,
  WriterThreadAnswer,
  WriterThreadData,
  WriterThreadOrder,
} from "./writer/writer-thread.ts";

/**
 * The thread that owns the only writing connection. Disposed, it does what is waiting, and closes the database; the
 * disposal rejects when that fails.
 */
export type WriterThread = AsyncDisposable & {
  readonly opened: OpenedDatabase;
  /** A port for one serving thread, which may send it calls. */
  connect(): MessagePort;
  /**
   * Resolves when the thread cannot go on: then it is unknown whether the waiting changes happened, and only a new
   * start can tell.
   */
  readonly failed: Promise<Error>;
};

/** Resolves once the database is open and migrated; rejects when it cannot be. */
export async function startWriterThread(data: WriterThreadData, log: Log): Promise<WriterThread> {
  const worker = await startWorker<WriterThreadData, OpenedDatabase, WriterThreadOrder, WriterThreadAnswer>({
    module: new URL("./writer/writer-thread.ts", import.meta.url),
    name: "writer",
    data,
    transfer: [],
    log,
  });
  return {
    opened: worker.ready,
    connect() {
      const { port1, port2 } = new MessageChannel();
      // A writer that has ended takes no port. Closing it tells the thread at its other end.
      void worker.order(port2, [port2]).then((answer) => answer ?? port2.close());
      return port1;
    },
    failed: worker.failed,
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}
