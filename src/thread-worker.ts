import { type Owner, runAsWorker, type Work } from "./machine/run-as-worker.ts";
import { openServingStore } from "./stores/sqlite/serving/serving-store.ts";
import {
  openNode,
  startThread,
  type ThreadAddresses,
  type ThreadAnswer,
  type ThreadOrder,
  type ThreadSeed,
} from "./thread.ts";

async function start(
  { config, tls, source: seed, timeSeen, sealingSecret }: ThreadSeed,
  { log }: Owner,
): Promise<Work<ThreadAddresses, ThreadOrder, ThreadAnswer>> {
  const source =
    "store" in seed
      ? { store: openServingStore(seed.store) }
      : "node" in seed
        ? { node: await openNode(seed.node, log) }
        : seed;
  const thread = await startThread({
    config,
    tls,
    console: null,
    source,
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
        case "withdraw":
          thread.withdraw();
          return null;
      }
    },
    async close() {
      await thread[Symbol.asyncDispose]();
      if ("store" in source) {
        await source.store[Symbol.asyncDispose]();
      } else if ("node" in source) {
        await source.node[Symbol.asyncDispose]();
      }
    },
  };
}

await runAsWorker(start);
