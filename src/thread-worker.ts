import { type Owner, runAsWorker, type Work } from "./machine/run-as-worker.ts";
import { openServingStore } from "./stores/sqlite/serving/serving-store.ts";
import { startThread, type ThreadAddresses, type ThreadAnswer, type ThreadOrder, type ThreadSeed } from "./thread.ts";

async function start(
  { config, tls, store: seed, timeSeen, sealingSecret }: ThreadSeed,
  { log }: Owner,
): Promise<Work<ThreadAddresses, ThreadOrder, ThreadAnswer>> {
  const store = openServingStore(seed);
  const thread = await startThread({
    config,
    tls,
    console: null,
    store,
    clock: Date.now,
    timeSeen,
    sealingSecret,
    log,
  });
  return {
    ready: thread.addresses,
    perform(order) {
      switch (order.kind) {
        case "read":
          return thread.readings();
        case "replace-tls":
          thread.replaceTls(order.tls);
          return null;
      }
    },
    async close() {
      await thread[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    },
  };
}

await runAsWorker(start);
