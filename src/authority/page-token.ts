import { createHash } from "node:crypto";
import type { Direction, TokenFilter } from "./token-store.ts";

/** A place between two pages, and the direction to go on in. */
export type PagePosition = {
  readonly direction: Direction;
  /** The creation revision to go on after, not included. */
  readonly after: number;
};

const version = 1;
const filterHashLength = 16;
const tokenLength = 1 + 1 + 8 + filterHashLength;

/** Writes a position down for the client to bring back, bound to the filter it belongs to. */
export function encodePageToken(position: PagePosition, filter: TokenFilter): string {
  const bytes = Buffer.alloc(tokenLength);
  bytes.writeUInt8(version, 0);
  bytes.writeUInt8(position.direction === "older" ? 0 : 1, 1);
  bytes.writeBigUInt64BE(BigInt(position.after), 2);
  bytes.set(hashFilter(filter), 10);
  return bytes.toString("base64url");
}

/** The position, or null when the text is not a page token or belongs to another filter. */
export function decodePageToken(text: string, filter: TokenFilter): PagePosition | null {
  const bytes = Buffer.from(text, "base64url");
  const direction = bytes[1];
  // Decoding forgives what encoding never writes, so the text must be what these bytes encode to.
  if (bytes.length !== tokenLength || bytes.toString("base64url") !== text) {
    return null;
  }
  const after = Number(bytes.readBigUInt64BE(2));
  if (bytes[0] !== version || (direction !== 0 && direction !== 1) || !Number.isSafeInteger(after)) {
    return null;
  }
  if (!hashFilter(filter).equals(bytes.subarray(10))) {
    return null;
  }
  return { direction: direction === 0 ? "older" : "newer", after };
}

function hashFilter(filter: TokenFilter): Buffer {
  const facts = JSON.stringify([
    filter.account,
    filter.types,
    filter.livemode,
    filter.states,
    filter.permission,
    filter.createdFromMs,
    filter.createdBeforeMs,
    filter.expiresBeforeMs,
    filter.unusedSinceMs,
  ]);
  return createHash("sha256").update(facts, "utf8").digest().subarray(0, filterHashLength);
}
