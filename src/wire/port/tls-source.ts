import type { TLSSocket, TlsOptions } from "node:tls";
import type { TlsPeer } from "./peer.ts";

/** What the listener needs to know of TLS. */
export type TlsSource = {
  /** The options of handshakes that start now. */
  options(): TlsOptions;
  /**
   * The peer at the other end of a socket whose handshake is done. It is judged by the CAs that hold when it is asked.
   */
  peerOf(socket: TLSSocket): TlsPeer;
  /** Calls back after each change of options or trust, until the returned function is called. */
  onReplaced(callback: () => void): () => void;
};
