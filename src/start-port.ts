import type { Peer } from "./authority/caller.ts";
import type { Log } from "./authority/log.ts";
import { describeError } from "./http/describe-error.ts";
import type { HttpHandler } from "./http/exchange.ts";
import { createHttp2Handler } from "./http/http2-handler.ts";
import type { ListenAddress } from "./http/listen-address.ts";
import { type Listener, type ListenerTls, startListener } from "./http/listener.ts";
import { Http2Server } from "./http2/http2-server.ts";
import type { Lanes } from "./http2/lane.ts";

export type PortOptions = {
  readonly address: ListenAddress;
  readonly reusePort: boolean;
  /** Null means plaintext. */
  readonly tls: ListenerTls | null;
  readonly handler: HttpHandler;
  readonly lanes: Lanes<Peer>;
  readonly maxConnections: number;
  readonly maxConcurrentStreams: number;
  readonly log: Log;
};

/** Starts a port that answers HTTP/1.1 and HTTP/2 alike, from one handler. Closed when `close` resolves; disposing is closing without grace. */
export async function startPort(options: PortOptions): Promise<Listener> {
  const { handler, tls, maxConnections, log } = options;
  const http2 = new Http2Server<Peer>({
    lanes: options.lanes,
    handle: createHttp2Handler(handler, { scheme: tls === null ? "http" : "https", log }),
    onError: (error) => log.error(describeError(error), "an HTTP/2 stream failed"),
    limits: { maxConnections, maxConcurrentStreams: options.maxConcurrentStreams },
  });
  try {
    const listener = await startListener({
      address: options.address,
      reusePort: options.reusePort,
      handler,
      serveHttp2(socket, peer) {
        const connection = http2.accept(socket, peer);
        return { closeGracefully: () => connection.leave() };
      },
      tls,
      limits: { maxConnections },
      log,
    });
    const close = async (graceMs: number) => {
      await listener.close(graceMs);
      await http2.close(0);
    };
    return { ...listener, close, [Symbol.asyncDispose]: () => close(0) };
  } catch (error) {
    await http2.close(0);
    throw error;
  }
}
