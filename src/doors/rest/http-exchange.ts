/** A request whose body has not been read. Its URL is absolute and parses; its signal aborts when the client is gone. */
export type HttpRequest = {
  readonly method: string;
  readonly url: string;
  readonly header: Headers;
  readonly body: AsyncIterable<Uint8Array>;
  readonly signal: AbortSignal;
};

/** A response. The body of one to HEAD is not sent. */
export type HttpResponse = {
  readonly status: number;
  readonly header: Readonly<Record<string, string>>;
  readonly body: Uint8Array | AsyncIterable<Uint8Array>;
};

/** Answers one request. Never rejects. */
export type HttpHandler = (request: HttpRequest) => Promise<HttpResponse>;
