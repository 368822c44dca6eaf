import type { IncomingMessage } from "node:http";
import { startSilenceTimer } from "../silence-timer.ts";

type Wake = () => void;

/** Thrown into a handler that waits for a body whose peer sends nothing. */
class BodyStalledError extends Error {
  override readonly name = "BodyStalledError";
}

/** Thrown into a handler whose peer went away before the body ended. */
class BodyTruncatedError extends Error {
  override readonly name = "BodyTruncatedError";
}

/**
 * The body of a request, pulled: between two pulls nothing is read, so that TCP's flow
 * control bounds what waits here.
 */
export class Http1RequestBody implements AsyncIterable<Uint8Array> {
  readonly #source: IncomingMessage;
  #stallMs: number;
  #callOffStall: () => void = ignore;
  readonly #onStall: () => void;
  readonly #chunks: Uint8Array[] = [];
  #readBytes = 0;
  #hasAnswerBegun = false;
  #state: "untouched" | "reading" | "ended" | "discarded" = "untouched";
  #error: Error | null = null;
  #wake: Wake | null = null;

  /** `onStall` is called once, when a reader has waited for `stallMs`. */
  constructor(source: IncomingMessage, stallMs: number, onStall: () => void) {
    this.#source = source;
    this.#stallMs = stallMs;
    this.#onStall = onStall;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => this.#next(),
      return: async () => ({ done: true, value: undefined }),
    };
  }

  /** What came of it and its reader may keep, until the response begins. */
  get keptBytes(): number {
    return this.#hasAnswerBegun ? 0 : this.#readBytes;
  }

  /**
   * Reads and throws away what is left, so that the connection stays usable; more than `maxBytes` or longer
   * than `ms` calls `cut`.
   */
  discard(maxBytes: number, ms: number, cut: () => void): void {
    const source = this.#source;
    const wasUntouched = this.#state === "untouched";
    this.#state = "discarded";
    this.#wake?.();
    if (source.readableEnded || source.destroyed) {
      return;
    }
    let seenBytes = 0;
    const callOff = startSilenceTimer(ms, cut);
    source.on("data", (chunk: Uint8Array) => {
      seenBytes += chunk.byteLength;
      if (seenBytes > maxBytes) {
        callOff();
        source.pause();
        cut();
      }
    });
    source.once("end", callOff);
    source.once("close", callOff);
    if (wasUntouched) {
      source.on("error", ignore);
    }
    source.resume();
  }

  /** The response begins. From now on a silent peer is not given up: the response's own deadline rules. */
  beginAnswer(): void {
    this.#hasAnswerBegun = true;
    this.#stallMs = Number.POSITIVE_INFINITY;
    this.#callOffStall();
  }

  async #next(): Promise<IteratorResult<Uint8Array>> {
    if (this.#state === "untouched") {
      this.#start();
    }
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        return { done: false, value: chunk };
      }
      if (this.#error !== null) {
        throw this.#error;
      }
      if (this.#state === "ended") {
        return { done: true, value: undefined };
      }
      if (this.#state === "discarded") {
        throw new BodyTruncatedError("the response to this request is complete");
      }
      await this.#more();
    }
  }

  #start(): void {
    this.#state = "reading";
    const source = this.#source;
    source.on("data", (chunk: Uint8Array) => {
      if (this.#state === "reading") {
        this.#chunks.push(chunk);
        this.#readBytes += chunk.byteLength;
        source.pause();
        this.#wake?.();
      }
    });
    source.on("end", () => this.#finish());
    source.on("close", () => this.#finish());
    source.on("error", () => this.#finish());
    if (source.readableEnded || source.destroyed) {
      this.#finish();
    }
  }

  #finish(): void {
    if (this.#state === "reading") {
      // A connection that closed may end it as well: never let half a body pass for all of it.
      this.#error = this.#source.complete ? null : new BodyTruncatedError("the peer broke off the request body");
      this.#state = "ended";
      this.#wake?.();
    }
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      if (Number.isFinite(this.#stallMs)) {
        this.#callOffStall = startSilenceTimer(this.#stallMs, () => this.#stall());
      }
      this.#wake = () => {
        this.#wake = null;
        this.#callOffStall();
        resolve();
      };
      this.#source.resume();
    });
  }

  #stall(): void {
    this.#error ??= new BodyStalledError("the peer stopped sending the request body");
    this.#onStall();
    // The answer to the peer is decided before the handler hears of it, and may reject because of it.
    setImmediate(() => this.#wake?.());
  }
}

function ignore(): void {}
