import { setImmediate as nextTurn } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { type Failure, toFailure } from "./failure.ts";
import type { Log } from "./log.ts";
import { StartError } from "./start-error.ts";
import { createThreadLog, type LogReport } from "./thread-log.ts";

/** From the thread that owns a worker. */
export type WorkerMessage<Order> = { readonly kind: "order"; readonly order: Order } | { readonly kind: "close" };

/** To the thread that owns a worker. */
export type WorkerReport<Ready, Answer> =
  | { readonly kind: "ready"; readonly ready: Ready }
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "closed" }
  | { readonly kind: "refused" | "failed"; readonly failure: Failure }
  | LogReport;

/** What a worker does once it has started. */
export type Work<Ready, Order, Answer> = {
  /** What its owner is told of the start. */
  readonly ready: Ready;
  /** Does what its owner says, in the order in which it is said. */
  perform(order: Order): Answer;
  /** Ends the work in good order. */
  close(): Promise<void>;
};

/** What a worker has of its owner. */
export type Owner = {
  readonly log: Log;
  /** Says that the work cannot go on. */
  fail(error: unknown): void;
};

/**
 * The life of this thread as a worker that startWorker started: `start` makes its work, and its owner's orders are
 * performed until the owner closes it. A StartError is told to the owner as one. Anything else that is thrown, at
 * whatever time, ends the thread.
 */
export async function runAsWorker<Data, Ready, Order, Answer>(
  start: (data: Data, owner: Owner) => Work<Ready, Order, Answer> | Promise<Work<Ready, Order, Answer>>,
): Promise<void> {
  function report(message: WorkerReport<Ready, Answer>): void {
    parentPort?.postMessage(message);
  }

  let work: Work<Ready, Order, Answer>;
  try {
    work = await start(workerData, {
      log: createThreadLog(report),
      fail: (error) => report({ kind: "failed", failure: toFailure(error) }),
    });
  } catch (error) {
    if (!(error instanceof StartError)) {
      throw error;
    }
    // Thrown, it would cross to the other thread as an Error like any other.
    report({ kind: "refused", failure: toFailure(error) });
    return;
  }

  async function close(): Promise<void> {
    await work.close();
    // Calls that were cut end in this turn, and what they log would find the port closed.
    await nextTurn();
    report({ kind: "closed" });
    parentPort?.close();
  }

  parentPort?.on("message", (message: WorkerMessage<Order>) => {
    switch (message.kind) {
      case "order":
        report({ kind: "answer", answer: work.perform(message.order) });
        return;
      case "close":
        void close();
        return;
    }
  });
  report({ kind: "ready", ready: work.ready });
}
