import type { HeaderPair } from "./hpack-encoder.ts";

/** A request on the general way out of a connection. */
export type GeneralRequest = {
  readonly method: string;
  readonly scheme: string;
  /**
   * `:authority`, or `Host` where there is none; empty where there is neither. Its characters were checked, no more.
   */
  readonly authority: string;
  readonly path: string;
  readonly headers: Headers;
  /** To be read once. Throws `StreamAborted` if the stream ends early. What is not read holds the peer back. */
  readonly body: AsyncIterable<Uint8Array>;
  /** Aborts, with a `StreamAborted`, when the stream is reset or the connection ends before the response is sent. */
  readonly signal: AbortSignal;
};

export type GeneralResponse = {
  readonly status: number;
  readonly header?: Iterable<HeaderPair>;
  readonly body?: AsyncIterable<Uint8Array> | Uint8Array;
  /** Read when the body has ended. */
  readonly trailer?: Iterable<HeaderPair>;
};

/** Answers what no lane takes. What it throws, or its body, resets the stream with INTERNAL_ERROR. */
export type Handler<Context> = (request: GeneralRequest, context: Context) => Promise<GeneralResponse>;
