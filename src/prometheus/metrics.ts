import { Counter, collectDefaultMetrics, Gauge, Registry } from "prom-client";
import { addMeasures, bucketsMs, type CallMeasures, type DurationMeasure } from "./call-measures.ts";

/** A reading that is taken when the metrics are asked for. */
export type GaugeSource = {
  readonly help: string;
  readonly read: () => number;
};

/** Several readings of one metric, which their labels tell apart. */
export type LabelledSource = {
  readonly kind: "gauge" | "counter";
  readonly help: string;
  readonly labelNames: readonly string[];
  readonly readAll: () => readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
};

export type Metrics = {
  /** The metrics in the Prometheus text format (version 0.0.4). `measures` are those of each thread. */
  expose(measures: readonly CallMeasures[]): Promise<{ readonly contentType: string; readonly text: string }>;
};

/** Names follow OpenTelemetry's stable RPC conventions, in Prometheus' spelling; ours start with token_authority_. */
export function createMetrics(
  gauges: Readonly<Record<string, GaugeSource>>,
  labelled: Readonly<Record<string, LabelledSource>> = {},
): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const refusals = new Counter({
    name: "token_authority_refusals_total",
    help: "Keys that were refused, by reason.",
    labelNames: ["reason"] as const,
    registers: [registry],
  });
  for (const [name, source] of Object.entries(gauges)) {
    new Gauge({
      name,
      help: source.help,
      registers: [registry],
      collect() {
        this.set(source.read());
      },
    });
  }
  for (const [name, { kind, help, labelNames, readAll }] of Object.entries(labelled)) {
    const Metric = kind === "gauge" ? Gauge : Counter;
    new Metric({
      name,
      help,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of readAll()) {
          this.inc(labels, value);
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
