import { BodyBuffer } from "./body-buffer.ts";

/** The reader of a body. */
export type BodyReader = {
  /** Hears of each byte that left, read or thrown away; with 0 of the wish for one. */
  onRead(bytes: number): void;
  /** Hears that the reader waits for the client. */
  onWait(): void;
  /** Hears that what the reader waits for has come, and calls back when it may go on. */
  onArrival(goOn: () => void): void;
};

type Waiting = {
  readonly resolve: (result: IteratorResult<Uint8Array>) => void;
  readonly reject: (reason: unknown) => void;
};

/**
 * The body of a general request: read it once, from start to end. What is read makes room for more (RFC 9113 section
 * 5.2).
 */
export class RequestBody implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #reader: BodyReader;
  readonly #buffer = new BodyBuffer();
  #waiting: Waiting | null = null;
  #hasEnded = false;
  #isUnwanted = false;
  #failure: Error | null = null;

  constructor(reader: BodyReader) {
    this.#reader = reader;
  }

  /** What waits to be read. */
  get heldBytes(): number {
    return this.#buffer.length;
  }

  push(bytes: Buffer, start: number, end: number): void {
    if (this.#isUnwanted) {
      this.#reader.onRead(end - start);
      return;
    }
    this.#buffer.push(bytes, start, end);
    this.#wake();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  /** What was not read is thrown away; reading throws from now on. */
  fail(reason: Error): void {
    if (this.#hasEnded && this.#buffer.length === 0) {
      return;
    }
    this.#failure = reason;
    this.#discard();
    this.#serve();
  }

  next(): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#waiting !== null) {
        reject(new Error("a request body is read by one reader, one chunk after another"));
        return;
      }
      this.#waiting = { resolve, reject };
      this.#reader.onRead(0);
      this.#serve();
      if (this.#waiting !== null) {
        this.#reader.onWait();
      }
    });
  }

  /** The reader wants no more. */
  return(): Promise<IteratorResult<Uint8Array>> {
    this.#hasEnded = true;
    this.#discard();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #wake(): void {
    if (this.#waiting !== null) {
      this.#reader.onArrival(() => this.#serve());
    }
  }

  #serve(): void {
    const waiting = this.#waiting;
    if (waiting === null) {
      return;
    }
    const chunk = this.#buffer.take();
    if (chunk !== null) {
      this.#waiting = null;
      waiting.resolve({ done: false, value: chunk });
      this.#reader.onRead(chunk.length);
    } else if (this.#failure !== null) {
      this.#waiting = null;
      waiting.reject(this.#failure);
    } else if (this.#hasEnded) {
      this.#waiting = null;
      waiting.resolve({ done: true, value: undefined });
    }
  }

  #discard(): void {
    this.#isUnwanted = true;
    const { length } = this.#buffer;
    this.#buffer.clear();
    this.#reader.onRead(length);
  }
}
