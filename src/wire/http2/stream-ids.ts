const rememberedResets = 1_024;
const rememberedGaps = 32;

/** What a stream that is not open is. */
export const StreamPast = {
  /** Not begun (RFC 9113 section 5.1). */
  Idle: 0,
  /** Ended: the peer had said END_STREAM or reset it, and sends no more but by mistake. */
  Closed: 1,
  /** Reset by us: what the peer sent before it knew must be taken and dropped. */
  ResetByUs: 2,
  /** Passed over: it ended when a later stream began, without ever being used (section 5.1.1). */
  Skipped: 3,
} as const;
export type StreamPast = (typeof StreamPast)[keyof typeof StreamPast];

/** Remembers which streams a connection has had, in bounded space: streams that ended as usual leave nothing behind. */
export class StreamIds {
  /** The newest that the client began. */
  last = 0;
  readonly #resets = new Set<number>();
  readonly #gaps: { readonly first: number; readonly last: number }[] = [];

  /** Notes that the client begins a stream, which must be odd and above `last` (section 5.1.1). */
  begin(id: number): void {
    if (id > this.last + 2) {
      this.#gaps.push({ first: this.last + 1, last: id - 2 });
      if (this.#gaps.length > rememberedGaps) {
        this.#gaps.shift();
      }
    }
    this.last = id;
  }

  noteReset(id: number): void {
    this.#resets.add(id);
    if (this.#resets.size > rememberedResets) {
      for (const oldest of this.#resets) {
        this.#resets.delete(oldest);
        break;
      }
    }
  }

  /** What became of a stream that is not open. */
  pastOf(id: number): StreamPast {
    // The server opens no streams: even ids are idle for ever.
    if (id > this.last || id % 2 === 0) {
      return StreamPast.Idle;
    }
    if (this.#resets.has(id)) {
      return StreamPast.ResetByUs;
    }
    return this.#gaps.some((gap) => id >= gap.first && id <= gap.last) ? StreamPast.Skipped : StreamPast.Closed;
  }
}
