import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What the metrics need to know of an RPC that has ended. */
export type MeasuredCall = {
  /** The full name: service/method. */
  readonly rpc: string;
  /** The gRPC status code by name, such as OK or NOT_FOUND. */
  readonly code: string;
  readonly durationMs: number;
  /** Why a key was refused, or null. */
  readonly refusal: string | null;
};

/** A reading that is taken when the metrics are asked for. */
export type GaugeSource = {
  readonly help: string;
  readonly read: () => number;
};

export type Metrics = {
  /** Counts a call that has ended. Hot path. */
  observeCall(call: MeasuredCall): void;
  /** The metrics in the Prometheus text format. */
  expose(): Promise<{ readonly contentType: string; readonly text: string }>;
};

// From a hot Authenticate to a Create behind a slow disk.
const secondsBuckets = [
  0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];

/** Names follow OpenTelemetry's stable RPC conventions, in Prometheus' spelling; ours start with token_authority_. */
export function createMetrics(gauges: Readonly<Record<string, GaugeSource>>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const duration = new Histogram({
    name: "rpc_server_call_duration_seconds",
    help: "How long calls took (rpc.server.call.duration).",
    labelNames: ["rpc_system_name", "rpc_method", "rpc_response_status_code"] as const,
    buckets: secondsBuckets,
    registers,
  });
  const refusals = new Counter({
    name: "token_authority_refusals_total",
    help: "Keys that were refused, by reason.",
    labelNames: ["reason"] as const,
    registers,
  });
  for (const [name, source] of Object.entries(gauges)) {
    new Gauge({
      name,
      help: source.help,
      registers,
      collect() {
        this.set(source.read());
      },
    });
  }

  return {
    observeCall({ rpc, code, durationMs, refusal }) {
      duration.observe({ rpc_system_name: "grpc", rpc_method: rpc, rpc_response_status_code: code }, durationMs / 1000);
      if (refusal !== null) {
        refusals.inc({ reason: refusal });
      }
    },
    async expose() {
      return { contentType: registry.contentType, text: await registry.metrics() };
    },
  };
}
