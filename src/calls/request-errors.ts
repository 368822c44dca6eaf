import type { DescMessage } from "@bufbuild/protobuf";
import { maxMessageBytes } from "./limits.ts";
import { type Status, statusOf } from "./status.ts";

/** The request makes no sense. */
export function requestMalformed(message: string, field: string | null = null): Status {
  return statusOf("REQUEST_MALFORMED", message, field === null ? {} : { field });
}

/** The bytes are no such message. */
export function messageUndecodable(message: DescMessage): Status {
  return requestMalformed(`the message could not be decoded as ${message.typeName}`);
}

/** `path` is the number of the field, below those of the messages that hold it. */
export function unknownFieldNumber(message: DescMessage, path: string): Status {
  return statusOf("UNKNOWN_FIELD", `field number ${path} is not one that ${message.typeName} has`, { field: path });
}

export const requestTooLarge = statusOf("REQUEST_TOO_LARGE", `a message must be at most ${maxMessageBytes} bytes`);

export const requestNotSupported = statusOf(
  "REQUEST_NOT_SUPPORTED",
  "the request must be exactly one message, in no compression but gzip",
);

/** INTERNAL is what gRPC's and Connect's conformance ask for here. */
export const compressionUnnamed = statusOf(
  "COMPRESSION_UNNAMED",
  "a message is marked as compressed, and the request names no compression",
);
