import { Worker } from "node:worker_threads";
import { fromFailure } from "./machine/failure.ts";
import type { Log } from "./machine/log.ts";
import { logStandardError } from "./machine/thread-log.ts";
import type { ServedAddresses, ServingReadings } from "./serving.ts";
import type { ServingThreadData, ServingThreadOrder, ServingThreadReport } from "./serving-thread.ts";
import type { TlsSet } from "./tls-set.ts";

/** One more thread that serves. Disposed, it ends in good order; the disposal rejects when it does not. */
export type ServingThread = AsyncDisposable & {
  readonly addresses: ServedAddresses;
  /** Null once the thread is ending or has ended. */
  readings(): Promise<ServingReadings | null>;
  replaceTls(tls: TlsSet): void;
};

/** Resolves once the thread listens, rejects when it cannot. `onDeath` hears when it ends after that without being asked to. */
export async function startServingThread(
  data: ServingThreadData,
  log: Log,
  onDeath: (error: Error) => void,
): Promise<ServingThread> {
  const worker = new Worker(new URL("./serving-thread.ts", import.meta.url), {
    name: "serving",
    workerData: data,
    transferList: [data.store.port],
    stderr: true,
  });
  logStandardError(worker.stderr, log);
  const ready = Promise.withResolvers<ServedAddresses>();
  const ended = Promise.withResolvers<void>();
  const waiting: ((readings: ServingReadings | null) => void)[] = [];
  let state: "starting" | "running" | "closing" | "failed" = "starting";
  let hasClosed = false;
  let closingFailure: Error | null = null;

  function fail(error: Error): void {
    const before = state;
    state = "failed";
    giveUpWaiting();
    if (before === "starting") {
      ready.reject(error);
    } else if (before === "running") {
      onDeath(error);
    } else if (before === "closing") {
      closingFailure = error;
    }
  }

  function giveUpWaiting(): void {
    for (const resolve of waiting.splice(0)) {
      resolve(null);
    }
  }

  worker.on("message", (report: ServingThreadReport) => {
    switch (report.kind) {
      case "ready":
        state = "running";
        ready.resolve(report.addresses);
        return;
      case "refused":
        fail(fromFailure(report.failure));
        return;
      case "readings":
        waiting.shift()?.(report.readings);
        return;
      case "log":
        log[report.level](report.fields, report.message);
        return;
      case "closed":
        hasClosed = true;
        // What may still be under way there, such as spans for a collector that does not answer, keeps nobody waiting.
        void worker.terminate();
        return;
    }
  });
  worker.on("error", fail);
  worker.on("exit", (code) => {
    ended.resolve();
    if (!hasClosed) {
      fail(new Error(`a serving thread ended with code ${code}`));
    }
  });

  function order(message: ServingThreadOrder): void {
    worker.postMessage(message);
  }

  let addresses: ServedAddresses;
  try {
    addresses = await ready.promise;
  } catch (error) {
    await worker.terminate();
    throw error;
  }
  return {
    addresses,
    async readings() {
      if (state !== "running") {
        return null;
      }
      const { promise, resolve } = Promise.withResolvers<ServingReadings | null>();
      waiting.push(resolve);
      order({ kind: "read" });
      return promise;
    },
    replaceTls: (tls) => order({ kind: "replace-tls", tls }),
    async [Symbol.asyncDispose]() {
      if (state === "running") {
        state = "closing";
        giveUpWaiting();
        order({ kind: "close" });
        await ended.promise;
        if (closingFailure !== null) {
          throw new Error("a serving thread did not end in good order", { cause: closingFailure });
        }
      }
    },
  };
}
