import type { IncomingMessage, ServerResponse } from "node:http";
import { closeIterator } from "../close-iterator.ts";
import type { HttpRequest, HttpResponse } from "../exchange.ts";
import type { HttpLimits } from "../port/limits.ts";
import { untilAborted } from "../until-aborted.ts";
import type { Http1RequestBody } from "./http1-request-body.ts";
import { waitForEvent } from "./wait-for-event.ts";

/** Thrown where the peer is gone or does not read: no fault of the handler's, and not worth a log line. */
export class PeerGoneError extends Error {
  override readonly name = "PeerGoneError";
}

/** Where the response to one request goes. */
export class Http1Reply {
  readonly #message: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #requestBody: Http1RequestBody;
  readonly #limits: HttpLimits;
  #started = false;

  constructor(message: IncomingMessage, response: ServerResponse, requestBody: Http1RequestBody, limits: HttpLimits) {
    this.#message = message;
    this.#response = response;
    this.#requestBody = requestBody;
    this.#limits = limits;
  }

  /** Whether anything of a response was sent. */
  get isStarted(): boolean {
    return this.#started;
  }

  /**
   * Resolves when all was handed to the connection. Throws `PeerGoneError`, what the body throws, and where HTTP cannot
   * carry the response.
   */
  async send(request: HttpRequest, { status, header, body, trailer }: HttpResponse): Promise<void> {
    const fields = new Headers(header);
    if (request.method === "HEAD" || status === 204 || status === 304) {
      this.#start(status, fields);
      if (body !== undefined && !(body instanceof Uint8Array)) {
        closeIterator(body[Symbol.asyncIterator]());
      }
      await this.#end(new Headers());
      return;
    }
    if (body === undefined || body instanceof Uint8Array) {
      const chunk = body ?? new Uint8Array(0);
      // A trailer needs chunks, which go without a length.
      if (trailer === undefined && !fields.has("content-length")) {
        fields.set("content-length", String(chunk.byteLength));
      }
      this.#start(status, fields);
      if (chunk.byteLength > 0) {
        await this.#write(chunk);
      }
    } else {
      await this.#sendChunks(body, request.signal, () => this.#start(status, fields));
    }
    await this.#end(new Headers(trailer));
  }

  /** Breaks the response off, so that the peer cannot take it for a whole one. */
  reset(): void {
    this.#message.socket.destroy();
  }

  async #sendChunks(body: AsyncIterable<Uint8Array>, signal: AbortSignal, start: () => void): Promise<void> {
    const iterator = body[Symbol.asyncIterator]();
    let finished = false;
    try {
      for (;;) {
        const next = await untilAborted(iterator.next(), signal);
        // The header waits for the first chunk: both leave in one write.
        if (!this.#started) {
          start();
        }
        if (next.done === true) {
          finished = true;
          return;
        }
        await this.#write(next.value);
      }
    } finally {
      if (!finished) {
        closeIterator(iterator);
      }
    }
  }

  #start(status: number, header: Headers): void {
    this.#requestBody.beginAnswer();
    // Node writes the header with the first chunk.
    this.#response.statusCode = status;
    this.#response.setHeaders(header);
    if (!this.#canReadRest()) {
      this.#response.shouldKeepAlive = false;
    }
    this.#started = true;
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (this.#response.destroyed) {
      throw new PeerGoneError("the connection is closed");
    }
    if (!this.#response.write(chunk)) {
      await this.#progress(["drain", "close"]);
    }
  }

  async #end(trailer: Headers): Promise<void> {
    const response = this.#response;
    if (response.destroyed) {
      return;
    }
    const fields = [...trailer];
    if (fields.length > 0) {
      response.addTrailers(fields);
    }
    const waiting = this.#progress(["finish", "close"]);
    response.end();
    // What is left of the request stands before the next one on this connection.
    const { maxDiscardedBytes, bodyStallMs } = this.#limits;
    this.#requestBody.discard(maxDiscardedBytes, bodyStallMs, () => {
      // After a last response the connection lingers for a moment anyway.
      if (response.shouldKeepAlive) {
        this.reset();
      }
    });
    await waiting;
  }

  // A peer that is still sending may be cut, and must not send its next request on this connection: no client may send
  // a POST again when that fails (RFC 9112, 9.3.1 and 9.6).
  #canReadRest(): boolean {
    const { complete, headers } = this.#message;
    const length = headers["content-length"];
    // Where a request asks for another protocol, Node's parser hands on nothing more once the response has ended.
    const mayGoOn = headers.upgrade === undefined && length !== undefined;
    return complete || (mayGoOn && Number(length) <= this.#limits.maxDiscardedBytes);
  }

  async #progress(events: readonly string[]): Promise<void> {
    if (!(await waitForEvent(this.#response, events, this.#limits.slowReaderMs))) {
      this.reset();
      throw new PeerGoneError("the peer does not read the response");
    }
  }
}
