import { type Clock, createSteadyClock, type TimeSeen } from "./authority/clock.ts";
import { createKeyIndex } from "./authority/key-index.ts";
import { createLastUseRecorder, type LastUseRecorder } from "./authority/last-use-recorder.ts";
import { createSealer } from "./authority/sealer.ts";
import { createTokenAuthority, type HolderReadings, type TokenAuthority } from "./authority/token-authority.ts";
import type { TokenStore } from "./authority/token-store.ts";
import { createCallLog } from "./calls/call-log.ts";
import { createChangeLog } from "./calls/change-log.ts";
import { createFaultLog } from "./calls/fault-log.ts";
import type { FinishedCall } from "./calls/finished-call.ts";
import { createHolderLog } from "./calls/holder-log.ts";
import type { PortName } from "./calls/port/caller-watch.ts";
import type { Port, PortReadings } from "./calls/port/start-port.ts";
import type { TlsSet } from "./calls/port/tls-set.ts";
import type { Config } from "./config.ts";
import type { Figures } from "./doors/console/figures.ts";
import { createRefusedKeys, type RefusedRow } from "./doors/console/refused-keys.ts";
import type { ServiceState } from "./doors/console/service-state.ts";
import { startConsolePort } from "./doors/console/start-console-port.ts";
import { startRestPort } from "./doors/rest/start-rest-port.ts";
import type { Log } from "./machine/log.ts";
import { startWorker } from "./machine/start-worker.ts";
import { type RpcShare, shareOfRpc, startRpcPort } from "./rpc-port.ts";
import type { DatabaseSettings } from "./stores/postgres/database-url.ts";
import { openPostgresTokenStore, type PostgresTokenStore } from "./stores/postgres/open-postgres-token-store.ts";
import type { NodeReadings } from "./stores/postgres/serving/node.ts";
import type { ServingStoreSeed } from "./stores/sqlite/serving/serving-store.ts";
import { createEdgeAuthority } from "./stores/upstream/edge-authority.ts";
import { openUpstream, type UpstreamReadings, type UpstreamSettings } from "./stores/upstream/upstream.ts";
import type { Tracing } from "./telemetry/opentelemetry/start-tracing.ts";
import type { TracingSettings } from "./telemetry/opentelemetry/tracing-settings.ts";
import { bucketsMs, type CallMeasures, createCallMeter } from "./telemetry/prometheus/call-measures.ts";
import { type ByteReadings, createByteBudget } from "./wire/port/byte-budget.ts";
import type { ListenAddress } from "./wire/port/listen-address.ts";

const flushUsesEveryMs = 5000;
/** A node that ends serves on for this part of its grace: by default 2 s, in which a health check a second sees it. */
const lameDuckPart = 5;
/** The clocks of two nodes that serve are no further apart. A change with a later time was made by a wrong clock. */
const maxAheadMs = 10_000;

/** What one thread has of the configuration. Can be sent to another thread. */
export type ThreadConfig = {
  /** Null in the thread of the REST API. */
  readonly rpc: RpcShare | null;
  /** Where to serve the public REST API, which has a thread of its own; null in the others. */
  readonly rest: ListenAddress | null;
  readonly maxTokensPerAccount: number;
  readonly maxLifetimeDays: number | null;
  /** For the keys that are kept. */
  readonly cacheBytes: number;
  /** What its connections may hold. */
  readonly heldBytes: number;
  /** How long calls may go on once the thread ends. */
  readonly shutdownGraceMs: number;
  /** Whether refused keys are noted, for the console. */
  readonly notesRefusedKeys: boolean;
  /** Null when calls are not traced. */
  readonly tracing: TracingSettings | null;
};

/** What a thread serves, and where. */
export type Places = { readonly rpc: ListenAddress | null; readonly rest: ListenAddress | null };

/** The share of a thread that serves there, where so many threads serve RPCs. */
export function threadConfig(config: Config, { rpc, rest }: Places, rpcThreads: number): ThreadConfig {
  const { cacheBytes, heldBytes } = config.memory;
  // The public has one half, where it is served.
  const halfHeldBytes = config.rest === null ? heldBytes : heldBytes / 2;
  return {
    rpc: rpc === null ? null : shareOfRpc(config.rpc, rpc, rpcThreads),
    rest,
    maxTokensPerAccount: config.maxTokensPerAccount,
    maxLifetimeDays: config.maxLifetimeDays,
    // The REST API, which few keys come to, has an eighth besides.
    cacheBytes: rpc === null ? cacheBytes / 8 : cacheBytes / rpcThreads,
    heldBytes: rpc === null ? halfHeldBytes : halfHeldBytes / rpcThreads,
    shutdownGraceMs: config.shutdownGraceMs - lameDuckMs(config),
    notesRefusedKeys: config.console !== null,
    tracing: config.tracing,
  };
}

/**
 * For how long a process that has served goes on once it ends. Other nodes serve what it does: whoever balances hears
 * meanwhile that it ends, and asks it no more.
 */
export function lameDuckMs({ database, shutdownGraceMs }: Pick<Config, "database" | "shutdownGraceMs">): number {
  return database === null ? 0 : shutdownGraceMs / lameDuckPart;
}

/**
 * What a process decides by: a store of its own, a database that other machines serve too, each thread as a node of it,
 * or at an edge an authority that it asks.
 */
export type Source<Store, Node> =
  | { readonly store: Store }
  | { readonly node: Node }
  | { readonly upstream: UpstreamSettings };

/** What a thread opens its node with. Can be sent to it. */
export type NodeSeed = {
  readonly settings: DatabaseSettings;
  readonly graceMs: number;
  readonly sealingSecret: Uint8Array;
};

export type ThreadOptions = {
  readonly config: ThreadConfig;
  readonly tls: TlsSet;
  /** The console, which one thread serves; null in the others, and where there is none. */
  readonly console: {
    readonly address: ListenAddress;
    readonly figures: Figures;
    readonly readState: () => Promise<ServiceState>;
  } | null;
  readonly source: Source<TokenStore, PostgresTokenStore>;
  /** The system's time, and the greatest that any thread has seen. */
  readonly clock: Clock;
  readonly timeSeen: TimeSeen;
  /** Null when there is none. */
  readonly sealingSecret: Uint8Array | null;
  readonly log: Log;
};

/** What one thread tells of itself. Can be sent to another thread. */
export type ThreadReadings = {
  readonly calls: CallMeasures;
  /** For the console; empty where there is none. */
  readonly refused: readonly RefusedRow[];
  /** Of each port that the thread has. */
  readonly ports: ReadonlyMap<PortName, PortReadings>;
  readonly bytes: ByteReadings;
  readonly clockBehindMs: number;
  /** Who decide from memory elsewhere. */
  readonly holders: HolderReadings;
  /** Null but at an edge. */
  readonly upstream: UpstreamReadings | null;
  /** Null but over a database that other machines serve too. */
  readonly node: NodeReadings | null;
};

/**
 * Where one thread really listens, with the ports that were found for 0; null where it does not. Can be sent to another
 * thread.
 */
export type ThreadAddresses = {
  readonly rpc: ListenAddress | null;
  readonly rest: ListenAddress | null;
  readonly console: ListenAddress | null;
};

/** One thread that serves. Disposed, it takes no more, lets calls end for a while, and writes down what it noted. */
export type Thread = AsyncDisposable & {
  readonly addresses: ThreadAddresses;
  /** Whether a decision can be expected now. */
  canDecide(): boolean;
  readings(): ThreadReadings;
  /** Certificates and callers from now on. */
  replaceTls(tls: TlsSet): void;
  /** Has health checks say that it ends, and serves on. */
  withdraw(): void;
};

/**
 * Puts together what this thread serves with, bottom up: the authority over its view of the store, what hears of calls,
 * the ports.
 */
export async function startThread(options: ThreadOptions): Promise<Thread> {
  const { config, tls, source, log } = options;
  await using starting = new AsyncDisposableStack();

  // What was cut at another node has ended here too, as soon as this one knows of it.
  const newestChangeMs =
    "node" in source ? () => Math.min(source.node.head().atMs, options.clock() + maxAheadMs) : undefined;
  // A lease is held only while this machine's clock has not jumped since the database's was compared with it.
  const isRight = "node" in source ? () => source.node.readings().leaseLeftMs > 0 : undefined;
  const clock = createSteadyClock(options.clock, options.timeSeen, newestChangeMs, isRight);
  const { authority, canDecide, upstreamReadings } =
    "upstream" in source
      ? starting.use(overUpstream(source.upstream, options))
      : starting.use(overStore(storeOf(source), clock.now, options));

  const meter = createCallMeter();
  const refused = config.notesRefusedKeys ? createRefusedKeys(clock.now) : null;
  const logCall = createCallLog(log);
  const tracing = config.tracing === null ? null : starting.use(await loadTracing(config.tracing, clock.now, log));
  const onCall = (call: FinishedCall) => {
    meter.observe(call);
    refused?.observe(call);
    logCall(call, tracing === null ? null : tracing.record(call));
  };

  // One for all ports: each would write its own ten lines a second.
  const reportFault = createFaultLog(log);

  const ports = new Map<PortName, Port>();
  // Together: each waits for its own calls, as long as the grace lasts.
  starting.defer(async () => {
    await Promise.all([...ports.values()].map((port) => port.close(config.shutdownGraceMs)));
  });
  const shutdown = new AbortController();
  let isEnding = false;
  const budget = starting.use(createByteBudget(config.heldBytes, log));
  const rpc =
    config.rpc === null
      ? null
      : await startRpcPort({
          share: config.rpc,
          tls: tls.rpc,
          authority,
          clock: clock.now,
          isServing: () => !isEnding && canDecide(),
          shutdownSignal: shutdown.signal,
          onCall,
          reportFault,
          isTraced: tracing !== null,
          budget,
          log,
        });
  if (rpc !== null) {
    ports.set("rpc", rpc.port);
  }
  const store = "upstream" in source ? null : storeOf(source);
  const rest =
    config.rest === null || store === null
      ? null
      : await startRestPort({
          address: config.rest,
          tls: tls.rest,
          authority,
          store,
          clock: clock.now,
          onCall,
          reportFault,
          isTraced: tracing !== null,
          budget,
          log,
        });
  if (rest !== null) {
    ports.set("rest", rest.port);
  }
  if (options.console !== null && rpc !== null) {
    const { address, figures, readState } = options.console;
    const port = await startConsolePort({
      address,
      tls: rpc.certificates,
      roleOf: rpc.roleOf,
      answerRpc: rpc.answerRpc,
      figures,
      bucketsMs,
      readState,
      budget,
      log,
    });
    ports.set("console", port);
  }
  starting.defer(() => shutdown.abort());
  const withdraw = () => {
    isEnding = true;
  };
  starting.defer(withdraw);

  const started = starting.move();
  return {
    addresses: {
      rpc: rpc?.port.address ?? null,
      rest: rest?.port.address ?? null,
      console: ports.get("console")?.address ?? null,
    },
    canDecide,
    readings: () => ({
      calls: meter.read(),
      refused: refused?.rows() ?? [],
      ports: new Map([...ports].map(([name, port]) => [name, port.readings()])),
      bytes: budget.readings(),
      clockBehindMs: clock.behindMs(),
      holders: authority.holders(),
      upstream: upstreamReadings(),
      node: "node" in source ? source.node.readings() : null,
    }),
    replaceTls(next) {
      rpc?.replaceTls(next.rpc);
      rest?.replaceTls(next.rest);
    },
    withdraw,
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function storeOf(source: Exclude<ThreadOptions["source"], { readonly upstream: UpstreamSettings }>): TokenStore {
  return "node" in source ? source.node : source.store;
}

/** Makes a thread a node of its database. */
export function openNode({ settings, graceMs, sealingSecret }: NodeSeed, log: Log): Promise<PostgresTokenStore> {
  return openPostgresTokenStore(settings, { graceMs, sealingSecret, log });
}

/** What decides, and whether it can now. */
type Deciding = AsyncDisposable & {
  readonly authority: TokenAuthority;
  readonly canDecide: () => boolean;
  readonly upstreamReadings: () => UpstreamReadings | null;
};

/** The authority itself, over this thread's view of the store. */
function overStore(store: TokenStore, clock: Clock, { config, sealingSecret, log }: ThreadOptions): Deciding {
  const lastUse = startLastUse(store, log);
  const authority = createTokenAuthority({
    store,
    keys: createKeyIndex({
      freshness: store.freshness,
      findByDigest: store.findByDigest,
      maxBytes: config.cacheBytes,
    }),
    clock,
    lastUse,
    sealer: sealingSecret === null ? null : createSealer(sealingSecret),
    maxTokensPerAccount: config.maxTokensPerAccount,
    maxLifetimeDays: config.maxLifetimeDays,
    onChange: createChangeLog(log),
    ...createHolderLog(log),
  });
  return {
    authority,
    canDecide: () => store.isServing(),
    upstreamReadings: () => null,
    [Symbol.asyncDispose]: () => lastUse[Symbol.asyncDispose](),
  };
}

/** An edge: a lease of its own, and what it does not know from the authority. */
function overUpstream(settings: UpstreamSettings, { config, log }: ThreadOptions): Deciding {
  const upstream = openUpstream(settings, config.cacheBytes, log);
  return {
    authority: createEdgeAuthority(upstream),
    canDecide: upstream.canDecide,
    upstreamReadings: upstream.readings,
    [Symbol.asyncDispose]: () => upstream[Symbol.asyncDispose](),
  };
}

/** Notes last uses, and stores them now and then, and once more at the end. */
function startLastUse(store: TokenStore, log: Log): LastUseRecorder & AsyncDisposable {
  const lastUse = createLastUseRecorder(store, (error, uses) =>
    log.warn({ err: error, uses }, "last uses were not stored"),
  );
  const flushing = setInterval(() => void lastUse.flush(), flushUsesEveryMs);
  return {
    record: lastUse.record,
    flush: lastUse.flush,
    async [Symbol.asyncDispose]() {
      clearInterval(flushing);
      await lastUse.flush();
    },
  };
}

/** OpenTelemetry takes as long to load as much of the rest: a start without tracing does not wait for it. */
async function loadTracing(settings: TracingSettings, clock: Clock, log: Log): Promise<Tracing> {
  const { startTracing } = await import("./telemetry/opentelemetry/start-tracing.ts");
  return startTracing(settings, { clock, log });
}

/** What a thread of its own is made of. Can be sent to it, with the store's port transferred. */
export type ThreadSeed = Pick<ThreadOptions, "config" | "tls" | "timeSeen" | "sealingSecret"> & {
  readonly source: Source<ServingStoreSeed, NodeSeed>;
};

export type ThreadOrder =
  | { readonly kind: "read" }
  | { readonly kind: "replace-tls"; readonly tls: TlsSet }
  | { readonly kind: "withdraw" };

/** Readings for `read`, and null for what needs no answer. */
export type ThreadAnswer = ThreadReadings | null;

/** A thread beside the one that starts it. Disposed, it ends in good order; the disposal rejects when it does not. */
export type RemoteThread = AsyncDisposable & {
  readonly addresses: ThreadAddresses;
  /** Null once the thread is ending or has ended. */
  readings(): Promise<ThreadReadings | null>;
  replaceTls(tls: TlsSet): void;
  withdraw(): void;
  /** Resolves when it ends without being asked to. */
  readonly failed: Promise<Error>;
};

/** Starts a thread in a worker. Resolves once it listens, rejects when it cannot. */
export async function startRemoteThread(seed: ThreadSeed, log: Log): Promise<RemoteThread> {
  const worker = await startWorker<ThreadSeed, ThreadAddresses, ThreadOrder, ThreadAnswer>({
    module: new URL("./thread-worker.ts", import.meta.url),
    name: "serving",
    data: seed,
    transfer: "store" in seed.source ? [seed.source.store.port] : [],
    log,
  });
  return {
    addresses: worker.ready,
    readings: () => worker.order({ kind: "read" }),
    replaceTls: (tls) => void worker.order({ kind: "replace-tls", tls }),
    withdraw: () => void worker.order({ kind: "withdraw" }),
    failed: worker.failed,
    [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose](),
  };
}
