import { describe, expect, it } from "vitest";
import { readConfig } from "../../src/config.ts";
import { version } from "../../src/version.ts";

function tracing(environment: Readonly<Record<string, string>>) {
  return readConfig(environment).tracing;
}

const on = { OTEL_TRACES_EXPORTER: "otlp" };

describe("the configuration of tracing", () => {
  it.each([
    {},
    { OTEL_TRACES_EXPORTER: "none", OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" },
    { OTEL_SDK_DISABLED: "true", OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", OTEL_TRACES_SAMPLER: "unknown" },
    { OTEL_TRACES_EXPORTER: "otlp", OTEL_TRACES_SAMPLER: "always_off" },
    // For other signals, or empty: as good as not set.
    { OTEL_EXPORTER_OTLP_PROTOCOL: "grpc", OTEL_SERVICE_NAME: "authority", OTEL_EXPORTER_OTLP_ENDPOINT: "" },
    { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: "http://collector:4318/v1/metrics" },
  ])("is off with %j", (environment) => {
    expect(tracing(environment)).toBeNull();
  });

  it("has the defaults of the standard, and samples one call in a thousand", () => {
    expect(tracing(on)).toEqual({
      url: "http://localhost:4318/v1/traces",
      headers: {},
      timeoutMs: 10_000,
      tlsFiles: { ca: null, certificate: null, key: null },
      resource: { "service.name": "token-authority", "service.version": version },
      sampling: { isParentBased: true, ratio: 0.001 },
      batch: { delayMs: 5000, exportTimeoutMs: 30_000, maxQueueSize: 2048, maxBatchSize: 512 },
    });
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318" }, "http://collector:4318/v1/traces"],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: "https://collector/otlp/" }, "https://collector/otlp/v1/traces"],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://collector:4318" }, "http://collector:4318/"],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT: "http://one:4318", OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "http://two/traces" },
      "http://two/traces",
    ],
  ])("sends spans with %j to %s", (environment, url) => {
    expect(tracing(environment)?.url).toBe(url);
  });

  it.each([
    [{ OTEL_TRACES_SAMPLER: "always_on" }, { isParentBased: false, ratio: 1 }],
    [
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: ".25" },
      { isParentBased: false, ratio: 0.25 },
    ],
    [{ OTEL_TRACES_SAMPLER: "traceidratio" }, { isParentBased: false, ratio: 1 }],
    [{ OTEL_TRACES_SAMPLER: "parentbased_always_on" }, { isParentBased: true, ratio: 1 }],
    [{ OTEL_TRACES_SAMPLER: "parentbased_always_off" }, { isParentBased: true, ratio: 0 }],
    [{ OTEL_TRACES_SAMPLER: "parentbased_traceidratio" }, { isParentBased: true, ratio: 1 }],
    [{ OTEL_TRACES_SAMPLER_ARG: "1e-5" }, { isParentBased: true, ratio: 0.00001 }],
  ])("samples with %j as the standard says", (environment, sampling) => {
    expect(tracing({ ...on, ...environment })?.sampling).toEqual(sampling);
  });

  it.each([
    ["OTEL_SDK_DISABLED", "maybe"],
    ["OTEL_TRACES_EXPORTER", "zipkin"],
    ["OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"],
    ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"],
    ["OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"],
    ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "not a URL"],
    ["OTEL_EXPORTER_OTLP_TIMEOUT", "0"],
    ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "10s"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "authorization"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "authorization=%zz"],
    ["OTEL_EXPORTER_OTLP_HEADERS", "bad name=1"],
    ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "name=line%0abreak"],
    ["OTEL_RESOURCE_ATTRIBUTES", "=1"],
    ["OTEL_PROPAGATORS", "b3"],
    ["OTEL_TRACES_SAMPLER", "jaeger_remote"],
    ["OTEL_TRACES_SAMPLER_ARG", "2"],
    ["OTEL_TRACES_SAMPLER_ARG", "half"],
    ["OTEL_BSP_SCHEDULE_DELAY", "-1"],
    ["OTEL_BSP_EXPORT_TIMEOUT", "1.5"],
    ["OTEL_BSP_MAX_QUEUE_SIZE", "1000000"],
    ["OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"],
  ])("refuses %s=%s by its name, and does not repeat what may be a credential", (name, value) => {
    expect(() => tracing({ ...on, [name]: value })).toThrow(new RegExp(`^${name}: `));
    if (name.endsWith("HEADERS")) {
      expect(() => tracing({ ...on, [name]: value })).not.toThrow(value);
    }
  });
});
