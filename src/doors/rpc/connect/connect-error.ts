import { Code as ConnectCode, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "#gen/google/rpc/error_details_pb.ts";
import { type Code, codeNumbers, errorDomain, type Status } from "../../../calls/status.ts";

const codeNames = {
  [ConnectCode.Canceled]: "CANCELLED",
  [ConnectCode.Unknown]: "UNKNOWN",
  [ConnectCode.InvalidArgument]: "INVALID_ARGUMENT",
  [ConnectCode.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [ConnectCode.NotFound]: "NOT_FOUND",
  [ConnectCode.AlreadyExists]: "ALREADY_EXISTS",
  [ConnectCode.PermissionDenied]: "PERMISSION_DENIED",
  [ConnectCode.ResourceExhausted]: "RESOURCE_EXHAUSTED",
  [ConnectCode.FailedPrecondition]: "FAILED_PRECONDITION",
  [ConnectCode.Aborted]: "ABORTED",
  [ConnectCode.OutOfRange]: "OUT_OF_RANGE",
  [ConnectCode.Unimplemented]: "UNIMPLEMENTED",
  [ConnectCode.Internal]: "INTERNAL",
  [ConnectCode.Unavailable]: "UNAVAILABLE",
  [ConnectCode.DataLoss]: "DATA_LOSS",
  [ConnectCode.Unauthenticated]: "UNAUTHENTICATED",
} satisfies Record<ConnectCode, Code>;

/** The status as Connect carries it: with a google.rpc.ErrorInfo where it has a reason. */
export function toConnectError({ code, reason, message, metadata }: Status): ConnectError {
  const value = { domain: errorDomain, reason: reason ?? "", metadata: { ...metadata } };
  return new ConnectError(
    message,
    codeNumbers[code],
    undefined,
    reason === null ? [] : [{ desc: ErrorInfoSchema, value }],
  );
}

/**
 * The status of an error in our words; null for one without an ErrorInfo, whose words may repeat what a caller sent.
 */
export function statusOfConnectError(error: ConnectError): Status | null {
  const info = error.findDetails(ErrorInfoSchema)[0];
  if (info === undefined) {
    return null;
  }
  const { reason, metadata } = info;
  return { code: codeNames[error.code], reason, message: error.rawMessage, metadata, details: null };
}
