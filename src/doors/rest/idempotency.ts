import { createHash } from "node:crypto";
import { isUuidOfNobody } from "../../authority/validation.ts";
import { idempotencyHeader, parameterInvalid } from "./errors.ts";

/**
 * The request id that an Idempotency-Key stands for: a UUIDv8 (RFC 9562) made of its SHA-256; empty when there is none.
 * Which key asks is the domain's to tell apart: the same text from another key of the account is another request, for
 * its answer shows a key.
 */
export function requestIdOf(header: Headers): string {
  const text = header.get(idempotencyHeader);
  if (text === null) {
    return "";
  }
  if (!/^[\x20-\x7e]{1,255}$/.test(text)) {
    throw parameterInvalid(idempotencyHeader, "must be 1 to 255 printable ASCII characters");
  }
  if (isUuidOfNobody(text)) {
    throw parameterInvalid(
      idempotencyHeader,
      "must be a text of your own; the nil and the max UUID are not accepted: they come from uninitialised variables",
    );
  }
  const bytes = createHash("sha256").update(text, "ascii").digest().subarray(0, 16);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
