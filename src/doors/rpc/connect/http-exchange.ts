import type { Peer } from "../../../wire/port/peer.ts";

/** A request whose body has not been read. Its URL is absolute and parses; its signal aborts when the client is gone. */
export type HttpRequest = {
  readonly httpVersion: string;
  readonly method: string;
  readonly url: string;
  readonly header: Headers;
  readonly body: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
  readonly peer: Peer;
};

/** A response. Trailers count only once the body has ended. */
export type HttpResponse = {
  readonly status: number;
  readonly header?: Headers | Readonly<Record<string, string>>;
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array;
  readonly trailer?: Headers | Readonly<Record<string, string>>;
};

/** Answers one request. Never rejects. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;
