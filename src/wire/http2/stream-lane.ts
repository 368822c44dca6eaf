import type { LaneHeaders } from "./lane.ts";

/** What a lane of streams says on one stream. Nothing that is said once the stream has closed is sent. */
export type Speaker = {
  /** Whether there is nothing that waits for a window: only then may anything be sent. */
  readonly hasRoom: boolean;
  /** Begins the response: a header block that `encodePreparedBlock` made. */
  begin(head: Uint8Array): void;
  /** Sends a part of the response's body. The bytes must not change. */
  send(bytes: Uint8Array): void;
  /** Ends the response, once all of it was sent, with a header block: its trailers, or the only one. */
  end(block: Uint8Array): void;
};

/** What a lane of streams hears of one stream, until it has ended its response. What it throws resets the stream. */
export type Listener = {
  /** How much it keeps of what it was handed: counted as held on its connection, until the stream ends. */
  readonly keptBytes: number;
  /**
   * A part of the request's body: `bytes` from `start` up to `end`, valid until this returns. Returns how much work
   * that was beyond reading it, in about a microsecond each.
   */
  hear(bytes: Buffer, start: number, end: number): number;
  /** The request has ended. */
  hearEnd(): void;
  /** What waited was sent. */
  onRoom(): void;
  /** The stream was closed. */
  onClosed(): void;
};

/**
 * The fast way of one path whose requests and responses are bytes that come and go: nothing waits between a part of a
 * body and what hears it, and no promise is made for it.
 */
export type StreamLane<Context> = {
  /** Whether this POST takes the lane, asked when its header block is read; false sends it the general way. */
  accepts(headers: LaneHeaders, authority: string, context: Context): boolean;
  /** Begins a stream; null where it was ended at once. The headers are valid until this returns. */
  open(headers: LaneHeaders, context: Context, speaker: Speaker): Listener | null;
};
