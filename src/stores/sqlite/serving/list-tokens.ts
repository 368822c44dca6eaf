import type Database from "better-sqlite3";
import { answerBytes, type Token } from "../../../authority/token.ts";
import type { Direction, TokenPage, TokenQuery } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import { type FilterParameters, filterConditions, toFilterParameters } from "../token-filter.ts";
import { type TokenRow, tokenColumns, toToken } from "../token-row.ts";

/** How many tokens are looked at in one turn of the event loop: Authenticate waits no longer than for these. */
const sliceTokens = 250;

type ListScope = { readonly byAccount: boolean; readonly direction: Direction };

type SliceParameters = { readonly account: string | null; readonly cursor: number; readonly slice: number };
type SliceRow = { readonly looked_at: number; readonly end: number | null };
type MatchParameters = FilterParameters & {
  readonly cursor: number;
  readonly end: number;
  readonly wanted: number;
};

/**
 * Looks where the next slice ends: at most `slice` tokens beyond the cursor, in the direction, whatever the other
 * filters.
 */
function sliceSql({ byAccount, direction }: ListScope): string {
  const { beyond, order, last } = wordsFor[direction];
  return `SELECT count(*) AS looked_at, ${last}(revision) AS "end" FROM (
    SELECT revision FROM token ${byAccount ? "INDEXED BY token_by_account WHERE account = :account AND" : "NOT INDEXED WHERE"}
      revision ${beyond} :cursor ORDER BY revision ${order} LIMIT :slice)`;
}

/**
 * The tokens beyond the cursor and up to the end of the slice that pass the filter. Null parameters pass everything.
 */
function matchSql({ byAccount, direction }: ListScope): string {
  const { beyond, upTo, order } = wordsFor[direction];
  const from = byAccount ? "FROM token INDEXED BY token_by_account" : "FROM token NOT INDEXED";
  return `SELECT ${tokenColumns} ${from}
    WHERE ${byAccount ? "token.account = :account AND" : ""} token.revision ${beyond} :cursor AND token.revision ${upTo} :end
      AND ${filterConditions}
    ORDER BY token.revision ${order} LIMIT :wanted`;
}

const wordsFor = {
  older: { beyond: "<", upTo: ">=", order: "DESC", last: "min", start: Number.MAX_SAFE_INTEGER },
  newer: { beyond: ">", upTo: "<=", order: "ASC", last: "max", start: 0 },
} satisfies Record<Direction, object>;

/**
 * Prepares TokenStore.list on a reading connection. It answers in slices, and holds no read transaction from one to the
 * next.
 */
export function createTokenList(db: Database.Database, turns: Turns): (query: TokenQuery) => Promise<TokenPage> {
  const slicers = {
    account: { older: prepareSlicer(db, true, "older"), newer: prepareSlicer(db, true, "newer") },
    everywhere: { older: prepareSlicer(db, false, "older"), newer: prepareSlicer(db, false, "newer") },
  };

  return async (query) => {
    const lookAtSlice = slicers[query.filter.account === null ? "everywhere" : "account"][query.direction];
    const tokens: Token[] = [];
    let bytes = 0;
    let cursor = query.after ?? wordsFor[query.direction].start;
    let left = query.scanLimit;
    for (;;) {
      await turns.next();
      // One more than the page holds tells whether it has a next.
      const slice = lookAtSlice(query, cursor, Math.min(left, sliceTokens), { tokens: tokens.length, bytes });
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
        const isMoreLeft = lookAtSlice(query, cursor, 1, { tokens: tokens.length, bytes }).end !== null;
        return { tokens, next: isMoreLeft ? cursor : null };
      }
    }
  };
}

type Slice = {
  readonly tokens: readonly Token[];
  readonly bytes: number;
  readonly lookedAt: number;
  /** The last token looked at; null when there was none. */
  readonly end: number | null;
};
/** What the page holds before the slice, which ends with the first token that the page has no room for. */
type Held = { readonly tokens: number; readonly bytes: number };
type Slicer = (query: TokenQuery, cursor: number, slice: number, held: Held) => Slice;

function prepareSlicer(db: Database.Database, byAccount: boolean, direction: Direction): Slicer {
  const findEnd = db.prepare<[SliceParameters], SliceRow>(sliceSql({ byAccount, direction }));
  const findMatches = db.prepare<[MatchParameters], TokenRow>(matchSql({ byAccount, direction }));
  return db.transaction((query, cursor, slice, held) => {
    const account = query.filter.account;
    const found = findEnd.get({ account, cursor, slice });
    if (found === undefined || found.end === null) {
      return { tokens: [], bytes: 0, lookedAt: 0, end: null };
    }
    const { looked_at: lookedAt, end } = found;
    const wanted = query.limit + 1 - held.tokens;
    const parameters = { cursor, end, wanted, ...toFilterParameters(query.filter, query.nowMs) };
    const tokens: Token[] = [];
    let bytes = 0;
    for (const row of findMatches.iterate(parameters)) {
      const token = toToken(row);
      tokens.push(token);
      bytes += answerBytes(token);
      if (held.bytes + bytes > query.maxBytes && held.tokens + tokens.length > 1) {
        break;
      }
    }
    return { tokens, bytes, lookedAt, end };
  }) satisfies Slicer;
}
