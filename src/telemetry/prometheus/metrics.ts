import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { addMeasures, bucketsMs, type CallMeasures, type DurationMeasure } from "./call-measures.ts";

/** What a metric reads when the metrics are asked for: one number, or several that labels tell apart. */
export type GaugeSource = {
  readonly help: string;
  /** Default: `gauge`. What a counter reads never falls. */
  readonly type?: "gauge" | "counter";
  /** Default: none. */
  readonly labelNames?: readonly string[];
  readonly read: () => number | readonly LabelledReading[];
};

export type LabelledReading = { readonly labels: Readonly<Record<string, string>>; readonly value: number };

export type Metrics = {
  /** The metrics in the Prometheus text format (version 0.0.4). `measures` are those of each thread. */
  expose(measures: readonly CallMeasures[]): Promise<{ readonly contentType: string; readonly text: string }>;
};

/** Names follow OpenTelemetry's stable RPC conventions, in Prometheus' spelling; ours start with token_authority_. */
export function createMetrics(gauges: Readonly<Record<string, GaugeSource>>): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const refusals = new Counter({
    name: "token_authority_refusals_total",
    help: "Keys that were refused, by reason.",
    labelNames: ["reason"] as const,
    registers: [registry],
  });
  for (const [name, { help, type = "gauge", labelNames = [], read }] of Object.entries(gauges)) {
    const Metric = type === "gauge" ? Gauge : Counter;
    new Metric({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset();
        const value = read();
        for (const one of typeof value === "number" ? [{ labels: {}, value }] : value) {
          this.inc(one.labels, one.value);
        }
      },
    });
  }

  return {
    async expose(measures) {
      const total = addMeasures(measures);
      refusals.reset();
      for (const [reason, count] of total.refusals) {
        refusals.inc({ reason }, count);
      }
      const text = `${await registry.metrics()}\n${exposeDurations(total.durations)}`;
      return { contentType: registry.contentType, text };
    },
  };
}

// By hand: prom-client's histogram cannot take over counts, and would cost the hot path more than a decision does.
function exposeDurations(durations: readonly DurationMeasure[]): string {
  const name = "rpc_server_call_duration_seconds";
  const lines = durations.flatMap(({ rpc, system, code, counts, sumMs }) => {
    const labels = `rpc_system_name="${system}",rpc_method="${rpc}",rpc_response_status_code="${code}"`;
    let total = 0;
    const buckets = counts.map((count, at) => {
      total += count;
      const bound = bucketsMs[at];
      return `${name}_bucket{le="${bound === undefined ? "+Inf" : bound / 1000}",${labels}} ${total}`;
    });
    return [...buckets, `${name}_sum{${labels}} ${sumMs / 1000}`, `${name}_count{${labels}} ${total}`];
  });
  return [
    `# HELP ${name} How long calls took (rpc.server.call.duration).`,
    `# TYPE ${name} histogram`,
    ...lines,
    "",
  ].join("\n");
}
