import type Database from "better-sqlite3";
import type { Direction, TokenPage, TokenQuery } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import {
  emptySlice,
  type Held,
  pageOfTokens,
  type TokenSlice,
  takeWhileRoom,
  wordsFor,
} from "../../reading/token-pages.ts";
import { type TokenRow, toToken } from "../../reading/token-row.ts";
import { type FilterParameters, filterConditions, toFilterParameters } from "../token-filter.ts";
import { tokenColumns } from "../token-row.ts";

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

/**
 * Prepares TokenStore.list on a reading connection. It answers in slices, and holds no read transaction from one to the
 * next.
 */
export function createTokenList(db: Database.Database, turns: Turns): (query: TokenQuery) => Promise<TokenPage> {
  const slicers = {
    account: { older: prepareSlicer(db, true, "older"), newer: prepareSlicer(db, true, "newer") },
    everywhere: { older: prepareSlicer(db, false, "older"), newer: prepareSlicer(db, false, "newer") },
  };

  return (query) => {
    const lookAtSlice = slicers[query.filter.account === null ? "everywhere" : "account"][query.direction];
    return pageOfTokens(query, sliceTokens, async (cursor, size, held) => {
      await turns.next();
      return lookAtSlice(query, cursor, size, held);
    });
  };
}

type Slicer = (query: TokenQuery, cursor: number, slice: number, held: Held) => TokenSlice;

function prepareSlicer(db: Database.Database, byAccount: boolean, direction: Direction): Slicer {
  const findEnd = db.prepare<[SliceParameters], SliceRow>(sliceSql({ byAccount, direction }));
  const findMatches = db.prepare<[MatchParameters], TokenRow>(matchSql({ byAccount, direction }));
  return db.transaction((query, cursor, slice, held) => {
    const account = query.filter.account;
    const found = findEnd.get({ account, cursor, slice });
    if (found === undefined || found.end === null) {
      return emptySlice;
    }
    const { looked_at: lookedAt, end } = found;
    const wanted = query.limit + 1 - held.tokens;
    const parameters = { cursor, end, wanted, ...toFilterParameters(query.filter, query.nowMs) };
    const passing = Iterator.from(findMatches.iterate(parameters)).map(toToken);
    return { ...takeWhileRoom(passing, query, held), lookedAt, end };
  }) satisfies Slicer;
}
