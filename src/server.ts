import { existsSync } from "node:fs";
import { hostname, platform } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { type Clock, createTimeSeen, setTimeFloor, type TimeSeen } from "./authority/clock.ts";
import type { TokenStore } from "./authority/token-store.ts";
import { readTlsSet, reloadTlsSet, type TlsSet } from "./calls/port/tls-set.ts";
import { type Config, type DatabaseConfig, listenSettings, type RpcConfig } from "./config.ts";
import { createFigures, sampleEveryMs } from "./doors/console/figures.ts";
import type { Log } from "./machine/log.ts";
import { makeSecretFile, readSecretFile } from "./machine/secret-file.ts";
import { StartError } from "./machine/start-error.ts";
import { countsOf, type GaugedParts, gaugeSources, stateOf } from "./readings.ts";
import { createRequestForgetter } from "./stores/forget-requests.ts";
import { readDatabaseSettings } from "./stores/postgres/database-url.ts";
import { openSqliteTokenStore, type SqliteTokenStoreOptions } from "./stores/sqlite/open-sqlite-token-store.ts";
import type { StorageStats } from "./stores/storage-stats.ts";
import { type AdminListener, type AdminOptions, startAdminListener } from "./telemetry/prometheus/admin-listener.ts";
import { addMeasures, type CallMeasures } from "./telemetry/prometheus/call-measures.ts";
import { createMetrics } from "./telemetry/prometheus/metrics.ts";
import {
  lameDuckMs,
  openNode,
  type Places,
  type RemoteThread,
  startRemoteThread,
  startThread,
  type Thread,
  type ThreadOptions,
  type ThreadReadings,
  type ThreadSeed,
  threadConfig,
} from "./thread.ts";
import { version } from "./version.ts";
import { explainListenError, type ListenSetting } from "./wire/port/explain-listen-error.ts";
import { formatListenAddress, type ListenAddress } from "./wire/port/listen-address.ts";
import { requireFreePort } from "./wire/port/require-free-port.ts";

const maxClockBackMs = 5 * 60 * 1000;
const sealingSecretBytes = 32;
const forgetRequestsEveryMs = 60 * 1000;

export type ServerOptions = {
  /** The system's time, in Unix milliseconds. Threads beyond the first have the real one. */
  readonly clock: Clock;
  /** Of this process: a node without a name of its own is called by it. */
  readonly pid: number;
  readonly log: Log;
  /** How many of its lines were lost since the start. */
  readonly logLinesDropped: () => number;
  /** What of the store is missing and shall be made anew, this once. */
  readonly makeAnew: NonNullable<SqliteTokenStoreOptions["makeAnew"]>;
  /** Called once when the store or a thread has failed: what was under way is unknown, and only a restart can tell. */
  readonly onFatal: (error: unknown) => void;
};

export type Server = AsyncDisposable & {
  /** Where RPCs are served: HOST:PORT or unix:/PATH. */
  readonly address: string;
  /** Where metrics are served, or null. */
  readonly adminAddress: string | null;
  /** Where the public REST API is served, or null. */
  readonly restAddress: string | null;
  /** Where the console is served, or null. */
  readonly consoleAddress: string | null;
  /** Whether nothing was ever changed, so that there is no key yet. */
  readonly isEmpty: boolean;
  /** Reads certificates and callers again. What cannot be used is logged, and the old stays in force. */
  reload(): void;
};

/**
 * Starts everything, bottom up; when a part cannot start, what did is ended again. Disposing ends it all in good order.
 */
export async function startServer(config: Config, options: ServerOptions): Promise<Server> {
  const { log, clock, onFatal } = options;
  const rpcThreads = possibleThreads(config.rpc, log);
  if (options.makeAnew.length > 0 && config.upstream !== null) {
    throw new StartError("an edge has nothing on disk, so that there is nothing to make anew");
  }
  if (options.makeAnew.length > 0 && config.database !== null) {
    throw new StartError("a node has nothing on disk to make anew: npm run migrate -- DATABASE makes the tables");
  }
  await using starting = new AsyncDisposableStack();

  // First, so that a start that must fail leaves nothing behind.
  const served = [
    [listenSettings.rpc, config.rpc.listen],
    [listenSettings.rest, config.rest?.listen ?? null],
  ] as const;
  await requireFreePorts([
    ...served,
    [listenSettings.console, config.console?.listen ?? null],
    [listenSettings.admin, config.admin?.listen ?? null],
  ]);
  const tls = readTlsSet(config, log, clock());
  const timeSeen = createTimeSeen(0);
  const { source, seed, store, stats, sealingSecret } = starting.use(await openSource(config, options, timeSeen));
  if (store !== null) {
    starting.use(every(forgetRequestsEveryMs, createRequestForgetter(store, clock, log)));
  }

  const threads = createThreads();
  // The REST API has a thread of its own: what strangers cost there is not taken from decisions.
  const wantedThreads = rpcThreads + (config.rest === null ? 0 : 1);
  let isEnding = false;
  let canDecide = () => false;
  const isServing = () => !isEnding && threads.count() === wantedThreads && canDecide();

  const admin =
    config.admin === null
      ? null
      : starting.use(
          await startAdmin({
            address: config.admin.listen,
            threads,
            store,
            stats,
            isServing,
            logLinesDropped: options.logLinesDropped,
            hasTls: config.rpc.tls !== null,
            hasRestTls: (config.rest?.tls ?? null) !== null,
            hasUpstreamTls: (config.upstream?.tls ?? null) !== null,
            log,
          }),
        );

  starting.use(threads);
  if (rpcThreads > 1) {
    // Threads share a port, and any other process may join them: another server would take half of the calls and know
    // none of the keys.
    await requireFreePorts(served);
  }
  const figures = createFigures();
  const startedAtMs = performance.now();
  const first = threads.add(
    await startThread({
      config: threadConfig(config, { rpc: config.rpc.listen, rest: null }, rpcThreads),
      tls,
      console:
        config.console === null || store === null
          ? null
          : {
              address: config.console.listen,
              figures,
              readState: async () =>
                stateOf({
                  readings: await threads.readAll(),
                  uptimeMs: performance.now() - startedAtMs,
                  host: hostname(),
                  address: addressText,
                  isServing: isServing(),
                  storage: stats?.() ?? null,
                  minFreeBytes: config.store.minFreeBytes,
                  revision: isServing() ? store.head().revision : 0,
                }),
            },
      source,
      clock,
      timeSeen,
      sealingSecret,
      log,
    }),
  );
  canDecide = first.canDecide;
  const address = first.addresses.rpc ?? config.rpc.listen;
  const addressText = formatListenAddress(address);

  const startRemote = async (places: Places): Promise<RemoteThread> => {
    const share = threadConfig(config, places, rpcThreads);
    const thread = await startRemoteThread({ config: share, tls, source: seed(), timeSeen, sealingSecret }, log);
    void thread.failed.then(onFatal);
    return threads.add(thread);
  };
  while (threads.count() < rpcThreads) {
    await startRemote({ rpc: address, rest: null });
  }
  const rest = config.rest === null ? null : await startRemote({ rpc: null, rest: config.rest.listen });

  if (config.console !== null) {
    const sample = async () => figures.sample(clock(), countsOf(addMeasures(callsOf(await threads.readAll()))));
    await sample();
    starting.use(every(sampleEveryMs, sample));
  }
  if (config.rpc.tls === null) {
    const role = config.rpc.plaintextRole;
    log.warn({ role }, "plaintext: every program on this machine may call with this role");
  }

  const adminAddress = admin?.address ?? null;
  const restAddress = textOf(rest?.addresses.rest ?? null);
  const consoleAddress = textOf(first.addresses.console);
  log.info(
    {
      version,
      threads: rpcThreads,
      maxConnections: config.rpc.maxConnections,
      upstream: config.upstream?.address ?? "none",
      node: "node" in source ? source.node.readings().name : "none",
      console: consoleAddress ?? "off",
      rest: restAddress ?? "off",
      address: addressText,
      admin: adminAddress ?? "off",
    },
    "listening",
  );
  const started = starting.move();
  return {
    address: addressText,
    adminAddress,
    restAddress,
    consoleAddress,
    isEmpty: store?.head().revision === 0,
    reload() {
      // Read once, for all threads: they change together, or not at all.
      reloadTlsSet(config, log, clock(), threads.replaceTls);
    },
    async [Symbol.asyncDispose]() {
      isEnding = true;
      threads.withdraw();
      if (canDecide()) {
        await pause(lameDuckMs(config));
      }
      await started.disposeAsync();
    },
  };
}

/** What the process decides by, opened. Disposed, it is given back. */
type OpenedSource = AsyncDisposable & {
  /** Of the first thread. */
  readonly source: ThreadOptions["source"];
  /** For one more thread. */
  seed(): ThreadSeed["source"];
  /** The first thread's view; null at an edge. */
  readonly store: TokenStore | null;
  /** What is taken of this machine's disk; null where nothing is kept on it. */
  readonly stats: (() => StorageStats) | null;
  /** Null when there is none. */
  readonly sealingSecret: Uint8Array | null;
};

/** Opens what the process decides by, and lets no clock show less than what a store knows to have passed. */
function openSource(config: Config, options: ServerOptions, timeSeen: TimeSeen): Promise<OpenedSource> {
  const { upstream, database } = config;
  if (upstream !== null) {
    const source = { upstream };
    const nothing = { store: null, stats: null, sealingSecret: null };
    return Promise.resolve({ source, seed: () => source, ...nothing, async [Symbol.asyncDispose]() {} });
  }
  return database === null
    ? openDirectory(config, options, timeSeen)
    : openDatabase(database, config, options, timeSeen);
}

/** The database of SQLite in the data directory. */
async function openDirectory(config: Config, options: ServerOptions, timeSeen: TimeSeen): Promise<OpenedSource> {
  const { clock, makeAnew, log, onFatal } = options;
  await using opening = new AsyncDisposableStack();
  const store = opening.use(
    await openSqliteTokenStore(config.store.directory, {
      minFreeBytes: config.store.minFreeBytes,
      revocationLog: config.store.revocationLog,
      marker: config.store.marker,
      makeAnew,
      timeSeen,
      log,
      onFatal,
    }),
  );
  setTimeFloor(timeSeen, timeFloor(clock, store.head().atMs, store.opened.notedMs, config.allowClockBack));
  const sealingSecret = readSealingSecret(config.sealingSecret, log);
  const opened = opening.move();
  return {
    source: { store },
    seed: () => ({ store: store.seed() }),
    store,
    stats: store.stats,
    sealingSecret,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** A database in PostgreSQL, of which each thread is a node with a number of its own. */
async function openDatabase(
  database: DatabaseConfig,
  config: Config,
  { clock, log, pid }: ServerOptions,
  timeSeen: TimeSeen,
): Promise<OpenedSource> {
  const sealingSecret = readSharedSecret(config.sealingSecret.file);
  const name = database.nodeName ?? `${hostname().slice(0, 40)}:${pid}`;
  const settings = readDatabaseSettings(database.url, database.password, name);
  let threads = 0;
  const seed = () => {
    threads += 1;
    return {
      node: { settings: { ...settings, nodeName: `${name}:${threads}` }, graceMs: database.graceMs, sealingSecret },
    };
  };
  await using opening = new AsyncDisposableStack();
  const node = opening.use(await openNode(seed().node, log));
  setTimeFloor(timeSeen, timeFloor(clock, node.head().atMs, 0, config.allowClockBack));
  const opened = opening.move();
  return {
    source: { node },
    seed,
    store: node,
    stats: null,
    sealingSecret,
    [Symbol.asyncDispose]: () => opened.disposeAsync(),
  };
}

/** Does the work now and then, until it is disposed. */
function every(periodMs: number, work: () => Promise<void>): Disposable {
  const timer = setInterval(() => void work(), periodMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/** The threads that serve. Disposed, they end together: each waits for its own calls, as long as the grace lasts. */
type Threads = AsyncDisposable & {
  add<T extends Thread | RemoteThread>(thread: T): T;
  count(): number;
  /** What those that have not ended tell of themselves. */
  readAll(): Promise<readonly ThreadReadings[]>;
  replaceTls(tls: TlsSet): void;
  /** Has health checks say that all of them end, and serves on. */
  withdraw(): void;
};

function createThreads(): Threads {
  const threads: (Thread | RemoteThread)[] = [];
  return {
    add(thread) {
      threads.push(thread);
      return thread;
    },
    count: () => threads.length,
    async readAll() {
      const readings = await Promise.all(threads.map((one) => one.readings()));
      return readings.filter((one) => one !== null);
    },
    replaceTls(tls) {
      for (const thread of threads) {
        thread.replaceTls(tls);
      }
    },
    withdraw() {
      for (const thread of threads) {
        thread.withdraw();
      }
    },
    async [Symbol.asyncDispose]() {
      // Waits for all, also when one fails: what they stand on is taken away after.
      const results = await Promise.allSettled(threads.map((one) => one[Symbol.asyncDispose]()));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) {
        throw failed.reason;
      }
    },
  };
}

type AdminParts = Omit<GaugedParts, "readings" | "adminRefused"> & {
  readonly address: AdminOptions["address"];
  readonly threads: Threads;
  readonly log: Log;
};

/** Starts the admin port, over what all threads tell of themselves when they are asked. */
async function startAdmin(parts: AdminParts): Promise<AdminListener> {
  const { address, threads, isServing, log } = parts;
  let readings: readonly ThreadReadings[] = [];
  const metrics = createMetrics(
    gaugeSources({
      store: parts.store,
      stats: parts.stats,
      readings: () => readings,
      isServing,
      logLinesDropped: parts.logLinesDropped,
      adminRefused: () => admin.refused(),
      hasTls: parts.hasTls,
      hasRestTls: parts.hasRestTls,
      hasUpstreamTls: parts.hasUpstreamTls,
    }),
  );
  const admin = await startAdminListener({
    address,
    async expose() {
      readings = await threads.readAll();
      return metrics.expose(callsOf(readings));
    },
    isReady: isServing,
    log,
  });
  return admin;
}

function textOf(address: ListenAddress | null): string | null {
  return address === null ? null : formatListenAddress(address);
}

function callsOf(readings: readonly ThreadReadings[]): readonly CallMeasures[] {
  return readings.map(({ calls }) => calls);
}

/** Throws a StartError that names the setting and what to do when a place to listen at cannot be had. */
async function requireFreePorts(places: readonly (readonly [ListenSetting, ListenAddress | null])[]): Promise<void> {
  for (const [name, address] of places) {
    try {
      await requireFreePort(address);
    } catch (error) {
      throw address === null ? error : explainListenError(name, address, error);
    }
  }
}

/**
 * The sealing secret, which the first start makes where no setting says where one is; null where that cannot be done.
 */
function readSealingSecret({ file, create }: Config["sealingSecret"], log: Log): Uint8Array | null {
  const secret = { file, what: "the sealing secret", lengthBytes: sealingSecretBytes };
  if (create) {
    try {
      makeSecretFile(secret);
    } catch (error) {
      log.warn(
        { file, err: error },
        `no sealing secret could be made, so that request_id is refused: set TOKEN_AUTHORITY_SEALING_SECRET to a file of ${sealingSecretBytes} random bytes`,
      );
      return null;
    }
  }
  return readSecretFile(secret);
}

/** The sealing secret of all nodes of a database. */
function readSharedSecret(file: string): Uint8Array {
  if (!existsSync(file)) {
    throw new StartError(
      `${file}: there is no sealing secret, and all nodes of a database need the same one: copy that of another node, or for the first node make a file of ${sealingSecretBytes} random bytes that only you can read`,
    );
  }
  return readSecretFile({ file, what: "the sealing secret", lengthBytes: sealingSecretBytes });
}

/** Several threads share a port only where the system spreads its connections among them. */
function possibleThreads({ threads, listen }: RpcConfig, log: Log): number {
  if (threads > 1 && ("path" in listen || platform() !== "linux")) {
    log.warn({ threads }, "only one thread serves: more need Linux and a TCP address");
    return 1;
  }
  return threads;
}

/**
 * The times of the newest change and the greatest that was seen before have passed: clocks may not show less, or else
 * the start is refused or this is not held to.
 */
function timeFloor(clock: Clock, newestChangeMs: number, seenMs: number, allowBack: boolean): number {
  const floorMs = Math.max(newestChangeMs, seenMs);
  const behindMs = floorMs - clock();
  if (behindMs <= maxClockBackMs) {
    return floorMs;
  }
  if (!allowBack) {
    const what = newestChangeMs >= seenMs ? "newest change" : "greatest time that was seen before";
    throw new StartError(
      `the clock is ${Math.round(behindMs / 1000)} s before the ${what}, and keys that have expired would be accepted again: set it right, or set TOKEN_AUTHORITY_CLOCK_BACK=allow if it was in the future then`,
    );
  }
  return 0;
}
