/** Every bound of a connection. Bytes and milliseconds; each has a test that fills it. */
export type Limits = {
  /** Largest frame payload we take: SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** Largest decoded header list, 32 bytes a field included (RFC 9113 section 6.5.2). A longer one is answered 431. */
  readonly maxHeaderListBytes: number;
  readonly maxHeaderFields: number;
  /** Largest encoded header block, its CONTINUATION frames included. A longer one ends the connection. */
  readonly maxHeaderBlockBytes: number;
  /** How many CONTINUATION frames one header block may have (CVE-2024-27983). */
  readonly maxContinuations: number;
  /** Our dynamic table: SETTINGS_HEADER_TABLE_SIZE, also the most that our encoder uses of the peer's. */
  readonly headerTableBytes: number;
  /**
   * Requests under way on a connection: SETTINGS_MAX_CONCURRENT_STREAMS. Never is more work under way than for so many
   * (CVE-2025-8671).
   */
  readonly maxConcurrentStreams: number;
  /** Body bytes that one request may have sent and we not yet handed on. */
  readonly streamWindowBytes: number;
  /** Body bytes that may be on their way on a connection, as long as its account has room for them. */
  readonly connectionWindowBytes: number;
  /**
   * What a connection may hold of its requests: header blocks and bodies that came and were not handed on, and the
   * header fields of general requests under way. Fields take half of it at most: a request that brings more is refused.
   * Room for a connection's window is kept from requests that have not begun: past it, the one of them that holds most
   * is refused.
   */
  readonly maxHeldBytes: number;
  /** What may wait to be written on a connection. Past it, nothing more is read from it. */
  readonly maxUnsentBytes: number;
  /**
   * Bytes of response bodies that wait on a connection, for windows most of all. Past it, no general request's handler
   * begins.
   */
  readonly maxWaitingBodyBytes: number;
  /**
   * General requests of a connection whose handlers are at work on a response: each may bring one body more than the
   * bound above. And of all its requests, those at work where the reset budget is spent.
   */
  readonly maxHandlersAtOnce: number;
  /**
   * What a connection may have beyond its answered requests, each of which gives one back: requests that it gave up
   * when work on them had begun, past which few begin at once (CVE-2023-44487); and streams that it got wrong, past
   * which it is ended (CVE-2019-9514).
   */
  readonly resetBudget: number;
  /**
   * SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA and unknown frames a connection may send beyond its real work
   * (CVE-2019-9511 to 9518).
   */
  readonly controlBudget: number;
  /** What each of these budgets get back a second, whatever happens. */
  readonly budgetRefillPerSecond: number;
  /** Work, in about a microsecond each, that one connection may cause before the others have their turn. */
  readonly maxWorkPerTurn: number;
  /** General requests of all connections that begin in one turn. The others have theirs in the turns that follow. */
  readonly maxGeneralPerTurn: number;
  /** From the first byte we send to the client's preface and SETTINGS, and to its acknowledgement of ours. */
  readonly handshakeMs: number;
  /** From the first byte of a frame or header block to its last. */
  readonly headerMs: number;
  /** From a lane request's header block to the end of its body. */
  readonly laneBodyMs: number;
  /** The longest silence in the request body of a general request whose response has not begun. */
  readonly bodyIdleMs: number;
  /**
   * How long the peer may take none of what waits to be written on its connection, and of what waits for windows on a
   * stream.
   */
  readonly writeStallMs: number;
  /** The same, once the server closes: whoever takes nothing of its last answers holds it up no longer than this. */
  readonly closingStallMs: number;
  /** Silence before we send a PING, and what the peer then has to answer. */
  readonly keepaliveMs: number;
  readonly keepaliveAnswerMs: number;
  /** How long a connection may have no request under way. */
  readonly idleMs: number;
  /** Age at which a connection is asked to leave, give or take `ageJitter` of it; and what it then has to finish. */
  readonly maxAgeMs: number;
  readonly ageJitter: number;
  readonly maxAgeGraceMs: number;
  /** From the first GOAWAY of a graceful end to the second, at most: a round trip (RFC 9113 section 6.8). */
  readonly goAwayMs: number;
  /** How long we read, and throw away, after a connection error, so that the peer can read our GOAWAY. */
  readonly lingerMs: number;
  /**
   * How often deadlines are looked at: they are met this exactly. A sweep that comes later than twice this adds no more
   * to any of them.
   */
  readonly sweepMs: number;
  readonly maxConnections: number;
};

export const defaultLimits: Limits = {
  maxFrameBytes: 16_384,
  maxHeaderListBytes: 16_384,
  maxHeaderFields: 128,
  maxHeaderBlockBytes: 262_144,
  maxContinuations: 128,
  headerTableBytes: 4_096,
  maxConcurrentStreams: 1_000,
  streamWindowBytes: 65_535,
  connectionWindowBytes: 1_048_576,
  maxHeldBytes: 16_777_216,
  maxUnsentBytes: 262_144,
  maxWaitingBodyBytes: 4_194_304,
  maxHandlersAtOnce: 64,
  resetBudget: 1_000,
  controlBudget: 10_000,
  budgetRefillPerSecond: 100,
  maxWorkPerTurn: 1_000,
  maxGeneralPerTurn: 2,
  handshakeMs: 10_000,
  headerMs: 10_000,
  laneBodyMs: 20_000,
  bodyIdleMs: 10_000,
  writeStallMs: 30_000,
  closingStallMs: 2_000,
  keepaliveMs: 60_000,
  keepaliveAnswerMs: 20_000,
  idleMs: 300_000,
  maxAgeMs: 3_600_000,
  ageJitter: 0.1,
  maxAgeGraceMs: 30_000,
  goAwayMs: 1_000,
  lingerMs: 1_000,
  sweepMs: 500,
  maxConnections: 10_000,
};
