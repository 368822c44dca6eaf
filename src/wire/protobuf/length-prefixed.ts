/** What stands before each message on gRPC's wire: a compressed-flag, and the message's length in 4 bytes. */
export const prefixBytes = 5;

/**
 * What is wrong with a body, which lies in `bytes` from `start` up to `end` and should be one uncompressed
 * message with its prefix: null if nothing. `not_supported` is a body of none or of more than one.
 */
export function framingFault(
  bytes: Buffer,
  start: number,
  end: number,
  maxMessageBytes: number,
): "malformed" | "not_supported" | "too_large" | "compression_unnamed" | null {
  let messages = 0;
  let at = start;
  while (at < end) {
    if (end - at < prefixBytes) {
      return "malformed";
    }
    const length = bytes.readUInt32BE(at + 1);
    if (length > maxMessageBytes) {
      return "too_large";
    }
    // A compressed message needs a grpc-encoding that tells how: requests with one do not come here.
    if (bytes[at] === 1) {
      return "compression_unnamed";
    }
    if (bytes[at] !== 0 || length > end - at - prefixBytes) {
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
