import { type Clock, createSteadyClock, type TimeSeen } from "./authority/clock.ts";
import { createKeyIndex } from "./authority/key-index.ts";
import { createLastUseRecorder } from "./authority/last-use-recorder.ts";
import { createSealer } from "./authority/sealer.ts";
import { createTokenAuthority } from "./authority/token-authority.ts";
import type { TokenStore } from "./authority/token-store.ts";
import { createCallLog } from "./calls/call-log.ts";
import { createChangeLog } from "./calls/change-log.ts";
import type { FinishedCall } from "./calls/finished-call.ts";
import type { Port } from "./calls/start-port.ts";
import type { TlsSet } from "./calls/tls-set.ts";
import type { PeerReadings } from "./calls/unknown-callers.ts";
import type { Config, RestConfig } from "./config.ts";
import type { Figures } from "./doors/console/figures.ts";
import { createRefusedKeys, type RefusedRow } from "./doors/console/refused-keys.ts";
import type { ServiceState } from "./doors/console/service-state.ts";
import { startRestPort } from "./doors/rest/start-rest-port.ts";
import { preparePrincipal } from "./doors/rpc/lanes/encode-authenticate-response.ts";
import type { Log } from "./machine/log.ts";
import { startInternalPort } from "./rpc-port.ts";
import { startConsolePort } from "./start-console-port.ts";
import type { Tracing } from "./telemetry/opentelemetry/start-tracing.ts";
import type { TracingSettings } from "./telemetry/opentelemetry/tracing-settings.ts";
import { type CallMeasures, createCallMeter } from "./telemetry/prometheus/call-measures.ts";
import { type ByteReadings, createByteBudget } from "./wire/port/byte-budget.ts";
import type { ConnectionCounts } from "./wire/port/connection-registry.ts";
import type { ListenAddress } from "./wire/port/listen-address.ts";
import type { Listener } from "./wire/port/listener.ts";

const flushUsesEveryMs = 5000;

export type ServingOptions = {
  readonly config: Config;
  /** How many threads serve RPCs. */
  readonly rpcThreads: number;
  readonly tls: TlsSet;
  /** Where to serve RPCs; not the configuration's when its port 0 has become a real one. Null in the thread of the REST face. */
  readonly rpc: ListenAddress | null;
  /** The public REST face, which has a thread of its own; null in the others. */
  readonly rest: RestConfig | null;
  /** The operator's page, which one thread serves; null in the others, and where there is none. */
  readonly console: {
    readonly address: ListenAddress;
    readonly figures: Figures;
    readonly readState: () => Promise<ServiceState>;
  } | null;
  readonly store: TokenStore;
  /** The system's time, and the greatest that any thread has seen. */
  readonly clock: Clock;
  readonly timeSeen: TimeSeen;
  /** Null when there is none. */
  readonly sealingSecret: Uint8Array | null;
  readonly log: Log;
};

/** What one thread tells of itself. Can be sent to another thread. */
export type ServingReadings = {
  readonly calls: CallMeasures;
  /** For the operator's page; empty where there is none. */
  readonly refused: readonly RefusedRow[];
  /** Of each port. */
  readonly connections: readonly ConnectionCounts[];
  readonly bytes: ByteReadings;
  /** Of each port, the requests that were refused for their header was too large. */
  readonly largeHeaders: readonly number[];
  readonly clockBehindMs: number;
  /** Null in plaintext. */
  readonly certificateExpiresAtMs: number | null;
  readonly restCertificateExpiresAtMs: number | null;
  /** Of each port with TLS. */
  readonly peers: readonly PeerReadings[];
};

/** Where one thread really listens, as texts; null where it does not. Can be sent to another thread. */
export type ServedAddresses = {
  readonly rpc: { readonly address: ListenAddress; readonly text: string } | null;
  readonly rest: string | null;
  readonly console: string | null;
};

/** One thread that serves. Disposed, it takes no more, lets calls end for a while, and writes down what it noted. */
export type Serving = AsyncDisposable & {
  readonly addresses: ServedAddresses;
  readings(): ServingReadings;
  /** Certificates and callers from now on. */
  replaceTls(tls: TlsSet): void;
};

/** Puts together what one thread serves with, bottom up. */
export async function startServing(options: ServingOptions): Promise<Serving> {
  const { config, store, log } = options;
  await using starting = new AsyncDisposableStack();

  const clock = createSteadyClock(options.clock, options.timeSeen);
  const lastUse = createLastUseRecorder(store, (error, uses) =>
    log.warn({ err: error, uses }, "last uses were not stored"),
  );
  starting.defer(() => lastUse.flush());
  const flushing = setInterval(() => void lastUse.flush(), flushUsesEveryMs);
  starting.defer(() => clearInterval(flushing));
  const authority = createTokenAuthority({
    store,
    keys: createKeyIndex({
      freshness: store.freshness,
      findByDigest: store.findByDigest,
      prepare: preparePrincipal,
      maxBytes: cacheBytesOf(options),
    }),
    clock: clock.now,
    lastUse,
    sealer: options.sealingSecret === null ? null : createSealer(options.sealingSecret),
    maxTokensPerAccount: config.maxTokensPerAccount,
    onChange: createChangeLog(log),
  });

  const meter = createCallMeter();
  const refused = config.console === null ? null : createRefusedKeys(clock.now);
  const logCall = createCallLog(log);
  const tracing = config.tracing === null ? null : starting.use(await loadTracing(config.tracing, clock.now, log));
  const onCall = (call: FinishedCall) => {
    meter.observe(call);
    refused?.observe(call);
    logCall(call, tracing === null ? null : tracing.record(call));
  };
  const shutdown = new AbortController();
  const ports: Port[] = [];
  // Together: each waits for its own calls, as long as the grace lasts.
  starting.defer(async () => {
    await Promise.all(ports.map((port) => port.close(config.shutdownGraceMs)));
  });
  const budget = starting.use(createByteBudget(heldBytesOf(options), log));
  const shared = { budget, authority, clock: clock.now, onCall, isTraced: tracing !== null, log };
  const internal =
    options.rpc === null
      ? null
      : await startInternalPort({
          ...shared,
          config,
          rpcThreads: options.rpcThreads,
          tls: options.tls.rpc,
          address: options.rpc,
          isServing: () => !shutdown.signal.aborted && store.isServing(),
          shutdownSignal: shutdown.signal,
        });
  if (internal !== null) {
    ports.push(internal.listener);
  }
  const rest =
    options.rest === null
      ? null
      : await startRestPort({ ...shared, address: options.rest.listen, tls: options.tls.rest, store });
  if (rest !== null) {
    ports.push(rest.listener);
  }
  const page =
    options.console === null || internal === null
      ? null
      : await startConsolePort({
          ...options.console,
          answerRpc: internal.answerRpc,
          roleOf: internal.roleOf,
          tls: internal.certificates,
          budget,
          log,
        });
  if (page !== null) {
    ports.push(page.listener);
  }
  starting.defer(() => shutdown.abort());

  const started = starting.move();
  return {
    addresses: {
      rpc: internal === null ? null : addressOf(internal.listener),
      rest: rest?.listener.addressText ?? null,
      console: page?.listener.addressText ?? null,
    },
    readings: () => ({
      calls: meter.read(),
      refused: refused?.rows() ?? [],
      bytes: budget.readings(),
      connections: ports.map((one) => one.counts()),
      largeHeaders: ports.map((one) => one.largeHeaders()),
      clockBehindMs: clock.behindMs(),
      certificateExpiresAtMs: internal?.certificates?.expiresAtMs() ?? null,
      restCertificateExpiresAtMs: rest?.certificates?.expiresAtMs() ?? null,
      peers: [internal, rest, page].flatMap((port) => port?.readPeers() ?? []),
    }),
    replaceTls(tls) {
      internal?.replaceTls(tls.rpc);
      if (tls.rest !== null) {
        rest?.certificates?.replace(tls.rest);
      }
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

/** The share of one thread: the public has one half, where it is served. */
function heldBytesOf({ config, rpc, rpcThreads }: ServingOptions): number {
  const { heldBytes } = config.memory;
  const half = config.rest === null ? heldBytes : heldBytes / 2;
  return rpc === null ? half : half / rpcThreads;
}

/** The share of one thread. The REST face, which few keys come to, has an eighth besides. */
function cacheBytesOf({ config, rpc, rpcThreads }: ServingOptions): number {
  const { cacheBytes } = config.memory;
  return rpc === null ? cacheBytes / 8 : cacheBytes / rpcThreads;
}

function addressOf({ address, addressText }: Listener): ServedAddresses["rpc"] {
  return { address, text: addressText };
}

/** OpenTelemetry takes as long to load as much of the rest: who does not trace does not wait for it. */
async function loadTracing(settings: TracingSettings, clock: Clock, log: Log): Promise<Tracing> {
  const { startTracing } = await import("./telemetry/opentelemetry/start-tracing.ts");
  return startTracing(settings, { clock, log });
}
