import { type Transferable, Worker } from "node:worker_threads";
import { fromFailure } from "./failure.ts";
import type { Log } from "./log.ts";
import type { WorkerMessage, WorkerReport } from "./run-as-worker.ts";
import { logStandardError } from "./thread-log.ts";

export type WorkerOptions<Data> = {
  /** A module that calls runAsWorker. */
  readonly module: URL;
  readonly name: string;
  readonly data: Data;
  readonly transfer: readonly Transferable[];
  /** Takes the worker's lines. */
  readonly log: Log;
};

/**
 * A thread of this process, and its owner's end of its life. Disposed, it ends in good order; the disposal rejects when
 * it does not.
 */
export type RunningWorker<Ready, Order, Answer> = AsyncDisposable & {
  /** What it told of its start. */
  readonly ready: Ready;
  /** Resolves with what the worker answers, or with null when it is ending or has ended. */
  order(order: Order, transfer?: readonly Transferable[]): Promise<Answer | null>;
  /** Resolves when the worker says that it cannot go on, or ends without being asked to. */
  readonly failed: Promise<Error>;
};

/** Resolves once the worker is ready, and rejects when it cannot start. */
export async function startWorker<Data, Ready, Order, Answer>(
  options: WorkerOptions<Data>,
): Promise<RunningWorker<Ready, Order, Answer>> {
  const { module, name, data, transfer, log } = options;
  const worker = new Worker(module, { name, workerData: data, transferList: [...transfer], stderr: true });
  logStandardError(worker.stderr, log);
  const started = Promise.withResolvers<Ready>();
  const failed = Promise.withResolvers<Error>();
  const ended = Promise.withResolvers<void>();
  const waiting: ((answer: Answer | null) => void)[] = [];
  let state: "starting" | "running" | "closing" | "closed" | "failed" = "starting";
  let closingFailure: Error | null = null;

  function fail(error: Error): void {
    switch (state) {
      case "starting":
        started.reject(error);
        break;
      case "running":
        failed.resolve(error);
        break;
      case "closing":
        closingFailure = error;
        // What has failed may never say that it has closed.
        void worker.terminate();
        break;
      case "closed":
      case "failed":
        return;
    }
    state = "failed";
    giveUpWaiting();
  }

  function giveUpWaiting(): void {
    for (const resolve of waiting.splice(0)) {
      resolve(null);
    }
  }

  worker.on("message", (report: WorkerReport<Ready, Answer>) => {
    switch (report.kind) {
      case "ready":
        state = "running";
        started.resolve(report.ready);
        return;
      case "refused":
      case "failed":
        fail(fromFailure(report.failure));
        return;
      case "answer":
        waiting.shift()?.(report.answer);
        return;
      case "log":
        log[report.level](report.fields, report.message);
        return;
      case "closed":
        state = "closed";
        // What may still be under way there, such as spans for a collector that does not answer, keeps nobody waiting.
        void worker.terminate();
        return;
    }
  });
  worker.on("error", fail);
  worker.on("exit", (code) => {
    fail(new Error(`the ${name} thread ended with code ${code}`));
    ended.resolve();
  });

  function post(message: WorkerMessage<Order>, moved: readonly Transferable[] = []): void {
    worker.postMessage(message, [...moved]);
  }

  async function close(): Promise<void> {
    if (state !== "running") {
      await worker.terminate();
      return;
    }
    state = "closing";
    giveUpWaiting();
    post({ kind: "close" });
    await ended.promise;
    if (closingFailure !== null) {
      throw new Error(`the ${name} thread did not end in good order`, { cause: closingFailure });
    }
  }

  try {
    return {
      ready: await started.promise,
      async order(order, moved) {
        if (state !== "running") {
          return null;
        }
        const { promise, resolve } = Promise.withResolvers<Answer | null>();
        waiting.push(resolve);
        post({ kind: "order", order }, moved);
        return await promise;
      },
      failed: failed.promise,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await worker.terminate();
    throw error;
  }
}
