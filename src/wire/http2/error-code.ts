/** The error codes of RFC 9113 section 7. */
export const ErrorCode = {
  NoError: 0x0,
  ProtocolError: 0x1,
  InternalError: 0x2,
  FlowControlError: 0x3,
  SettingsTimeout: 0x4,
  StreamClosed: 0x5,
  FrameSizeError: 0x6,
  RefusedStream: 0x7,
  Cancel: 0x8,
  CompressionError: 0x9,
  ConnectError: 0xa,
  EnhanceYourCalm: 0xb,
  InadequateSecurity: 0xc,
  Http11Required: 0xd,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/**
 * Ends the whole connection with GOAWAY (RFC 9113 section 5.4.1). Thrown by the readers, caught once, in `Connection`.
 */
export class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.name = "ConnectionError";
    this.code = code;
  }
}

/**
 * Why a request ended before its response did: the reason of its signal, and what reading its body throws from then on.
 */
export class StreamAborted extends Error {
  /** The code of the RST_STREAM that was received or sent; any number, since peers may invent codes (section 7). */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.name = "StreamAborted";
    this.code = code;
  }
}
