import type { TlsSet } from "./calls/tls-set.ts";
import type { Log } from "./machine/log.ts";
import { startWorker } from "./machine/start-worker.ts";
import type { ServedAddresses, ServingReadings } from "./thread.ts";
import type { ServingThreadAnswer, ServingThreadData, ServingThreadOrder } from "./thread-worker.ts";

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
  const worker = await startWorker<ServingThreadData, ServedAddresses, ServingThreadOrder, ServingThreadAnswer>({
    module: new URL("./thread-worker.ts", import.meta.url),
    name: "serving",
    data,
    transfer: [data.store.port],
    log,
  });
  void worker.failed.then(onDeath);
  return {
    addresses: worker.ready,
    readings: () => worker.order({ kind: "read" }),
    replaceTls: (tls) => void worker.order({ kind: "replace-tls", tls }),
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}
