import type { Role } from "./authority/caller.ts";
import type { Clock } from "./authority/clock.ts";
import type { TokenAuthority } from "./authority/token-authority.ts";
import type { RoleOf } from "./calls/admission.ts";
import type { ReportFault } from "./calls/fault-log.ts";
import type { FinishedCall } from "./calls/finished-call.ts";
import { laneHeaders, tracedLaneHeaders } from "./calls/grpc/plain-request.ts";
import { createCallerWatch } from "./calls/port/caller-watch.ts";
import { type Port, startPort } from "./calls/port/start-port.ts";
import type { TlsSet } from "./calls/port/tls-set.ts";
import { checkRpc, tokenRpcs } from "./calls/rpcs.ts";
import { readNoTrace, readTrace as readTraceHeaders } from "./calls/trace-headers.ts";
import type { RpcConfig } from "./config.ts";
import { createCheck } from "./doors/gateway/check.ts";
import { createCheckLane } from "./doors/gateway/check-lane.ts";
import { createForwardAuth, isForwardAuth } from "./doors/gateway/forward-auth.ts";
import { createConnectHandler } from "./doors/rpc/connect/connect-handler.ts";
import { createAuthenticateLane } from "./doors/rpc/lanes/authenticate-lane.ts";
import { createManagementLanes } from "./doors/rpc/lanes/management-lanes.ts";
import { createWatchLane } from "./doors/rpc/lanes/watch-lane.ts";
import type { Log } from "./machine/log.ts";
import type { HttpHandler } from "./wire/exchange.ts";
import type { ByteBudget } from "./wire/port/byte-budget.ts";
import type { ListenAddress } from "./wire/port/listen-address.ts";
import { type CertificateSource, createCertificateSource } from "./wire/tls/certificate-source.ts";

// All gateways come back after a restart, and decisions have to go on meanwhile: a quarter of a core.
const handshakesPerSecond = 250;

/** What one thread has of the port of the RPCs. Can be sent to another thread. */
export type RpcShare = {
  /** Where to listen; not the configuration's when its port 0 has become a real one. */
  readonly address: ListenAddress;
  /** Whether other threads listen there as well. */
  readonly isShared: boolean;
  readonly plaintextRole: Role;
  readonly maxConnections: number;
  readonly maxConcurrentStreams: number;
  readonly handshakesPerSecond: number;
};

/** The share of one of so many threads. */
export function shareOfRpc(config: RpcConfig, address: ListenAddress, threads: number): RpcShare {
  return {
    address,
    isShared: threads > 1,
    plaintextRole: config.plaintextRole,
    maxConnections: Math.ceil(config.maxConnections / threads),
    maxConcurrentStreams: config.maxConcurrentStreams,
    handshakesPerSecond: Math.ceil(handshakesPerSecond / threads),
  };
}

export type RpcPortOptions = {
  readonly share: RpcShare;
  /** Null in plaintext. */
  readonly tls: TlsSet["rpc"];
  readonly authority: TokenAuthority;
  readonly clock: Clock;
  readonly isServing: () => boolean;
  /** Turns health to NOT_SERVING and ends the streams. */
  readonly shutdownSignal: AbortSignal;
  readonly onCall: (call: FinishedCall) => void;
  readonly reportFault: ReportFault;
  /** Whether `onCall` wants to know of traces. */
  readonly isTraced: boolean;
  readonly budget: ByteBudget;
  readonly log: Log;
};

export type RpcPort = {
  readonly port: Port;
  /** What answers the RPCs, and the role that it sees in an identity: the console has the same. */
  readonly answerRpc: HttpHandler;
  readonly roleOf: RoleOf;
  /** Null in plaintext. */
  readonly certificates: CertificateSource | null;
  /** Certificates, CAs and callers from now on. */
  replaceTls(tls: TlsSet["rpc"]): void;
};

/**
 * Starts the port of the RPCs and the gateways for one thread: the RPCs, those of few bytes over plain gRPC in lanes,
 * and forward authentication.
 */
export async function startRpcPort(options: RpcPortOptions): Promise<RpcPort> {
  const { share, authority, clock, reportFault, isTraced, log } = options;
  const readTrace = isTraced ? readTraceHeaders : readNoTrace;
  let tls = options.tls;
  const certificates = tls === null ? null : createCertificateSource(tls.certificates, clock);
  const roleOf = (identity: string) => (tls === null ? share.plaintextRole : (tls.callers.get(identity) ?? null));
  const watch = createCallerWatch({ port: "rpc", isKnown: (identity) => roleOf(identity) !== null, log });
  const onCall = (call: FinishedCall) => {
    if (call.reason === "CALLER_UNKNOWN" && call.caller !== null) {
      watch.unknownCaller(call.caller);
    }
    options.onCall(call);
  };

  const laneOptions = { roleOf, reportFault, onCall, isTraced };
  const check = createCheck(authority.authenticate);
  const forwardAuth = createForwardAuth({ check, roleOf, reportFault, onCall, readTrace });
  const { isServing, shutdownSignal } = options;
  const answerRpc = createConnectHandler({
    authority,
    clock,
    roleOf,
    isServing,
    shutdownSignal,
    onCall,
    readTrace,
    reportFault,
  });

  const port = await startPort({
    budget: options.budget,
    knowsCallers: true,
    address: share.address,
    reusePort: share.isShared,
    tls: certificates === null ? null : { source: certificates, watch },
    handler: (request) => (isForwardAuth(request.url) ? forwardAuth(request) : answerRpc(request)),
    lanes: {
      headers: isTraced ? tracedLaneHeaders : laneHeaders,
      paths: new Map([
        [`/${tokenRpcs.authenticate}`, createAuthenticateLane(authority, laneOptions)],
        [`/${checkRpc}`, createCheckLane(check, laneOptions)],
        ...createManagementLanes(authority, clock, laneOptions),
      ]),
      streams: new Map([[`/${tokenRpcs.watch}`, createWatchLane(authority, shutdownSignal, laneOptions)]]),
    },
    maxConnections: share.maxConnections,
    maxConcurrentStreams: share.maxConcurrentStreams,
    handshakesPerSecond: share.handshakesPerSecond,
    log,
  });
  const replaceTls = (next: TlsSet["rpc"]) => {
    if (next !== null && certificates !== null) {
      tls = next;
      certificates.replace(next.certificates);
    }
  };
  return { port, answerRpc, roleOf, certificates, replaceTls };
}
