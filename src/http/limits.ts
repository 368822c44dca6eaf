/** What the listener grants its peers. Every count, size and time has an end. */
export type HttpLimits = {
  /** Connections in all; one more is closed at once. */
  readonly maxConnections: number;
  /** TLS handshakes and plaintext prefaces under way; one more is closed at once. */
  readonly maxHandshakes: number;
  /** From accept to the end of the TLS handshake, of the protocol preface, or of the first HTTP/2 SETTINGS. */
  readonly handshakeMs: number;
  /** All header fields of a request together; HTTP/2 counts 32 bytes more for each (RFC 9113, 6.5.2). */
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  /** From the first byte of an HTTP/1.1 request, or from accept, to the end of its header. */
  readonly headersMs: number;
  /** A whole HTTP/1.1 request, body included. */
  readonly requestMs: number;
  /** How long a handler waits for the next bytes of a body before the request is given up with 408. */
  readonly bodyStallMs: number;
  /** Of a body that the handler left unread, the bytes that are read and thrown away to keep the connection. */
  readonly maxDiscardedBytes: number;
  /** An HTTP/1.1 connection between two requests. */
  readonly keepAliveMs: number;
  /** Requests that wait on one HTTP/1.1 connection behind the one being answered. */
  readonly maxPipelinedRequests: number;
  readonly maxConcurrentStreams: number;
  /** HTTP/2 flow-control window of a stream: what a peer may send ahead of the 64 KiB that node buffers unread. */
  readonly streamWindowBytes: number;
  /** What node:http2 may hold for one session, in units of 1 000 000 bytes. */
  readonly sessionMemoryMb: number;
  /** Streams one session may reset at once; above, and faster than the rate, it is told ENHANCE_YOUR_CALM (CVE-2023-44487). */
  readonly streamResetBurst: number;
  readonly streamResetsPerSecond: number;
  /** An HTTP/2 connection without an open stream. */
  readonly idleMs: number;
  readonly pingIntervalMs: number;
  /** A peer that leaves a PING unanswered for so long is dead. */
  readonly pingTimeoutMs: number;
  /** How long a response waits for a peer that does not read before it is cut. */
  readonly slowReaderMs: number;
};

/** The limits of a listener that names none. */
export const defaultHttpLimits: HttpLimits = {
  maxConnections: 10_000,
  maxHandshakes: 1_000,
  handshakeMs: 10_000,
  maxHeaderBytes: 16 * 1024,
  maxHeaderCount: 128,
  headersMs: 10_000,
  requestMs: 60_000,
  bodyStallMs: 10_000,
  maxDiscardedBytes: 256 * 1024,
  keepAliveMs: 65_000,
  maxPipelinedRequests: 100,
  maxConcurrentStreams: 1_000,
  streamWindowBytes: 65_535,
  sessionMemoryMb: 10,
  // Node's 33 a second would cut a busy gateway whose own callers give up often.
  streamResetBurst: 1_000,
  streamResetsPerSecond: 500,
  idleMs: 600_000,
  pingIntervalMs: 60_000,
  pingTimeoutMs: 20_000,
  slowReaderMs: 30_000,
};
