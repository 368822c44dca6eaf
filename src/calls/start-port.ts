import type { Log } from "../machine/log.ts";
import type { HttpHandler } from "../wire/exchange.ts";
import { encodePreparedBlock } from "../wire/http2/hpack-encoder.ts";
import { Http2Server } from "../wire/http2/http2-server.ts";
import type { Lanes } from "../wire/http2/lane.ts";
import type { ByteBudget } from "../wire/port/byte-budget.ts";
import { connectionOf } from "../wire/port/connection.ts";
import type { ConnectionCounts } from "../wire/port/connection-registry.ts";
import { describeError } from "../wire/port/describe-error.ts";
import { createHttp2Handler } from "../wire/port/http2-handler.ts";
import type { ListenAddress } from "../wire/port/listen-address.ts";
import { type Listener, startListener } from "../wire/port/listener.ts";
import type { Peer } from "../wire/port/peer.ts";
import type { CertificateSource } from "../wire/tls/certificate-source.ts";
import { metadataTooLong } from "./grpc/metadata-too-long.ts";
import { createLargeHeaders } from "./large-header.ts";
import type { CallerWatch, PeerReadings } from "./unknown-callers.ts";

export type PortOptions = {
  readonly address: ListenAddress;
  readonly reusePort: boolean;
  /** Null means plaintext. */
  readonly tls: { readonly source: CertificateSource; readonly watch: CallerWatch } | null;
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

/** What one port tells of itself. Can be sent to another thread. */
export type PortReadings = {
  readonly connections: ConnectionCounts;
  /** Requests that were refused since the start, for their header was too large. */
  readonly largeHeaders: number;
  /** Null in plaintext. */
  readonly certificateExpiresAtMs: number | null;
  /** Null in plaintext. */
  readonly peers: PeerReadings | null;
};

export type Port = Listener & { readings(): PortReadings };

/** What HTTP/2 grants whom nothing will be done for: headers, and a KiB that is thrown away. */
const strangersLimits = {
  maxConcurrentStreams: 10,
  streamWindowBytes: 1024,
  connectionWindowBytes: 65_535,
  maxHeldBytes: 131_072,
};

/** Starts a port that answers HTTP/1.1 and HTTP/2 alike, from one handler. Closed when `close` resolves; disposing is closing without grace. */
export async function startPort(options: PortOptions): Promise<Port> {
  const { handler, tls, maxConnections, handshakesPerSecond, log } = options;
  const largeHeaders = createLargeHeaders(log);
  const http2Options = {
    lanes: options.lanes,
    handle: createHttp2Handler(handler, { scheme: tls === null ? "http" : "https", log }),
    account: options.budget.account,
    onError: (error: unknown) => log.error(describeError(error), "an HTTP/2 stream failed"),
    refuseLargeHeader(peer: Peer, contentType: string) {
      const { status, header, body } = largeHeaders.refuse(peer);
      const grpcFields = metadataTooLong(contentType);
      if (grpcFields !== null) {
        const head = encodePreparedBlock([...grpcFields, ["request-id", header["request-id"] ?? ""]]);
        return { head, body: null, trailer: null };
      }
      const length = String(body.byteLength);
      const head = [[":status", String(status)], ...Object.entries(header), ["content-length", length]] as const;
      return { head: encodePreparedBlock(head), body, trailer: null };
    },
  };
  const http2 = new Http2Server<Peer>({
    ...http2Options,
    limits: { maxConnections, maxConcurrentStreams: options.maxConcurrentStreams },
  });
  const strangersHttp2 = new Http2Server<Peer>({ ...http2Options, limits: strangersLimits });
  const closeHttp2 = async () => {
    await Promise.all([http2.close(0), strangersHttp2.close(0)]);
  };
  try {
    const listener = await startListener({
      address: options.address,
      reusePort: options.reusePort,
      handler,
      refuseLargeHeader: largeHeaders.refuse,
      knowsCallers: options.knowsCallers,
      serveHttp2(socket, peer, isStranger) {
        return connectionOf((isStranger ? strangersHttp2 : http2).accept(socket, peer));
      },
      tls,
      limits: { maxConnections, handshakesPerSecond },
      log,
    });
    options.budget.watch(() => listener.holders());
    const close = async (graceMs: number) => {
      await listener.close(graceMs);
      await closeHttp2();
    };
    return {
      ...listener,
      readings: () => ({
        connections: listener.counts(),
        largeHeaders: largeHeaders.count(),
        certificateExpiresAtMs: tls?.source.expiresAtMs() ?? null,
        peers: tls?.watch.readings() ?? null,
      }),
      close,
      [Symbol.asyncDispose]: () => close(0),
    };
  } catch (error) {
    await closeHttp2();
    throw error;
  }
}
