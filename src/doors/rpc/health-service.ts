import type { ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as ServingStatus } from "#gen/grpc/health/v1/health_pb.ts";
import { statusOf } from "../../calls/status.ts";
import { toConnectError } from "./connect/connect-error.ts";
import { judgeAgain } from "./connect/gate.ts";
import { passageOf } from "./connect/passage.ts";
import { createStreamSlots } from "./connect/stream-slots.ts";

const maxWatchesPerCaller = 100;
const probeIntervalMs = 1000;

export type HealthOptions = {
  /** The full names of the services that are served, apart from "", which means all. */
  readonly serviceNames: readonly string[];
  readonly isServing: () => boolean;
  readonly shutdownSignal: AbortSignal;
};

/** grpc.health.v1. Every service has the same health: they share the store. */
export function createHealthService(options: HealthOptions): ServiceImpl<typeof Health> {
  const { isServing, shutdownSignal } = options;
  const serviceNames = ["", ...options.serviceNames];
  const slots = createStreamSlots(maxWatchesPerCaller);

  function status(): ServingStatus {
    return !shutdownSignal.aborted && isServing() ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  return {
    check({ service }) {
      if (!serviceNames.includes(service)) {
        throw toConnectError(statusOf("SERVICE_NOT_FOUND", "no such service is served here", { field: "service" }));
      }
      return { status: status() };
    },

    list() {
      const now = status();
      return { statuses: Object.fromEntries(serviceNames.map((name) => [name, { status: now }])) };
    },

    async *watch({ service }, { values }) {
      const passage = passageOf(values);
      using _slot = slots.take(passage.call);
      const { signal } = passage.request.giving;
      const isKnown = serviceNames.includes(service);
      let told: ServingStatus | null = null;
      while (true) {
        judgeAgain(passage);
        const now = isKnown ? status() : ServingStatus.SERVICE_UNKNOWN;
        if (now !== told) {
          told = now;
          yield { status: now };
        }
        signal.throwIfAborted();
        if (shutdownSignal.aborted) {
          return;
        }
        await pause(probeIntervalMs, [signal, shutdownSignal]);
      }
    },
  };
}

/** Waits for this long, or until one of the signals aborts. */
function pause(ms: number, signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      for (const signal of signals) {
        signal.removeEventListener("abort", end);
      }
      resolve();
    };
    const timer = setTimeout(end, ms);
    timer.unref();
    for (const signal of signals) {
      signal.addEventListener("abort", end);
    }
  });
}
