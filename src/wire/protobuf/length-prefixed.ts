/** What stands before each message on gRPC's wire: a compressed-flag, and the message's length in 4 bytes. */
export const prefixBytes = 5;

/** `compression_unnamed` is a message that is marked as compressed, where nothing told how. */
export type PrefixFault = "malformed" | "too_large" | "compression_unnamed";

/** What is wrong with the prefix that lies in `bytes` from `at`, where no message is compressed; null if nothing. */
export function prefixFault(bytes: Buffer, at: number, maxMessageBytes: number): PrefixFault | null {
  if (bytes.readUInt32BE(at + 1) > maxMessageBytes) {
    return "too_large";
  }
  return bytes[at] === 0 ? null : bytes[at] === 1 ? "compression_unnamed" : "malformed";
}

/**
 * What is wrong with a body, which lies in `bytes` from `start` up to `end` and should be one uncompressed
 * message with its prefix: null if nothing. `not_supported` is a body of none or of more than one.
 */
export function framingFault(
  bytes: Buffer,
  start: number,
  end: number,
  maxMessageBytes: number,
): PrefixFault | "not_supported" | null {
  let messages = 0;
  let at = start;
  while (at < end) {
    if (end - at < prefixBytes) {
      return "malformed";
    }
    // A compressed message needs a grpc-encoding that tells how: requests with one do not come here.
    const fault = prefixFault(bytes, at, maxMessageBytes);
    if (fault !== null) {
      return fault;
    }
    const length = bytes.readUInt32BE(at + 1);
    if (length > end - at - prefixBytes) {
      return "malformed";
    }
    at += prefixBytes + length;
    messages += 1;
  }
  return messages === 1 ? null : "not_supported";
}

/** A message with its prefix. */
export function lengthPrefixed(message: Uint8Array): Uint8Array {
  const body = Buffer.allocUnsafe(prefixBytes + message.length);
  body[0] = 0;
  body.writeUInt32BE(message.length, 1);
  body.set(message, prefixBytes);
  return body;
}

/** The same, both as text of a character a byte. */
export function lengthPrefixedText(message: string): string {
  const { length } = message;
  return String.fromCharCode(0, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff) + message;
}
