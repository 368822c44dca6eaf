import type { DescMessage } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import type { Role } from "../../authority/caller.ts";
import type { AuthorityError, Reason } from "../../authority/errors.ts";
import type { IdentityFault } from "../../wire/port/peer.ts";

const domain = "token.casapay.com";

/** The reasons of errors that are found before the domain is asked, or beside it. */
export type WireReason =
  | Reason
  | "CALLER_UNIDENTIFIED"
  | "CALLER_UNKNOWN"
  | "ROLE_NOT_ALLOWED"
  | "HOST_NOT_LOCAL"
  | "REQUEST_MALFORMED"
  | "UNKNOWN_FIELD"
  | "REQUEST_TOO_LARGE"
  | "REQUEST_NOT_SUPPORTED"
  | "COMPRESSION_UNNAMED"
  | "DEADLINE_EXCEEDED"
  | "CALL_CANCELED"
  | "SERVICE_NOT_FOUND"
  | "TOO_MANY_STREAMS"
  | "TOO_MANY_REQUESTS";

const codes = {
  FIELD_INVALID: Code.InvalidArgument,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  TYPE_NOT_GRANTED: Code.PermissionDenied,
  TOKEN_NOT_FOUND: Code.NotFound,
  TOKEN_LIMIT_REACHED: Code.ResourceExhausted,
  STORAGE_LOW: Code.ResourceExhausted,
  REQUEST_ID_REUSED: Code.AlreadyExists,
  SEALING_SECRET_MISSING: Code.FailedPrecondition,
  REPLAY_UNREADABLE: Code.FailedPrecondition,
  UNDECIDED: Code.Unavailable,
  CALLER_UNIDENTIFIED: Code.Unauthenticated,
  CALLER_UNKNOWN: Code.PermissionDenied,
  ROLE_NOT_ALLOWED: Code.PermissionDenied,
  HOST_NOT_LOCAL: Code.PermissionDenied,
  REQUEST_MALFORMED: Code.InvalidArgument,
  UNKNOWN_FIELD: Code.InvalidArgument,
  REQUEST_TOO_LARGE: Code.ResourceExhausted,
  REQUEST_NOT_SUPPORTED: Code.Unimplemented,
  COMPRESSION_UNNAMED: Code.Internal,
  DEADLINE_EXCEEDED: Code.DeadlineExceeded,
  CALL_CANCELED: Code.Canceled,
  SERVICE_NOT_FOUND: Code.NotFound,
  TOO_MANY_STREAMS: Code.ResourceExhausted,
  TOO_MANY_REQUESTS: Code.ResourceExhausted,
} satisfies Record<WireReason, Code>;

/** An error in our words, with a google.rpc.ErrorInfo. Neither message nor metadata may hold a value that came with the request. */
export function wireError(
  reason: WireReason,
  message: string,
  metadata: Readonly<Record<string, string>> = {},
): ConnectError {
  return new ConnectError(message, codes[reason], undefined, [
    { desc: ErrorInfoSchema, value: { domain, reason, metadata: { ...metadata } } },
  ]);
}

/** The same refusal, for the wire. */
export function fromAuthorityError(error: AuthorityError): ConnectError {
  return wireError(error.reason, error.message, error.metadata);
}

/** What a caller learns about a fault of ours: nothing. */
export function internalError(): ConnectError {
  return new ConnectError("internal error", Code.Internal);
}

/** The reason that our words gave, or null for an error that has none. */
export function reasonOf(error: ConnectError): string | null {
  return error.findDetails(ErrorInfoSchema)[0]?.reason ?? null;
}

const faultMessages = {
  CERTIFICATE_MISSING: "a client certificate that names one identity is required, and none was shown",
  CERTIFICATE_UNTRUSTED: "the client certificate was not issued by a CA that is trusted here now",
  CERTIFICATE_EXPIRED: "the client certificate, or one of those that issued it, has expired",
  CERTIFICATE_NOT_YET_VALID: "the client certificate, or one of those that issued it, is not valid yet",
  CERTIFICATE_UNSUITABLE: "the client certificate is not good for a client: its usage, key or signature",
  CERTIFICATE_WITHOUT_IDENTITY:
    "the client certificate must name one identity: a SPIFFE ID as its only URI, or a DNS name",
  PLAINTEXT_FROM_ELSEWHERE: "plaintext is answered to callers on this machine only",
} satisfies Record<IdentityFault, string>;

/** In words of its own for each fault. */
export function callerUnidentified(fault: IdentityFault): ConnectError {
  return wireError("CALLER_UNIDENTIFIED", faultMessages[fault], { fault });
}

export function callerUnknown(): ConnectError {
  return wireError("CALLER_UNKNOWN", "the caller's identity is not in the callers file");
}

export function roleNotAllowed(role: Role, rpc: string): ConnectError {
  return wireError("ROLE_NOT_ALLOWED", `the role ${role} may not call ${rpc}`);
}

export function hostNotLocal(): ConnectError {
  return wireError("HOST_NOT_LOCAL", "a plaintext request must name localhost or a loopback address as its host");
}

export function requestMalformed(message: string, field: string | null = null): ConnectError {
  return wireError("REQUEST_MALFORMED", message, field === null ? {} : { field });
}

/** The bytes are no such message. */
export function messageUndecodable(message: DescMessage): ConnectError {
  return requestMalformed(`the message could not be decoded as ${message.typeName}`);
}

/** `path` is the number of the field, below those of the messages that hold it. */
export function unknownFieldNumber(message: DescMessage, path: string): ConnectError {
  return wireError("UNKNOWN_FIELD", `field number ${path} is not one that ${message.typeName} has`, { field: path });
}

export function requestTooLarge(maxBytes: number): ConnectError {
  return wireError("REQUEST_TOO_LARGE", `a message must be at most ${maxBytes} bytes`);
}

export function requestNotSupported(): ConnectError {
  return wireError("REQUEST_NOT_SUPPORTED", "the request must be exactly one message, in no compression but gzip");
}

/** INTERNAL is what gRPC's and Connect's conformance ask for here. */
export function compressionUnnamed(): ConnectError {
  return wireError("COMPRESSION_UNNAMED", "a message is marked as compressed, and the request names no compression");
}

export function deadlineExceeded(): ConnectError {
  return wireError("DEADLINE_EXCEEDED", "the deadline has passed: a change may have happened all the same");
}

export function callCanceled(): ConnectError {
  return wireError("CALL_CANCELED", "the call was canceled");
}
