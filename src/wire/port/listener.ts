import { createServer as createNetServer, type Server, Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { describeError } from "../../machine/describe-error.ts";
import type { Log } from "../../machine/log.ts";
import { createSampler } from "../../machine/sampler.ts";
import type { HttpHandler, RefuseLargeHeader } from "../exchange.ts";
import { createHttp1Connections } from "../http1/http1-connections.ts";
import type { Account } from "../http2/account.ts";
import type { Lanes } from "../http2/lanes.ts";
import type { Limits as Http2Limits } from "../http2/limits.ts";
import { textResponse } from "../text-response.ts";
import type { Connections } from "./connection.ts";
import { type ConnectionCounts, ConnectionRegistry, type Entry, type Holder } from "./connection-registry.ts";
import { Handshakes } from "./handshakes.ts";
import { createHttp2Connections } from "./http2-connections.ts";
import { defaultHttpLimits, type HttpLimits } from "./limits.ts";
import { formatListenAddress, type ListenAddress } from "./listen-address.ts";
import type { Peer } from "./peer.ts";
import { handshakeFaultOf, type PeerWatch } from "./peer-watch.ts";
import { plaintextPeer } from "./plaintext-peer.ts";
import { sniffProtocol } from "./protocol-sniffer.ts";
import { sniffTls } from "./tls-sniffer.ts";
import type { TlsSource } from "./tls-source.ts";
import { listenOnUnixSocket } from "./unix-socket.ts";

/** A port or socket that serves HTTP/1.1 and HTTP/2. Disposing of it is closing without grace. */
export type Listener = AsyncDisposable & {
  /** Where it really listens: the port that was found for 0. */
  readonly address: ListenAddress;
  /** The address as a person or parseListenAddress reads it. */
  readonly addressText: string;
  counts(): ConnectionCounts;
  /** The connections that speak, with what each holds for its peer. */
  holders(): Iterable<Holder>;
  /**
   * Stops accepting, lets requests under way end, and cuts what is left after the grace. Calling again waits for the
   * first call.
   */
  close(graceMs: number): Promise<void>;
};

/** Whose certificates and trust, and who hears of the peers that come. */
export type ListenerTls = { readonly source: TlsSource; readonly watch: PeerWatch };

/**
 * Starts to listen. Plaintext when `tls` is null: the caller sees to it that only this machine can reach the address.
 */
export async function startListener(options: {
  readonly address: ListenAddress;
  readonly handler: HttpHandler;
  /** The paths that HTTP/2 answers without the handler. Default: none. */
  readonly lanes?: Lanes<Peer>;
  /** Default: in plain text. */
  readonly refuseLargeHeader?: RefuseLargeHeader;
  readonly tls: ListenerTls | null;
  /** Whether peers have identities here. A peer without one is then a stranger, which is told so and soon cut. */
  readonly knowsCallers: boolean;
  readonly limits?: Partial<HttpLimits>;
  readonly http2Limits?: Partial<Http2Limits>;
  /** Counts what the connections of HTTP/2 hold. Default: one of their own, which bounds nothing. */
  readonly account?: Account;
  readonly log: Log;
  /** Lets other threads listen on the same port: the system spreads the connections (Linux). */
  readonly reusePort?: boolean;
}): Promise<Listener> {
  const { address, tls, log } = options;
  if (tls !== null && "path" in address) {
    throw new Error("TLS is served on TCP addresses only");
  }
  const limits = { ...defaultHttpLimits, ...options.limits };
  const registry = new ConnectionRegistry({ ...limits, cutsIdle: !options.knowsCallers });
  const handshakes = new Handshakes(limits, tls !== null);
  const scheme = tls === null ? "http" : "https";
  const { handler, knowsCallers } = options;
  const refuseLargeHeader =
    options.refuseLargeHeader ?? (() => textResponse(431, "the header of the request is too large"));
  const http1 = createHttp1Connections({ scheme, handler, refuseLargeHeader, limits, log });
  const http2 = createHttp2Connections({
    scheme,
    handler,
    lanes: options.lanes ?? { headers: [], paths: new Map() },
    refuseLargeHeader,
    account: options.account ?? null,
    limits: options.http2Limits ?? {},
    log,
  });
  const closeProtocols = () => Promise.all([http1.close(), http2.close()]);
  const serve = createProtocolServer({
    registry,
    handshakes,
    protocols: { "http/1.1": http1, h2: http2 },
    knowsCallers,
  });
  const start = tls === null ? plaintextStart(address, limits, serve) : tlsStart(tls, limits, registry, serve);
  const warnOfSilence = sampledWarning(log, "too many connections do not say what they speak: the oldest are cut");
  // What is under TLS is not read before its handshake may begin.
  const server = createNetServer({ ...socketOptions, pauseOnConnect: tls !== null }, (socket) => {
    // The protocols hear of errors as well; until they do, a reset must not be an uncaught exception.
    socket.on("error", ignore);
    registry.accept(socket);
    if (handshakes.add(socket, () => start.begin(socket))) {
      registry.countRefusal();
      warnOfSilence({ maxHandshakes: limits.maxHandshakes });
    }
  });
  const sweeping = setInterval(() => registry.cutStrangers(), limits.strangerMs / 10);
  sweeping.unref();
  const removeAddress = await listen(server, address, options.reusePort ?? false).catch(async (error) => {
    start.stop();
    clearInterval(sweeping);
    await closeProtocols();
    throw error;
  });
  surviveAcceptErrors(server, log);

  const bound = boundAddress(server, address);
  let closed: Promise<void> | null = null;
  const cease = async (graceMs: number) => {
    server.close();
    removeQuietly(removeAddress, log);
    start.stop();
    handshakes.cutAll();
    registry.closeWhere(() => true);
    const timer = setTimeout(() => registry.cutAll(), graceMs);
    await registry.empty();
    clearTimeout(timer);
    clearInterval(sweeping);
    await closeProtocols();
  };
  const close = (graceMs: number) => {
    closed ??= cease(graceMs);
    return closed;
  };
  return {
    address: bound,
    addressText: formatListenAddress(bound),
    counts: () => registry.counts(handshakes.size),
    holders: () => registry.holders(),
    close,
    [Symbol.asyncDispose]: () => close(0),
  };
}

// Keepalive finds the dead peers of HTTP/1.1, which has no PING.
// A client may close its sending side behind its request, and read the answer (RFC 9112, 9.6).
const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, allowHalfOpen: true };

/**
 * Serves a socket on which a protocol is decided. `accepted` is the socket that was accepted: the same one, or the one
 * under TLS.
 */
type Serve = (accepted: Socket, socket: Socket, protocol: Entry["protocol"], peer: Entry["peer"]) => void;
/** What happens to an accepted socket until its protocol is known. */
type Start = { begin(socket: Socket): void; stop(): void };

type ServerParts = {
  readonly registry: ConnectionRegistry;
  readonly handshakes: Handshakes;
  readonly protocols: Readonly<Record<Entry["protocol"], Connections>>;
  readonly knowsCallers: boolean;
};

function createProtocolServer({ registry, handshakes, protocols, knowsCallers }: ServerParts): Serve {
  return (accepted, socket, protocol, peer) => {
    handshakes.end(accepted);
    if (socket.destroyed || accepted.destroyed) {
      return;
    }
    const isStranger = knowsCallers && peer.identity === null;
    if (!registry.makeRoom(isStranger)) {
      accepted.destroy();
      return;
    }
    const connection = protocols[protocol].serve(socket, peer, isStranger);
    // The sniffer paused it, and listening for data does not wake what was paused on purpose.
    socket.resume();
    registry.add(accepted, { protocol, connection, peer, isStranger });
  };
}

function plaintextStart(address: ListenAddress, limits: HttpLimits, serve: Serve): Start {
  return {
    begin(socket) {
      const peer = plaintextPeer(address, socket.remoteAddress);
      sniffProtocol(socket, limits.handshakeMs, (protocol) => serve(socket, socket, protocol, peer));
    },
    stop() {},
  };
}

function tlsStart(
  { source: tls, watch }: ListenerTls,
  limits: HttpLimits,
  registry: ConnectionRegistry,
  serve: Serve,
): Start {
  // Node does not say which accepted socket a TLS socket stands on. Both know both ends, which no two living
  // connections share.
  const accepted = new Map<string, Socket>();
  const server = createTlsServer({ ...tls.options(), handshakeTimeout: limits.handshakeMs });
  server.on("secureConnection", (socket) => {
    socket.on("error", ignore);
    socket.allowHalfOpen = socketOptions.allowHalfOpen;
    const under = accepted.get(endsOf(socket));
    if (under === undefined) {
      socket.destroy();
      return;
    }
    const peer = tls.peerOf(socket);
    watch.came(peer, addressOf(under));
    serve(under, socket, socket.alpnProtocol === "h2" ? "h2" : "http/1.1", peer);
  });
  server.on("tlsClientError", (error: NodeJS.ErrnoException, socket) => {
    const code = error.code ?? "";
    // A reset has a system call. Who closes its side instead has seen our hello, and perhaps not liked it.
    const hasLeft = code === "ECONNRESET" && error.syscall === undefined;
    const fault = hasLeft ? "HANDSHAKE_FAILED" : handshakeFaultOf(code);
    if (fault !== null) {
      watch.failed(fault, addressOf(socket) ?? addressUnder(socket), code);
    }
    socket.destroy();
  });
  const sweep = () => {
    registry.closeWhere(({ peer }, socket) => {
      if (!("isOutdated" in peer)) {
        return false;
      }
      if (peer.isOutdated) {
        watch.goes(peer, addressOf(socket));
        return true;
      }
      watch.stays(peer);
      return false;
    });
  };
  const unsubscribe = tls.onReplaced(() => {
    server.setSecureContext(tls.options());
    sweep();
  });
  // An identity ends with its certificate at once; the sweep lets the peer know.
  const sweeping = setInterval(sweep, limits.peerSweepMs);
  sweeping.unref();
  return {
    begin(socket) {
      const ends = endsOf(socket);
      accepted.set(ends, socket);
      socket.once("close", () => {
        // The other end may have come back from the same port before this close was heard.
        if (accepted.get(ends) === socket) {
          accepted.delete(ends);
        }
      });
      sniffTls(socket, limits.handshakeMs, {
        begin() {
          // A peer that closes its side in the middle of a handshake will never speak.
          socket.allowHalfOpen = false;
          server.emit("connection", socket);
        },
        refused: (fault) => watch.failed(fault, addressOf(socket)),
      });
    },
    stop() {
      unsubscribe();
      clearInterval(sweeping);
    },
  };
}

function addressOf({ remoteAddress }: Socket): string | null {
  return remoteAddress ?? null;
}

/**
 * A TLS socket that has closed forgets its peer's address. The socket under it does not, and is nowhere else to be
 * found than here.
 */
function addressUnder(socket: Socket): string | null {
  const under: unknown = Reflect.get(socket, "_parent");
  return under instanceof Socket ? addressOf(under) : null;
}

function endsOf({ localAddress, localPort, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${localPort} ${remoteAddress} ${remotePort}`;
}

async function listen(server: Server, address: ListenAddress, reusePort: boolean): Promise<() => void> {
  if ("path" in address) {
    return listenOnUnixSocket(server, address.path);
  }
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host: address.host, port: address.port, reusePort }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  return ignore;
}

function boundAddress(server: Server, address: ListenAddress): ListenAddress {
  const bound = server.address();
  return "path" in address || bound === null || typeof bound === "string"
    ? address
    : { host: bound.address, port: bound.port };
}

function removeQuietly(removeAddress: () => void, log: Log): void {
  try {
    removeAddress();
  } catch (error) {
    log.warn(describeError(error), "the socket's file could not be removed");
  }
}

// What cannot be accepted is lost; the listener lives on. Out of file descriptors, libuv closes what it cannot keep
// and says nothing.
function surviveAcceptErrors(server: Server, log: Log): void {
  const warn = sampledWarning(log, "a connection could not be accepted");
  server.on("error", (error) => warn(describeError(error)));
}

/** Warns once a second at most. */
function sampledWarning(log: Log, message: string): (fields: object) => void {
  const sample = createSampler();
  return (fields) => {
    if (sample(message, { lines: 1, everyMs: 1000 }) !== null) {
      log.warn(fields, message);
    }
  };
}

function ignore(): void {}
