/**
 * A response whose parts are bytes: header blocks (`encodePreparedBlock`) and a body between them. Made once, sent
 * often: the bytes must not change.
 */
export type LaneAnswer = {
  readonly head: Uint8Array;
  /** Null sends no DATA frame. */
  readonly body: Uint8Array | null;
  /** Null ends the stream with the part before. */
  readonly trailer: Uint8Array | null;
};

/**
 * The values of the fields in `Lanes.headers`, in that order; null where the request has none. Valid until the answer
 * is there, later or not: the array is used again.
 */
export type LaneHeaders = readonly (string | null)[];

/**
 * What a lane may ask of its request's stream until its answer is there. `isClosed`: the client gave up, and no answer
 * will be sent.
 */
export type LaneStream = { readonly isClosed: boolean };

/** The fast way out of a connection: one path, whole request in, whole response out. */
export type Lane<Context> = {
  /** A longer body is answered by `tooLarge`, as soon as that is known. */
  readonly maxBodyBytes: number;
  tooLarge(context: Context): LaneAnswer;
  /** The answer to a caller who may not ask here, or null for one who may. Asked before a part of a body is kept. */
  refusal(context: Context): LaneAnswer | null;
  /** Whether this POST takes the lane, asked when its header block is read; false sends it the general way. */
  accepts(headers: LaneHeaders, authority: string, context: Context): boolean;
  /**
   * Answers the body: `bytes` from `start` up to `end`, valid until this returns, even where the answer comes
   * later. What it throws resets the stream with INTERNAL_ERROR.
   */
  answer(
    bytes: Buffer,
    start: number,
    end: number,
    headers: LaneHeaders,
    context: Context,
    stream: LaneStream,
  ): LaneAnswer | Promise<LaneAnswer>;
};
