import type { Peer } from "./port/peer.ts";

/** Fields of a header, in their order: names in lower case. */
export type HeaderFields = readonly (readonly [name: string, value: string])[];

/** One request, whatever the protocol that carried it. */
export type HttpRequest = {
  /** "1.0", "1.1" or "2.0". */
  readonly httpVersion: string;
  readonly method: string;
  /** Absolute, `scheme://authority/path?query`, and known to parse. */
  readonly url: string;
  /** Without pseudo headers. */
  readonly header: Headers;
  /** Throws when the peer breaks off or stalls: an end is always the whole body's end. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborts when the peer resets the stream or goes away before the response is complete. */
  readonly signal: AbortSignal;
  /** Who is at the other end. What it proves holds for this moment, and is asked for where it is used. */
  readonly peer: Peer;
};

/**
 * What a handler answers. The header is flushed with the first chunk of the body. The body of an answer to HEAD is not
 * sent.
 */
export type HttpResponse = {
  readonly status: number;
  readonly header?: Headers | Readonly<Record<string, string>>;
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array;
  /** Read after the body ended, so that a Headers object may be filled while it runs. */
  readonly trailer?: Headers | Readonly<Record<string, string>>;
};

/** A response that is there as a whole. */
export type ShortResponse = {
  readonly status: number;
  readonly header: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

/**
 * Answers a request whose header is larger than is read. `contentType` is its own, or empty where that is not known.
 */
export type RefuseLargeHeader = (peer: Peer, contentType: string) => ShortResponse;

/** Answers one request. What it throws is logged and answered with 500, and nothing of it is echoed. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;
