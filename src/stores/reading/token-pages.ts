import { answerBytes, type Token } from "../../authority/token.ts";
import type { Direction, TokenPage, TokenQuery } from "../../authority/token-store.ts";

/** SQL for each direction, and the cursor before the first token of all. */
export const wordsFor = {
  older: { beyond: "<", upTo: ">=", order: "DESC", last: "min", start: Number.MAX_SAFE_INTEGER },
  newer: { beyond: ">", upTo: "<=", order: "ASC", last: "max", start: 0 },
} satisfies Record<Direction, object>;

/** What the page holds before the slice, which ends with the first token that the page has no room for. */
export type Held = { readonly tokens: number; readonly bytes: number };

export type TokenSlice = {
  /** The tokens of the slice that pass the filter. */
  readonly tokens: readonly Token[];
  readonly bytes: number;
  readonly lookedAt: number;
  /** The last token looked at; null when there was none. */
  readonly end: number | null;
};

export const emptySlice: TokenSlice = { tokens: [], bytes: 0, lookedAt: 0, end: null };

/** Looks at so many tokens beyond the cursor. */
export type TokenSlicer = (cursor: number, size: number, held: Held) => TokenSlice | Promise<TokenSlice>;

/** Answers TokenReads.list in slices of this size. */
export async function pageOfTokens(query: TokenQuery, sliceSize: number, look: TokenSlicer): Promise<TokenPage> {
  const tokens: Token[] = [];
  let bytes = 0;
  let cursor = query.after ?? wordsFor[query.direction].start;
  let left = query.scanLimit;
  for (;;) {
    // One more than the page holds tells whether it has a next.
    const slice = await look(cursor, Math.min(left, sliceSize), { tokens: tokens.length, bytes });
    tokens.push(...slice.tokens);
    bytes += slice.bytes;
    const last = tokens.at(-2);
    if (last !== undefined && (tokens.length > query.limit || bytes > query.maxBytes)) {
      return { tokens: tokens.slice(0, -1), next: last.createRevision };
    }
    if (slice.end === null) {
      return { tokens, next: null };
    }
    cursor = slice.end;
    left -= slice.lookedAt;
    if (left <= 0) {
      const { end } = await look(cursor, 1, { tokens: tokens.length, bytes });
      return { tokens, next: end === null ? null : cursor };
    }
  }
}

/** Takes tokens up to the first that the page has no room for, which is taken too. */
export function takeWhileRoom(
  found: Iterable<Token>,
  { maxBytes }: Pick<TokenQuery, "maxBytes">,
  held: Held,
): Pick<TokenSlice, "tokens" | "bytes"> {
  const tokens: Token[] = [];
  let bytes = 0;
  for (const token of found) {
    tokens.push(token);
    bytes += answerBytes(token);
    if (held.bytes + bytes > maxBytes && held.tokens + tokens.length > 1) {
      break;
    }
  }
  return { tokens, bytes };
}
