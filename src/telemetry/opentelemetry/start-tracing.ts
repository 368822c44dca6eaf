import { readFileSync } from "node:fs";
import {
  type Context,
  createTraceState,
  type HrTime,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AlwaysOnSampler, BatchSpanProcessor, type SpanExporter, TracerProvider } from "@opentelemetry/sdk-trace";
import type { Clock } from "../../authority/clock.ts";
import type { FinishedCall } from "../../calls/finished-call.ts";
import { managementRpcs } from "../../calls/rpcs.ts";
import type { Log } from "../../machine/log.ts";
import { type Allowance, createSampler } from "../../machine/sampler.ts";
import { StartError } from "../../machine/start-error.ts";
import { spanOfCall } from "./span-of-call.ts";
import { parseTraceParent, type TraceParent } from "./trace-parent.ts";
import { createTraceSampler } from "./trace-sampler.ts";
import type { TracingSettings } from "./tracing-settings.ts";

/**
 * Makes spans of calls, and sends them in batches. Disposed, it sends what is left, and waits a second for it at most.
 */
export type Tracing = AsyncDisposable & {
  /**
   * Makes a span of a call that ended just now, and returns its ids; null when the call is not traced. Never throws,
   * never waits.
   */
  record(call: FinishedCall): { readonly traceId: string; readonly spanId: string } | null;
};

const maxFlushMs = 1000;
const complaints: Allowance = { lines: 1, everyMs: 60_000 };
// What W3C Trace Context, 3.3.1.5 asks to pass on at the least.
const maxTraceStateLength = 512;
// A caller may send anything in it: what may be a key is not passed on.
const mayHoldKey = /[spr]k_(live|test)_/;

/**
 * Starts tracing for one thread. A collector that is away is no reason not to: it costs spans, and a log line now and
 * then.
 */
export function startTracing(settings: TracingSettings, parts: { readonly clock: Clock; readonly log: Log }): Tracing {
  const { clock, log } = parts;
  const { delayMs, exportTimeoutMs, maxQueueSize, maxBatchSize } = settings.batch;
  const processor = new BatchSpanProcessor({
    exporter: telling(createExporter(settings), log),
    scheduledDelayMillis: delayMs,
    exportTimeoutMillis: exportTimeoutMs,
    maxQueueSize,
    maxExportBatchSize: maxBatchSize,
  });
  const provider = new TracerProvider({
    resource: resourceFromAttributes(settings.resource),
    // Which calls are traced is decided before a span is made of them.
    sampler: new AlwaysOnSampler(),
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer("casapay-token-authority");
  const isSampled = createTraceSampler(settings.sampling);

  return {
    record(call) {
      const parent = call.trace === null ? null : parseTraceParent(call.trace.traceparent);
      const isCaller = call.role !== null;
      if (!(isCaller && managementRpcs.has(call.rpc)) && !isSampled(parent, isCaller)) {
        return null;
      }
      const { name, attributes, status } = spanOfCall(call);
      const endMs = clock();
      const startTime = toHrTime(endMs - call.durationMs);
      const context = parent === null ? ROOT_CONTEXT : contextOf(parent, call.trace?.tracestate ?? null);
      const span = tracer.startSpan(name, { kind: SpanKind.SERVER, attributes, startTime }, context);
      span.setStatus({ code: status });
      span.end(toHrTime(endMs));
      return span.spanContext();
    },
    async [Symbol.asyncDispose]() {
      const { promise: late, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, maxFlushMs);
      // What could not be sent has been told of.
      const sent = provider.shutdown().catch(() => {});
      await Promise.race([sent, late]);
      clearTimeout(timer);
    },
  };
}

function createExporter({ url, headers, timeoutMs, tlsFiles }: TracingSettings): SpanExporter {
  return new OTLPTraceExporter({
    url,
    headers: { ...headers },
    timeoutMillis: timeoutMs,
    httpAgentOptions: { keepAlive: true, ...readTlsFiles(tlsFiles) },
  });
}

function readTlsFiles({ ca, certificate, key }: TracingSettings["tlsFiles"]) {
  return {
    ...(ca === null ? {} : { ca: read("CERTIFICATE", ca) }),
    ...(certificate === null ? {} : { cert: read("CLIENT_CERTIFICATE", certificate) }),
    ...(key === null ? {} : { key: read("CLIENT_KEY", key) }),
  };
}

function read(name: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new StartError(`OTEL_EXPORTER_OTLP_${name}: the file cannot be read`, { cause: error });
  }
}

/** The same exporter, whose failures are told to the log, once a minute. The SDK would say nothing of them. */
function telling(exporter: SpanExporter, log: Log): SpanExporter {
  const sample = createSampler();
  let lost = 0;
  return {
    export(spans, report) {
      exporter.export(spans, (result) => {
        if (result.error !== undefined) {
          lost += spans.length;
          if (sample("lost", complaints) !== null) {
            // Not its message: it repeats what the collector answered, which may be anything.
            log.warn({ error: result.error.name, spans: lost }, "spans could not be sent");
            lost = 0;
          }
        }
        report(result);
      });
    },
    forceFlush: async () => await exporter.forceFlush?.(),
    shutdown: () => exporter.shutdown(),
  };
}

function contextOf({ traceId, spanId, isSampled }: TraceParent, tracestate: string | null): Context {
  const isPassedOn = tracestate !== null && tracestate.length <= maxTraceStateLength && !mayHoldKey.test(tracestate);
  const parent: SpanContext = {
    traceId,
    spanId,
    traceFlags: isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
    ...(isPassedOn ? { traceState: createTraceState(tracestate) } : {}),
  };
  return trace.setSpanContext(ROOT_CONTEXT, parent);
}

/** Seconds and nanoseconds: a number of milliseconds would be taken for one of another clock when it is small. */
function toHrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}
