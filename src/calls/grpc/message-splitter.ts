import { BodyBuffer } from "../../wire/http2/body-buffer.ts";
import { type PrefixFault, prefixBytes, prefixFault } from "../../wire/protobuf/length-prefixed.ts";

/** Takes messages with their prefixes from a body in parts. Keeps the one that lacks its end, and no other. */
export class MessageSplitter {
  readonly #maxMessageBytes: number;
  /** What came of a message that lacks its end; null between messages. */
  #held: BodyBuffer | null = null;
  /** How many bytes are held when there is something to look at. */
  #needed = prefixBytes;

  constructor(maxMessageBytes: number) {
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** Whether a message has begun and lacks its end. */
  get isMidMessage(): boolean {
    return this.#held !== null;
  }

  /** How much is kept of a message that lacks its end. */
  get keptBytes(): number {
    return this.#held?.length ?? 0;
  }

  /**
   * Hands on each message that ends in this part, without its prefix: `onMessage` hears where it lies, until it
   * returns, and tells whether it wants the next. Returns what is wrong with a prefix; null if nothing.
   */
  take(
    bytes: Buffer,
    start: number,
    end: number,
    onMessage: (bytes: Buffer, start: number, end: number) => boolean,
  ): PrefixFault | null {
    let at = start;
    while (at < end) {
      if (this.#held === null) {
        const whole = this.#wholeMessageEnd(bytes, at, end);
        if (typeof whole === "string") {
          return whole;
        }
        if (whole !== null) {
          const from = at + prefixBytes;
          at = whole;
          if (!onMessage(bytes, from, whole)) {
            return null;
          }
          continue;
        }
        this.#held = new BodyBuffer();
        this.#needed = prefixBytes;
      }
      const held = this.#held;
      const count = Math.min(end - at, this.#needed - held.length);
      held.push(bytes, at, at + count);
      at += count;
      if (held.length < this.#needed) {
        return null;
      }
      const whole = held.takeAll();
      if (whole.length === prefixBytes) {
        const fault = prefixFault(whole, 0, this.#maxMessageBytes);
        if (fault !== null) {
          return fault;
        }
        this.#needed += whole.readUInt32BE(1);
      }
      if (whole.length < this.#needed) {
        held.push(whole, 0, whole.length);
        continue;
      }
      this.#held = null;
      if (!onMessage(whole, prefixBytes, whole.length)) {
        return null;
      }
    }
    return null;
  }

  /** Where the message ends that begins here, if it lies here as a whole; null if it does not. */
  #wholeMessageEnd(bytes: Buffer, at: number, end: number): number | PrefixFault | null {
    if (end - at < prefixBytes) {
      return null;
    }
    const fault = prefixFault(bytes, at, this.#maxMessageBytes);
    if (fault !== null) {
      return fault;
    }
    const messageEnd = at + prefixBytes + bytes.readUInt32BE(at + 1);
    return messageEnd <= end ? messageEnd : null;
  }
}
