import { createHash } from "node:crypto";
import { tokenStates, tokenTypes } from "./token.ts";
import type { ChangeFilter, Direction, TokenFilter } from "./token-store.ts";
import { isAccount } from "./validation.ts";

/** A place between two pages of tokens, and the direction to go on in. */
export type PagePosition = {
  readonly direction: Direction;
  /** The creation revision to go on after, not included. */
  readonly after: number;
};

// A page token is the number of its kind, a position, and the beginning of the SHA-256 of what it is bound to: what was
// asked for.
const kinds = { tokens: 1, changes: 2, accounts: 3 } as const;
type Kind = keyof typeof kinds;
const hashLength = 16;
const longestTextLength = 128;

/** Writes a position down for the client to bring back, bound to the filter it belongs to. */
export function encodePageToken(position: PagePosition, filter: TokenFilter): string {
  const bytes = Buffer.alloc(9);
  bytes.writeUInt8(position.direction === "older" ? 0 : 1, 0);
  bytes.writeBigUInt64BE(BigInt(position.after), 1);
  return write("tokens", bytes, factsOf(filter));
}

/** The position, or null when the text is not a page token or belongs to another filter. */
export function decodePageToken(text: string, filter: TokenFilter): PagePosition | null {
  const bytes = read("tokens", text, factsOf(filter));
  const direction = bytes?.[0];
  if (bytes?.length !== 9 || (direction !== 0 && direction !== 1)) {
    return null;
  }
  const after = Number(bytes.readBigUInt64BE(1));
  return Number.isSafeInteger(after) ? { direction: direction === 0 ? "older" : "newer", after } : null;
}

/** The same for changes: the revision to go on after, bound to the direction as well. */
export function encodeChangePageToken(after: number, filter: ChangeFilter, direction: Direction = "older"): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(after), 0);
  return write("changes", bytes, changeFactsOf(filter, direction));
}

export function decodeChangePageToken(
  text: string,
  filter: ChangeFilter,
  direction: Direction = "older",
): number | null {
  const bytes = read("changes", text, changeFactsOf(filter, direction));
  const after = bytes?.length === 8 ? Number(bytes.readBigUInt64BE(0)) : null;
  return Number.isSafeInteger(after) ? after : null;
}

/** The same for accounts: the account to go on after, bound to the prefix that was asked for. */
export function encodeAccountPageToken(after: string, prefix: string): string {
  return write("accounts", Buffer.from(after, "latin1"), [prefix]);
}

export function decodeAccountPageToken(text: string, prefix: string): string | null {
  const after = read("accounts", text, [prefix])?.toString("latin1") ?? null;
  return after !== null && isAccount(after) && after.startsWith(prefix) ? after : null;
}

function write(kind: Kind, position: Uint8Array, facts: readonly unknown[]): string {
  return Buffer.concat([Uint8Array.of(kinds[kind]), position, hashOf(facts)]).toString("base64url");
}

function read(kind: Kind, text: string, facts: readonly unknown[]): Buffer | null {
  if (text.length > longestTextLength) {
    return null;
  }
  const bytes = Buffer.from(text, "base64url");
  const end = bytes.length - hashLength;
  // Decoding forgives what encoding never writes, so the text must be what these bytes encode to.
  const isOurs = bytes[0] === kinds[kind] && end > 1 && bytes.toString("base64url") === text;
  return isOurs && hashOf(facts).equals(bytes.subarray(end)) ? bytes.subarray(1, end) : null;
}

/**
 * Filters of newer versions count only where they are given: page tokens never expire, so older ones must stay good.
 */
function factsOf(filter: TokenFilter): readonly unknown[] {
  const facts = [
    filter.account,
    // Sets: the order in which a client names them says nothing.
    tokenTypes.filter((type) => filter.types.includes(type)),
    filter.livemode,
    tokenStates.filter((state) => filter.states.includes(state)),
    filter.permission,
    filter.createdFromMs,
    filter.createdBeforeMs,
    filter.expiresBeforeMs,
    filter.unusedSinceMs,
  ];
  return withLater(facts, [
    [filter.nameContains, filter.keyHint],
    [filter.createdBy],
    [filter.expiresFromMs, filter.held, filter.rotating],
  ]);
}

function changeFactsOf(filter: ChangeFilter, direction: Direction): readonly unknown[] {
  return withLater(
    [filter.tokenId],
    [
      [filter.caller, filter.action, filter.account, filter.changedFromMs, filter.changedBeforeMs],
      [filter.afterRevision, direction === "older" ? null : direction],
    ],
  );
}

/** Adds the filters of each later version, up to the last version of which one is given. */
function withLater(facts: readonly unknown[], versions: readonly (readonly unknown[])[]): readonly unknown[] {
  const last = versions.findLastIndex((filters) => filters.some((one) => one !== null));
  return [...facts, ...versions.slice(0, last + 1).flat()];
}

function hashOf(facts: readonly unknown[]): Buffer {
  return createHash("sha256").update(JSON.stringify(facts), "utf8").digest().subarray(0, hashLength);
}
