import { AuthorityError, asUndecided, type Reason } from "../authority/errors.ts";
import type { ReportFault } from "./fault-log.ts";
import { decidingRpcs } from "./rpcs.ts";

/** The codes of gRPC and their numbers. */
export const codeNumbers = {
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

/** A code by its name. */
export type Code = keyof typeof codeNumbers;

/** Why a call failed, whatever carries it. Message and metadata hold no value that came with the call. */
export type Status = {
  readonly code: Code;
  /** The ErrorInfo's reason; null for an error that tells nothing. */
  readonly reason: string | null;
  /** Lower-case, in our words. */
  readonly message: string;
  /** The ErrorInfo's metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What the log has beside it, for the person who is to mend it: never sent. */
  readonly details: Readonly<Record<string, string>> | null;
};

/** The domain of the ErrorInfo. */
export const errorDomain = "token.casapay.com";

/** The reasons of the domain, and those that are found before the domain is asked, or beside it. */
export type StatusReason =
  | Reason
  | "CALLER_UNIDENTIFIED"
  | "CALLER_UNKNOWN"
  | "ROLE_NOT_ALLOWED"
  | "HOST_NOT_LOCAL"
  | "REQUEST_MALFORMED"
  | "UNKNOWN_FIELD"
  | "REQUEST_TOO_LARGE"
  | "COMPRESSION_UNNAMED"
  | "DEADLINE_EXCEEDED"
  | "CALL_CANCELED"
  | "SERVICE_NOT_FOUND"
  | "TOO_MANY_STREAMS"
  | "TOO_MANY_REQUESTS";

const codeOf = {
  FIELD_INVALID: "INVALID_ARGUMENT",
  PAGE_TOKEN_INVALID: "INVALID_ARGUMENT",
  TYPE_NOT_GRANTED: "PERMISSION_DENIED",
  TOKEN_NOT_FOUND: "NOT_FOUND",
  ACCOUNT_CLOSED: "FAILED_PRECONDITION",
  TOKEN_LIMIT_REACHED: "RESOURCE_EXHAUSTED",
  STORAGE_LOW: "RESOURCE_EXHAUSTED",
  REQUEST_ID_REUSED: "ALREADY_EXISTS",
  SEALING_SECRET_MISSING: "FAILED_PRECONDITION",
  REPLAY_UNREADABLE: "FAILED_PRECONDITION",
  TOKEN_NOT_ACTIVE: "FAILED_PRECONDITION",
  ROTATION_UNDER_WAY: "FAILED_PRECONDITION",
  ROTATION_NOT_UNDER_WAY: "FAILED_PRECONDITION",
  KEY_LIMIT_REACHED: "FAILED_PRECONDITION",
  JOURNAL_WENT_BACK: "FAILED_PRECONDITION",
  UNDECIDED: "UNAVAILABLE",
  CALLER_UNIDENTIFIED: "UNAUTHENTICATED",
  CALLER_UNKNOWN: "PERMISSION_DENIED",
  ROLE_NOT_ALLOWED: "PERMISSION_DENIED",
  HOST_NOT_LOCAL: "PERMISSION_DENIED",
  REQUEST_MALFORMED: "INVALID_ARGUMENT",
  UNKNOWN_FIELD: "INVALID_ARGUMENT",
  REQUEST_TOO_LARGE: "RESOURCE_EXHAUSTED",
  REQUEST_NOT_SUPPORTED: "UNIMPLEMENTED",
  COMPRESSION_UNNAMED: "INTERNAL",
  DEADLINE_EXCEEDED: "DEADLINE_EXCEEDED",
  CALL_CANCELED: "CANCELLED",
  SERVICE_NOT_FOUND: "NOT_FOUND",
  TOO_MANY_STREAMS: "RESOURCE_EXHAUSTED",
  TOO_MANY_REQUESTS: "RESOURCE_EXHAUSTED",
} satisfies Record<StatusReason, Code>;

/** A failure in our words. */
export function statusOf(
  reason: StatusReason,
  message: string,
  metadata: Readonly<Record<string, string>> = {},
): Status {
  return { code: codeOf[reason], reason, message, metadata, details: null };
}

/** A fault of ours: the caller learns nothing about it. */
export const internalError: Status = {
  code: "INTERNAL",
  reason: null,
  message: "internal error",
  metadata: {},
  details: null,
};

export const deadlineExceeded = statusOf(
  "DEADLINE_EXCEEDED",
  "the deadline has passed: a change may have happened all the same",
);

export const callCanceled = statusOf("CALL_CANCELED", "the call was canceled");

/**
 * How a call fails with an error of the domain or a fault of ours. A fault is told to the log, since its caller learns
 * nothing of it. Where a key is decided on, a fault is an outage: it must never look like a bad key.
 */
export function statusOfError(thrown: unknown, rpc: string, reportFault: ReportFault): Status {
  const error = decidingRpcs.has(rpc) ? asUndecided(thrown) : thrown;
  if (!(error instanceof AuthorityError) || error.reason === "UNDECIDED") {
    reportFault(error, rpc);
  }
  return error instanceof AuthorityError ? statusOfAuthorityError(error) : internalError;
}

/** The same refusal, as a call ends with it. */
export function statusOfAuthorityError({ reason, field, rule, tokenId, details }: AuthorityError): Status {
  const name = field === null ? null : protoFieldName(field);
  const metadata = { ...(name === null ? {} : { field: name }), ...(tokenId === null ? {} : { token_id: tokenId }) };
  const told = name !== null && isSaidOfField[reason] ? `${name} ${rule}` : rule;
  const hint = reason === "SEALING_SECRET_MISSING" ? ": set TOKEN_AUTHORITY_SEALING_SECRET" : "";
  return { ...statusOf(reason, told + hint, metadata), details };
}

/** Whether the rule is said of its field, as "must be …" is. The others are whole sentences. */
const isSaidOfField = {
  FIELD_INVALID: true,
  PAGE_TOKEN_INVALID: true,
  TYPE_NOT_GRANTED: false,
  TOKEN_NOT_FOUND: false,
  ACCOUNT_CLOSED: false,
  TOKEN_LIMIT_REACHED: false,
  STORAGE_LOW: false,
  REQUEST_ID_REUSED: true,
  SEALING_SECRET_MISSING: true,
  REPLAY_UNREADABLE: false,
  TOKEN_NOT_ACTIVE: false,
  ROTATION_UNDER_WAY: false,
  ROTATION_NOT_UNDER_WAY: false,
  KEY_LIMIT_REACHED: false,
  REQUEST_NOT_SUPPORTED: false,
  JOURNAL_WENT_BACK: true,
  UNDECIDED: false,
} satisfies Record<Reason, boolean>;

/**
 * What the proto calls a property of the domain's requests: `key_hint` for `keyHint`. A word of a door's own stays as
 * it is.
 */
function protoFieldName(field: string): string {
  const name = field === "expiresAtMs" ? "expireTime" : field.replace(/Ms$/, "");
  return name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
