/**
 * What the listener grants its peers before it knows their protocol, and HTTP/1.1's peers after. HTTP/2 brings limits
 * of its own.
 */
export type HttpLimits = {
  /** Connections that speak, strangers' not counted; one more is closed at once. */
  readonly maxConnections: number;
  /** Connections of strangers, where callers have an identity; for one more, the oldest is cut. */
  readonly maxStrangers: number;
  /** How long a stranger has to be told that it is one. */
  readonly strangerMs: number;
  /**
   * TLS handshakes and plaintext prefaces that wait or are under way; for one more, the oldest of the address with most
   * of them is cut.
   */
  readonly maxHandshakes: number;
  /** TLS handshakes that begin in a second, and how many may begin at once after a time without any. */
  readonly handshakesPerSecond: number;
  readonly maxHandshakeBurst: number;
  /** From accept to the end of the TLS handshake, or to the bytes that tell HTTP/2 from HTTP/1.1. */
  readonly handshakeMs: number;
  /** How often connections are looked for whose certificate has ended. */
  readonly peerSweepMs: number;
  /** All header fields of a request together. */
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  /** From the first byte of a request, or from accept, to the end of its header. */
  readonly headersMs: number;
  /** A whole request, body included. */
  readonly requestMs: number;
  /** How long a handler waits for the next bytes of a body before the request is given up with 408. */
  readonly bodyStallMs: number;
  /** Of a body that the handler left unread, the bytes that are read and thrown away to keep the connection. */
  readonly maxDiscardedBytes: number;
  /** A connection between two requests. */
  readonly keepAliveMs: number;
  /** Age at which a connection is closed with its next response, give or take a tenth. */
  readonly maxAgeMs: number;
  /** Requests that wait on one connection behind the one being answered. */
  readonly maxPipelinedRequests: number;
  /** How long a response waits for a peer that does not read before it is cut. */
  readonly slowReaderMs: number;
};

/** The limits of a listener that names none. */
export const defaultHttpLimits: HttpLimits = {
  maxConnections: 10_000,
  maxStrangers: 100,
  strangerMs: 10_000,
  maxHandshakes: 1_000,
  handshakesPerSecond: 250,
  maxHandshakeBurst: 25,
  handshakeMs: 10_000,
  peerSweepMs: 5_000,
  maxHeaderBytes: 16 * 1024,
  maxHeaderCount: 128,
  headersMs: 10_000,
  requestMs: 60_000,
  bodyStallMs: 10_000,
  maxDiscardedBytes: 256 * 1024,
  keepAliveMs: 65_000,
  maxAgeMs: 3_600_000,
  maxPipelinedRequests: 100,
  slowReaderMs: 30_000,
};
