import type { Log } from "../machine/log.ts";
import type { HttpHandler } from "../wire/exchange.ts";
import type { Lanes } from "../wire/http2/lane.ts";
import type { ByteBudget } from "../wire/port/byte-budget.ts";
import type { ListenAddress } from "../wire/port/listen-address.ts";
import { type Listener, type ListenerTls, startListener } from "../wire/port/listener.ts";
import type { Peer } from "../wire/port/peer.ts";
import { createLargeHeaders } from "./large-header.ts";

export type PortOptions = {
  readonly address: ListenAddress;
  readonly reusePort: boolean;
  /** Null means plaintext. */
  readonly tls: ListenerTls | null;
  readonly handler: HttpHandler;
  /** Whether peers have identities here: who has none is told so, and soon cut. */
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

/** A listener, and how many requests it refused for their header was too large. */
export type Port = Listener & { readonly largeHeaders: () => number };

/** Starts a port that answers HTTP/1.1 and HTTP/2 alike, from one handler. Closed when `close` resolves; disposing is closing without grace. */
export async function startPort(options: PortOptions): Promise<Port> {
  const { maxConnections, log } = options;
  const largeHeaders = createLargeHeaders(log);
  const listener = await startListener({
    address: options.address,
    reusePort: options.reusePort,
    tls: options.tls,
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
  return { ...listener, largeHeaders: largeHeaders.count };
}
