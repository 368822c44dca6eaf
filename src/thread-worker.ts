import type { TimeSeen } from "./authority/clock.ts";
import type { TlsSet } from "./calls/tls-set.ts";
import type { Config, RestConfig } from "./config.ts";
import { type Owner, runAsWorker, type Work } from "./machine/run-as-worker.ts";
import { openServingStore, type ServingStoreSeed } from "./stores/sqlite/serving/serving-store.ts";
import { type ServedAddresses, type ServingReadings, startServing } from "./thread.ts";
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

export type ServingThreadOrder = { readonly kind: "read" } | { readonly kind: "replace-tls"; readonly tls: TlsSet };

/** Readings for `read`, and null for what needs no answer. */
export type ServingThreadAnswer = ServingReadings | null;

async function start(
  { store: seed, ...data }: ServingThreadData,
  { log }: Owner,
): Promise<Work<ServedAddresses, ServingThreadOrder, ServingThreadAnswer>> {
  const store = openServingStore(seed);
  const serving = await startServing({ ...data, console: null, store, clock: Date.now, log });
  return {
    ready: serving.addresses,
    perform(order) {
      switch (order.kind) {
        case "read":
          return serving.readings();
        case "replace-tls":
          serving.replaceTls(order.tls);
          return null;
      }
    },
    async close() {
      await serving[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

await runAsWorker(start);
