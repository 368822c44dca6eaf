import type { Log } from "../../machine/log.ts";
import type { HttpHandler } from "../../wire/exchange.ts";
import type { Lanes } from "../../wire/http2/lanes.ts";
import type { ByteBudget } from "../../wire/port/byte-budget.ts";
import type { ConnectionCounts } from "../../wire/port/connection-registry.ts";
import type { ListenAddress } from "../../wire/port/listen-address.ts";
import { type Listener, startListener } from "../../wire/port/listener.ts";
import type { Peer } from "../../wire/port/peer.ts";
import type { CertificateSource } from "../../wire/tls/certificate-source.ts";
import type { CallerWatch, PeerReadings } from "./caller-watch.ts";
import { createLargeHeaders } from "./large-headers.ts";

export type PortOptions = {
  readonly address: ListenAddress;
  readonly reusePort: boolean;
  /** Null means plaintext. */
  readonly tls: { readonly source: CertificateSource; readonly watch: CallerWatch } | null;
  readonly handler: HttpHandler;
  /** Whether peers have identities here: a peer without one is told so, and soon cut. */
  readonly knowsCallers: boolean;
  readonly lanes: Lanes<Peer>;
  /** What all connections of the thread may hold. */
  readonly budget: ByteBudget;
  readonly maxConnections: number;
  readonly maxConcurrentStreams: number;
  /** TLS handshakes that begin in a second: each takes about a millisecond of the thread. */
  readonly handshakesPerSecond: number;
  readonly log: Log;
};

/** What one port tells of itself. Can be sent to another thread. */
export type PortReadings = {
  readonly connections: ConnectionCounts;
  /** Requests that were refused since the start because their header was too large. */
  readonly largeHeaders: number;
  /** Null in plaintext. */
  readonly certificateExpiresAtMs: number | null;
  /** Null in plaintext. */
  readonly peers: PeerReadings | null;
};

export type Port = Listener & { readings(): PortReadings };

/**
 * Starts a port that answers HTTP/1.1 and HTTP/2 alike, from one handler. Closed when `close` resolves; disposing is
 * closing without grace.
 */
export async function startPort(options: PortOptions): Promise<Port> {
  const { tls, maxConnections, log } = options;
  const largeHeaders = createLargeHeaders(log);
  const listener = await startListener({
    address: options.address,
    reusePort: options.reusePort,
    tls,
    handler: options.handler,
    lanes: options.lanes,
    refuseLargeHeader: largeHeaders.refuse,
    knowsCallers: options.knowsCallers,
    limits: { maxConnections, handshakesPerSecond: options.handshakesPerSecond },
    http2Limits: { maxConnections, maxConcurrentStreams: options.maxConcurrentStreams },
    account: options.budget.account,
    log,
  });
  options.budget.watch(listener.holders);
  return {
    ...listener,
    readings: () => ({
      connections: listener.counts(),
      largeHeaders: largeHeaders.count(),
      certificateExpiresAtMs: tls?.source.expiresAtMs() ?? null,
      peers: tls?.watch.readings() ?? null,
    }),
  };
}
