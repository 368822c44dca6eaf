import { setImmediate as nextTurn } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import type { TimeSeen } from "./authority/clock.ts";
import type { Config, RestConfig } from "./config.ts";
import { type Failure, toFailure } from "./machine/failure.ts";
import { StartError } from "./machine/start-error.ts";
import { createThreadLog, type LogReport } from "./machine/thread-log.ts";
import { type ServedAddresses, type ServingReadings, startServing } from "./serving.ts";
import { openServingStore, type ServingStoreSeed } from "./stores/sqlite/serving/serving-store.ts";
import type { TlsSet } from "./tls-set.ts";
import type { ListenAddress } from "./wire/port/listen-address.ts";

export type ServingThreadData = {
  readonly config: Config;
  readonly rpcThreads: number;
  readonly tls: TlsSet;
  readonly rpc: ListenAddress | null;
  readonly rest: RestConfig | null;
  readonly store: ServingStoreSeed;
  readonly timeSeen: TimeSeen;
  readonly sealingSecret: Uint8Array | null;
};

/** From the thread that owns this one. */
export type ServingThreadOrder =
  | { readonly kind: "read" | "close" }
  | { readonly kind: "replace-tls"; readonly tls: TlsSet };

/** To the thread that owns this one. */
export type ServingThreadReport =
  | { readonly kind: "ready"; readonly addresses: ServedAddresses }
  | { readonly kind: "closed" }
  | { readonly kind: "readings"; readonly readings: ServingReadings }
  | { readonly kind: "refused"; readonly failure: Failure }
  | LogReport;

function report(message: ServingThreadReport): void {
  parentPort?.postMessage(message);
}

const log = createThreadLog(report);

async function serve({ store: seed, ...data }: ServingThreadData): Promise<void> {
  const store = openServingStore(seed);
  const serving = await startServing({ ...data, console: null, store, clock: Date.now, log });

  async function close(): Promise<void> {
    await serving[Symbol.asyncDispose]();
    await store[Symbol.asyncDispose]();
    // Calls that were cut end in this turn, and what they log would find the port closed.
    await nextTurn();
    report({ kind: "closed" });
    parentPort?.close();
  }

  parentPort?.on("message", (order: ServingThreadOrder) => {
    switch (order.kind) {
      case "replace-tls":
        serving.replaceTls(order.tls);
        return;
      case "read":
        report({ kind: "readings", readings: serving.readings() });
        return;
      case "close":
        void close();
        return;
    }
  });
  report({ kind: "ready", addresses: serving.addresses });
}

try {
  await serve(workerData);
} catch (error) {
  if (!(error instanceof StartError)) {
    throw error;
  }
  // Thrown, it would cross to the other thread as an Error like any other.
  report({ kind: "refused", failure: toFailure(error) });
}
