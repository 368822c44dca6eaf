import { type Clock, createSteadyClock, type SteadyClock } from "./authority/clock.ts";
import { StartError } from "./authority/errors.ts";
import { createLastUseRecorder } from "./authority/last-use-recorder.ts";
import type { Log } from "./authority/log.ts";
import { createSealer } from "./authority/sealer.ts";
import { createTokenAuthority } from "./authority/token-authority.ts";
import type { TokenStore } from "./authority/token-store.ts";
import { createCallLog } from "./call-log.ts";
import { openCallers } from "./callers.ts";
import type { Config, TlsFiles } from "./config.ts";
import { createConnectHandler } from "./connect/connect-handler.ts";
import { gaugeSources } from "./gauge-sources.ts";
import { startListener } from "./http/listener.ts";
import { startAdminListener } from "./prometheus/admin-listener.ts";
import { createMetrics } from "./prometheus/metrics.ts";
import { readSealingSecret } from "./sealing-secret.ts";
import { openSqliteTokenStore } from "./sqlite/open-sqlite-token-store.ts";
import { openCertificates } from "./tls/certificate-source.ts";

const maxClockBackMs = 5 * 60 * 1000;
const flushUsesEveryMs = 5000;
const forgetRequestsEveryMs = 60 * 1000;

export type ServerOptions = {
  /** The system's time, in Unix milliseconds. */
  readonly clock: Clock;
  readonly log: Log;
  /** Called once when the store has failed: what was under way is unknown, and only a restart can tell. */
  readonly onFatal: (error: unknown) => void;
};

export type Server = AsyncDisposable & {
  /** Where RPCs are served: HOST:PORT or unix:/PATH. */
  readonly address: string;
  /** Where metrics are served, or null. */
  readonly adminAddress: string | null;
  /** Reads certificates and callers again. What cannot be used is logged, and the old stays in force. */
  reload(): void;
};

/** Starts everything, bottom up; when a part cannot start, what did is ended again. Disposing ends it all in good order. */
export async function startServer(config: Config, options: ServerOptions): Promise<Server> {
  const { log } = options;
  await using starting = new AsyncDisposableStack();

  const store = starting.use(
    await openSqliteTokenStore(config.dataDirectory, {
      minFreeBytes: config.minFreeBytes,
      log,
      onFatal: options.onFatal,
    }),
  );
  const clock = startClock(options.clock, store.head().atMs, config.allowClockBack);
  const lastUse = createLastUseRecorder(store, log);
  starting.defer(() => lastUse.flush(clock.now()));
  starting.use(every(flushUsesEveryMs, () => lastUse.flush(clock.now())));
  starting.use(every(forgetRequestsEveryMs, () => forgetRequests(store, clock.now(), log)));
  const authority = createTokenAuthority({
    store,
    clock: clock.now,
    lastUse,
    sealer: config.sealingSecret === null ? null : createSealer(readSealingSecret(config.sealingSecret)),
    maxTokensPerAccount: config.maxTokensPerAccount,
  });

  const tls = config.tls === null ? null : openTls(config.tls, log, clock.now);
  if (tls === null) {
    log.warn({ role: config.plaintextRole }, "plaintext: every program on this machine may call with this role");
  }
  const shutdown = new AbortController();
  const isServing = () => !shutdown.signal.aborted && store.isServing();
  const metrics = createMetrics(
    gaugeSources({ store, clock, certificates: tls?.certificates ?? null, listener: () => listener, isServing }),
  );
  const logCall = createCallLog(log, clock.now);
  const listener = starting.adopt(
    await startListener({
      address: config.listen,
      tls: tls?.certificates ?? null,
      limits: { maxConnections: config.maxConnections, maxConcurrentStreams: config.maxConcurrentStreams },
      log,
      handler: createConnectHandler({
        authority,
        clock: clock.now,
        roleOf: (identity) => (tls === null ? config.plaintextRole : tls.callers.roleOf(identity)),
        isServing,
        onCall(call) {
          metrics.observeCall(call);
          logCall(call);
        },
        log,
        shutdownSignal: shutdown.signal,
      }),
    }),
    (started) => started.close(config.shutdownGraceMs),
  );
  const admin =
    config.adminListen === null
      ? null
      : starting.use(await startAdminListener({ address: config.adminListen, metrics, isReady: isServing, log }));
  starting.defer(() => shutdown.abort());

  log.info({ address: listener.addressText, admin: admin?.address ?? "off" }, "listening");
  const started = starting.move();
  return {
    address: listener.addressText,
    adminAddress: admin?.address ?? null,
    reload() {
      tls?.certificates.reload();
      tls?.callers.reload();
    },
    [Symbol.asyncDispose]: () => started.disposeAsync(),
  };
}

function startClock(system: Clock, newestChangeMs: number, allowBack: boolean): SteadyClock {
  const behindMs = newestChangeMs - system();
  if (behindMs <= maxClockBackMs) {
    return createSteadyClock(system, newestChangeMs);
  }
  if (!allowBack) {
    throw new StartError(
      `the clock is ${Math.round(behindMs / 1000)} s before the newest change: set it right, or set TOKEN_AUTHORITY_CLOCK_BACK=allow if that change was made in the future`,
    );
  }
  return createSteadyClock(system, 0);
}

function openTls(files: TlsFiles, log: Log, now: Clock) {
  try {
    return { certificates: openCertificates(files, { log, now }), callers: openCallers(files.callers, log) };
  } catch (error) {
    throw new StartError(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

async function forgetRequests(store: TokenStore, nowMs: number, log: Log): Promise<void> {
  try {
    await store.forgetRequests(nowMs);
  } catch (error) {
    log.warn({ err: error }, "old request ids were not erased");
  }
}

function every(intervalMs: number, work: () => Promise<void>): Disposable {
  const timer = setInterval(work, intervalMs);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
