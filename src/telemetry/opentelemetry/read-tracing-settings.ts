import { oneOf, type SettingKind, wholeNumber } from "../../machine/setting-kind.ts";
import { StartError } from "../../machine/start-error.ts";
import type { Sampling, TracingSettings } from "./tracing-settings.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const defaultEndpoint = "http://localhost:4318";
const defaultServiceName = "token-authority";
// The share of calls that decide on a key, where neither their callers nor OTEL_TRACES_SAMPLER say which to record.
const defaultRatio = 0.001;
const namePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads OpenTelemetry's standard variables, as far as they are about traces. Null when calls are not traced: unless an
 * endpoint is set, or OTEL_TRACES_EXPORTER is otlp. Throws a StartError that names the variable, never its value: one
 * may hold a credential. `version` is the service's.
 */
export function readTracingSettings(env: Environment, version: string): TracingSettings | null {
  if (!isOn(env)) {
    return null;
  }
  const sampling = readSampling(env);
  if (sampling === null) {
    return null;
  }
  read(env, exporterName(env, "PROTOCOL"), oneOf(["http/protobuf"]));
  read(env, exporterName(env, "COMPRESSION"), oneOf(["none"]));
  for (const one of (env.OTEL_PROPAGATORS || "tracecontext").split(",")) {
    if (!["tracecontext", "baggage"].includes(one.trim())) {
      throw new StartError("OTEL_PROPAGATORS: must be tracecontext, or tracecontext,baggage: baggage is not looked at");
    }
  }
  return {
    url: readUrl(env),
    headers: {
      ...headersOf(env, "OTEL_EXPORTER_OTLP_HEADERS"),
      ...headersOf(env, "OTEL_EXPORTER_OTLP_TRACES_HEADERS"),
    },
    timeoutMs: read(env, exporterName(env, "TIMEOUT"), wholeNumber(1, 600_000)) ?? 10_000,
    tlsFiles: {
      ca: env[exporterName(env, "CERTIFICATE")] || null,
      certificate: env[exporterName(env, "CLIENT_CERTIFICATE")] || null,
      key: env[exporterName(env, "CLIENT_KEY")] || null,
    },
    resource: {
      "service.name": defaultServiceName,
      "service.version": version,
      ...pairs(env, "OTEL_RESOURCE_ATTRIBUTES"),
      ...(env.OTEL_SERVICE_NAME ? { "service.name": env.OTEL_SERVICE_NAME } : {}),
    },
    sampling,
    batch: readBatch(env),
  };
}

function isOn(env: Environment): boolean {
  if (read(env, "OTEL_SDK_DISABLED", oneOf(["false", "true"])) === "true") {
    return false;
  }
  const hasEndpoint = Boolean(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT);
  switch (read(env, "OTEL_TRACES_EXPORTER", oneOf(["otlp", "none"]))) {
    case null:
      return hasEndpoint;
    case "otlp":
      return true;
    case "none":
      return false;
  }
}

/** The variable for traces where it is set, else the one for all signals. */
function exporterName(env: Environment, suffix: string): string {
  const ofTraces = `OTEL_EXPORTER_OTLP_TRACES_${suffix}`;
  return env[ofTraces] ? ofTraces : `OTEL_EXPORTER_OTLP_${suffix}`;
}

/** The endpoint for traces is taken as it is, the one for all signals gets the path of traces. */
function readUrl(env: Environment): string {
  const name = exporterName(env, "ENDPOINT");
  const text = env[name] || defaultEndpoint;
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new StartError(`${name}: must be an http or https URL`);
  }
  if (name === "OTEL_EXPORTER_OTLP_ENDPOINT") {
    url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/traces`;
  }
  return url.href;
}

function readSampling(env: Environment): Sampling | null {
  const name = "OTEL_TRACES_SAMPLER";
  const ratio = () => readRatio(env, env[name] ? 1 : defaultRatio);
  const samplers = ["always_on", "always_off", "traceidratio"] as const;
  const parentBased = ["parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"] as const;
  switch (read(env, name, oneOf([...samplers, ...parentBased]))) {
    case "always_off":
      return null;
    case "always_on":
      return { isParentBased: false, ratio: 1 };
    case "traceidratio":
      return { isParentBased: false, ratio: ratio() };
    case "parentbased_always_on":
      return { isParentBased: true, ratio: 1 };
    case "parentbased_always_off":
      return { isParentBased: true, ratio: 0 };
    case "parentbased_traceidratio":
    case null:
      return { isParentBased: true, ratio: ratio() };
  }
}

function readRatio(env: Environment, fallback: number): number {
  const text = env.OTEL_TRACES_SAMPLER_ARG || String(fallback);
  const ratio = /^\d*\.?\d+(e-\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new StartError("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1");
  }
  return ratio;
}

function readBatch(env: Environment): TracingSettings["batch"] {
  const maxQueueSize = read(env, "OTEL_BSP_MAX_QUEUE_SIZE", wholeNumber(1, 65_536)) ?? 2048;
  const delay = wholeNumber(1, 600_000);
  return {
    delayMs: read(env, "OTEL_BSP_SCHEDULE_DELAY", delay) ?? 5000,
    exportTimeoutMs: read(env, "OTEL_BSP_EXPORT_TIMEOUT", delay) ?? 30_000,
    maxQueueSize,
    maxBatchSize:
      read(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", wholeNumber(1, maxQueueSize)) ?? Math.min(512, maxQueueSize),
  };
}

/** Null when the variable is not set, or empty. */
function read<T>(env: Environment, name: string, kind: SettingKind<T>): T | null {
  const text = env[name];
  if (!text) {
    return null;
  }
  const value = kind.read(text);
  if (value === null) {
    throw new StartError(`${name}: must be ${kind.words}`);
  }
  return value;
}

function headersOf(env: Environment, name: string): Record<string, string> {
  const headers = pairs(env, name);
  for (const [header, value] of Object.entries(headers)) {
    if (!namePattern.test(header) || !/^[\t\x20-\x7e]*$/.test(value)) {
      throw new StartError(`${name}: must hold names and values of HTTP header fields`);
    }
  }
  return headers;
}

/** `NAME=VALUE,NAME=VALUE`, values percent-encoded where they must. */
function pairs(env: Environment, name: string): Record<string, string> {
  const parts = (env[name] ?? "").split(",").filter((part) => part.trim() !== "");
  return Object.fromEntries(
    parts.map((part) => {
      const at = part.indexOf("=");
      const value = decoded(part.slice(at + 1).trim());
      if (at < 1 || part.slice(0, at).trim() === "" || value === null) {
        throw new StartError(`${name}: must be NAME=VALUE,NAME=VALUE with percent-encoded values`);
      }
      return [part.slice(0, at).trim(), value];
    }),
  );
}

function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
