import type { DescMessage } from "@bufbuild/protobuf";
import { isFieldError } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  compressionUnnamed,
  messageUndecodable,
  requestMalformed,
  requestNotSupported,
  requestTooLarge,
} from "../../../calls/request-errors.ts";
import { callCanceled, deadlineExceeded, type Status, statusOf } from "../../../calls/status.ts";
import { statusOfConnectError } from "./connect-error.ts";

/**
 * An error that Connect or protobuf-es found while reading a request, in our words. Theirs repeat values and headers,
 * and any of those may be a key. Our own errors are answered as they are. `findField` looks for the field at fault
 * where theirs do not name it.
 */
export function rewordProtocolError(
  error: unknown,
  input: DescMessage,
  findField: () => string | null = () => null,
): Status {
  if (!(error instanceof ConnectError)) {
    return requestMalformed("the request's body could not be read");
  }
  const ours = statusOfConnectError(error);
  if (ours !== null) {
    return ours;
  }
  switch (error.code) {
    case Code.ResourceExhausted:
      return requestTooLarge;
    case Code.Unimplemented:
      return requestNotSupported;
    case Code.DeadlineExceeded:
      return deadlineExceeded;
    case Code.Canceled:
      return callCanceled;
    case Code.Internal:
      return isCompressionUnnamed(error) ? compressionUnnamed : undecodable(error, input, findField);
    default:
      return undecodable(error, input, findField);
  }
}

/** Connect answers INTERNAL to what it cannot parse as well, and tells the two apart in the text alone. */
function isCompressionUnnamed(error: ConnectError): boolean {
  return error.rawMessage === "received compressed envelope, but do not know how to decompress";
}

function undecodable(error: ConnectError, input: DescMessage, findField: () => string | null): Status {
  const unknown = unknownJsonKey(error);
  if (unknown !== null) {
    const { key, holder } = unknown;
    return isSafeName(key)
      ? statusOf("UNKNOWN_FIELD", `${key} is not a field of ${holder}`, { field: pathOf(input, holder, key) })
      : statusOf("UNKNOWN_FIELD", `the message has a field that ${holder} does not have`);
  }
  const field = faultyField(error, input) ?? findField();
  return field === null ? messageUndecodable(input) : requestMalformed(`${field} could not be decoded`, field);
}

/** protobuf-es wraps the error that names the field, and Connect wraps that. */
function faultyField(error: ConnectError, input: DescMessage): string | null {
  const cause = error.cause instanceof Error ? error.cause.cause : null;
  return isFieldError(cause) ? pathOf(input, cause.field().parent.typeName, cause.field().name) : null;
}

/** protobuf-es tells of an unknown key, and of the message that does not have it, in the text alone. */
function unknownJsonKey(error: ConnectError): { readonly key: string; readonly holder: string } | null {
  const found = /cannot decode message (\S+) from JSON: key "(.*)" is unknown$/s.exec(error.rawMessage);
  const [, holder, key] = found ?? [];
  return holder === undefined || key === undefined ? null : { key, holder };
}

/** The field `name` of the message `holder`, which is the input itself or a field of it: `filter.key_hint`. */
function pathOf(input: DescMessage, holder: string, name: string): string {
  const within = input.fields.find(({ message }) => message?.typeName === holder);
  return within === undefined ? name : `${within.name}.${name}`;
}

/** A name that could be a field's, and is too short to hold a key. */
function isSafeName(name: string): boolean {
  return /^[A-Za-z_][A-Za-z0-9_]{0,29}$/.test(name);
}
