import { StartError } from "./machine/start-error.ts";
import type { Sampling, TracingSettings } from "./telemetry/opentelemetry/tracing-settings.ts";
import { version } from "./version.ts";

type Environment = Readonly<Record<string, string | undefined>>;

const defaultEndpoint = "http://localhost:4318";
const defaultServiceName = "token-authority";
// Of the calls that decide on a key, where neither their callers nor OTEL_TRACES_SAMPLER say which.
const defaultRatio = 0.001;
const namePattern = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/**
 * Reads OpenTelemetry's standard variables, as far as they are about traces. Null when calls are not traced: unless an endpoint is
 * set, or OTEL_TRACES_EXPORTER is otlp. Throws a StartError that names the variable, never its value: one may hold a credential.
 */
export function readTracingSettings(env: Environment): TracingSettings | null {
  if (!isOn(env)) {
    return null;
  }
  const sampling = readSampling(env);
  if (sampling === null) {
    return null;
  }
  oneOf(env, exporterName(env, "PROTOCOL"), ["http/protobuf"]);
  oneOf(env, exporterName(env, "COMPRESSION"), ["none"]);
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
    timeoutMs: integer(env, exporterName(env, "TIMEOUT"), { fallback: 10_000, max: 600_000 }),
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
  if (oneOf(env, "OTEL_SDK_DISABLED", ["false", "true"]) === "true") {
    return false;
  }
  const hasEndpoint = Boolean(env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT);
  switch (oneOf(env, "OTEL_TRACES_EXPORTER", ["otlp", "none"])) {
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
  switch (oneOf(env, name, [...samplers, ...parentBased])) {
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
  const maxQueueSize = integer(env, "OTEL_BSP_MAX_QUEUE_SIZE", { fallback: 2048, max: 65_536 });
  return {
    delayMs: integer(env, "OTEL_BSP_SCHEDULE_DELAY", { fallback: 5000, max: 600_000 }),
    exportTimeoutMs: integer(env, "OTEL_BSP_EXPORT_TIMEOUT", { fallback: 30_000, max: 600_000 }),
    maxQueueSize,
    maxBatchSize: integer(env, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", {
      fallback: Math.min(512, maxQueueSize),
      max: maxQueueSize,
    }),
  };
}

function integer(
  env: Environment,
  name: string,
  { fallback, max }: { readonly fallback: number; readonly max: number },
) {
  const text = env[name] || String(fallback);
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= 1 && value <= max)) {
    throw new StartError(`${name}: must be a whole number from 1 to ${max}`);
  }
  return value;
}

/** Null when the variable is not set, or empty. */
function oneOf<T extends string>(env: Environment, name: string, values: readonly T[]): T | null {
  const text = env[name];
  if (!text) {
    return null;
  }
  const value = values.find((one) => one === text);
  if (value === undefined) {
    throw new StartError(
      `${name}: ${values.length === 1 ? "only" : "must be one of"} ${values.join(", ")}${values.length === 1 ? " is supported" : ""}`,
    );
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
