/** A response whose parts are bytes: header blocks, and a body between them. The same as `src/wire/http2/` has it. */
export type LaneAnswer = {
  readonly head: Uint8Array;
  /** Null sends no DATA frame. */
  readonly body: Uint8Array | null;
  /** Null ends the stream with the part before. */
  readonly trailer: Uint8Array | null;
};

/** The values of the header fields that the lane asked for, in that order; null where the request has none. */
export type LaneHeaders = readonly (string | null)[];

/** What a lane may ask of its request's stream until its answer is there. `isClosed`: the client gave up, and no answer will be sent. */
export type LaneStream = { readonly isClosed: boolean };

/** The fast way out of an HTTP/2 connection, for one path: whole request in, whole response out. The same as `src/wire/http2/` has it. */
export type Lane<Context> = {
  readonly maxBodyBytes: number;
  /** Answers a longer body. */
  tooLarge(context: Context): LaneAnswer;
  /** Answers whoever may not call, before a part of its body is kept; null for who may. */
  refusal(context: Context): LaneAnswer | null;
  /** Whether a request takes the lane; false sends it the general way. */
  accepts(headers: LaneHeaders, authority: string, context: Context): boolean;
  /** Answers the body: `bytes` from `start` up to `end`, valid until this returns. */
  answer(
    bytes: Buffer,
    start: number,
    end: number,
    headers: LaneHeaders,
    context: Context,
    stream: LaneStream,
  ): LaneAnswer | Promise<LaneAnswer>;
};

/** Makes a header block of these fields. */
export type PrepareBlock = (fields: readonly (readonly [name: string, value: string])[]) => Uint8Array;
