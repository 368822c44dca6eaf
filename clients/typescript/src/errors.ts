import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { ConnectionLost } from "./sessions.ts";

/** A gRPC status other than OK, by its name. */
export type StatusCode =
  | "CANCELLED"
  | "UNKNOWN"
  | "INVALID_ARGUMENT"
  | "DEADLINE_EXCEEDED"
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "PERMISSION_DENIED"
  | "RESOURCE_EXHAUSTED"
  | "FAILED_PRECONDITION"
  | "ABORTED"
  | "OUT_OF_RANGE"
  | "UNIMPLEMENTED"
  | "INTERNAL"
  | "UNAVAILABLE"
  | "DATA_LOSS"
  | "UNAUTHENTICATED";

const codeNames = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "UNKNOWN",
  [Code.InvalidArgument]: "INVALID_ARGUMENT",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "NOT_FOUND",
  [Code.AlreadyExists]: "ALREADY_EXISTS",
  [Code.PermissionDenied]: "PERMISSION_DENIED",
  [Code.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [Code.FailedPrecondition]: "FAILED_PRECONDITION",
  [Code.Aborted]: "ABORTED",
  [Code.OutOfRange]: "OUT_OF_RANGE",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.DataLoss]: "DATA_LOSS",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
} satisfies Record<Code, StatusCode>;

/** What no repetition puts right: the program, or how it was set up, has to change. */
const mistakes: ReadonlySet<StatusCode> = new Set([
  "INVALID_ARGUMENT",
  "UNAUTHENTICATED",
  "PERMISSION_DENIED",
  "UNIMPLEMENTED",
  "FAILED_PRECONDITION",
  "NOT_FOUND",
  "ALREADY_EXISTS",
  "OUT_OF_RANGE",
]);

/** Of the authority's ErrorInfo: others on the way may send their own. */
const errorDomain = "token.casapay.com";

/** What is known of a failed call. */
export type Failure = {
  readonly code: StatusCode;
  /** The reason of the authority's ErrorInfo, such as `TOKEN_NOT_FOUND`; null when the authority did not answer. */
  readonly reason: string | null;
  /** The field at fault, as the contract names it, or null. */
  readonly field: string | null;
  /** Never holds a key. */
  readonly message: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly cause?: unknown;
  /** Something threw in this program, and nothing between it and the authority is at fault. */
  readonly ofProgram?: boolean;
};

/** A call to the authority failed. Its message never holds a key. */
export class AuthorityError extends Error {
  override readonly name: string = "AuthorityError";
  readonly code: StatusCode;
  /** The reason of the authority's ErrorInfo, such as `TOKEN_NOT_FOUND`; null when the authority did not answer. */
  readonly reason: string | null;
  /** The field at fault, as the contract names it, or null. */
  readonly field: string | null;
  /** All that ErrorInfo says: `token_id` beside REPLAY_UNREADABLE. */
  readonly metadata: Readonly<Record<string, string>>;
  /**
   * What Create was sent with. After an outage the token may exist: Create with the same request and this id answers
   * it, for 24 hours.
   */
  readonly requestId: string | null;
  readonly #ofProgram: boolean;

  constructor(
    { code, reason, field, message, metadata, cause, ofProgram = false }: Failure,
    requestId: string | null = null,
  ) {
    super(`${code}${reason === null ? "" : ` (${reason})`}: ${message}`, { cause });
    this.code = code;
    this.reason = reason;
    this.field = field;
    this.metadata = metadata;
    this.requestId = requestId;
    this.#ofProgram = ofProgram;
  }

  /** Whether the program or its setup is at fault, and not the moment: calling again does not help. */
  get isMistake(): boolean {
    return this.#ofProgram || mistakes.has(this.code);
  }
}

/** Nothing was decided about a key. It is no refusal: never tell the bearer that the key is bad because of it. */
export class UndecidedError extends AuthorityError {
  override readonly name: string = "UndecidedError";
}

/** A failure that the client itself knows. */
export function failure(code: StatusCode, message: string, cause?: unknown): Failure {
  return { code, reason: null, field: null, message, metadata: {}, cause };
}

/**
 * What a failed attempt tells. What no peer answered was lost on the way, which is UNAVAILABLE whatever the library
 * calls it. What something in this program threw is neither: it is INTERNAL, and is not tried again.
 */
export function failureOf(error: unknown): Failure {
  const thrown = thrownBy(error);
  if (thrown !== null) {
    // Its own message may quote a value.
    return { ...failure("INTERNAL", `this program failed, not the authority: ${thrown}`, error), ofProgram: true };
  }
  const connectError = ConnectError.from(error);
  const { code, rawMessage, metadata, cause } = connectError;
  // The headers of an answer.
  if ([...metadata].length === 0) {
    return failure(code === Code.DeadlineExceeded ? "DEADLINE_EXCEEDED" : "UNAVAILABLE", rawMessage, cause);
  }
  const info = connectError.findDetails(ErrorInfoSchema).find(({ domain }) => domain === errorDomain);
  return {
    code: codeNames[code],
    reason: info?.reason ?? null,
    field: info?.metadata.field ?? null,
    message: rawMessage,
    metadata: { ...info?.metadata },
  };
}

/**
 * What an error is called that no peer and no network made, or null. Node gives those of its networks a code; ours have
 * a class.
 */
function thrownBy(error: unknown): string | null {
  if (!(error instanceof Error)) {
    return String(typeof error);
  }
  if (error instanceof ConnectError) {
    return error.cause === undefined ? null : thrownBy(error.cause);
  }
  const isOfNetwork = error instanceof ConnectionLost || ("code" in error && typeof error.code === "string");
  return isOfNetwork && !(error instanceof TypeError || error instanceof RangeError) ? null : error.constructor.name;
}
