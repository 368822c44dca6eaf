import type { HeaderFields } from "../../wire/exchange.ts";
import { messageField, stringField, stringFields, varintField } from "../../wire/protobuf/field-text.ts";
import { lengthPrefixedText } from "../../wire/protobuf/length-prefixed.ts";
import { credentialHeaders } from "./decode-check-request.ts";

// The numbers are those of Envoy's files, google.rpc.Code's and HTTP's.
const overwriteIfExistsOrAdd = 2;
const unauthenticated = 16;
const permissionDenied = 7;
// Envoy removes headers after it has set some: none of these is ever set.
const removed = stringFields(5, credentialHeaders);
const okStatus = messageField(1, "");

/**
 * A CheckResponse with gRPC's prefix: the request goes on, with these headers in place of its own of these names, and
 * without credentials.
 */
export function encodeAccepted(headers: HeaderFields): Uint8Array {
  return encoded(okStatus + messageField(3, headerFields(headers) + removed));
}

/**
 * A CheckResponse with gRPC's prefix: this is answered in the upstream's place. Whatever the status, its code is never
 * OK, which lets pass.
 */
export function encodeDenied(status: 401 | 403, headers: HeaderFields, body: string): Uint8Array {
  const response = messageField(1, varintField(1, status)) + headerFields(headers) + stringField(3, body);
  return encoded(
    messageField(1, varintField(1, status === 401 ? unauthenticated : permissionDenied)) + messageField(2, response),
  );
}

function headerFields(headers: HeaderFields): string {
  let fields = "";
  for (const [name, value] of headers) {
    const header = stringField(1, name) + stringField(2, value);
    fields += messageField(2, messageField(1, header) + varintField(3, overwriteIfExistsOrAdd));
  }
  return fields;
}

function encoded(message: string): Uint8Array {
  return Buffer.from(lengthPrefixedText(message), "latin1");
}
