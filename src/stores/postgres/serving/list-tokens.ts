import type { TokenPage, TokenQuery } from "../../../authority/token-store.ts";
import { emptySlice, pageOfTokens, takeWhileRoom, wordsFor } from "../../reading/token-pages.ts";
import { type TokenRow, toToken } from "../../reading/token-row.ts";
import type { Statement } from "../session.ts";
import { collectValues } from "../statement-text.ts";
import { filterConditions } from "../token-filter.ts";
import { tokenColumns } from "../token-row.ts";
import type { Ask } from "./ask.ts";

/** How many tokens one statement looks at. */
const sliceTokens = 500;

type SliceRow = { readonly looked_at: number; readonly slice_end: number | null } & (
  | TokenRow
  | { readonly revision: null }
);

/** Makes TokenReads.list. Each slice is a statement of its own, and so of one moment. */
export function createTokenList(ask: Ask): (query: TokenQuery) => Promise<TokenPage> {
  return (query) =>
    pageOfTokens(query, sliceTokens, async (cursor, size, held) => {
      const { statement, values } = sliceStatement(query, cursor, size, query.limit + 1 - held.tokens);
      const rows = await ask<SliceRow>(statement, values);
      const [first] = rows;
      if (first === undefined || first.slice_end === null) {
        return emptySlice;
      }
      const tokens = rows.values().flatMap((row) => (row.revision === null ? [] : [toToken(row)]));
      return { ...takeWhileRoom(tokens, query, held), lookedAt: first.looked_at, end: first.slice_end };
    });
}

/**
 * Looks at `size` tokens beyond the cursor, whatever the other filters, and finds those among them that pass. One row
 * at least. Without a name: there are as many texts as there are sets of filters, too many for a session to keep.
 */
export function sliceStatement(
  { filter, direction, nowMs }: TokenQuery,
  cursor: number,
  size: number,
  wanted: number,
): { readonly statement: Statement; readonly values: readonly unknown[] } {
  const { beyond, upTo, order, last } = wordsFor[direction];
  const collected = collectValues();
  const { at } = collected;
  const inAccount = filter.account === null ? "" : `token.account = ${at(filter.account)} AND`;
  const beyondCursor = `${inAccount} token.revision ${beyond} ${at(cursor)}`;
  const conditions = filterConditions({ ...filter, account: null }, nowMs, collected);
  const text = `WITH slice AS MATERIALIZED (
      SELECT token.revision FROM token_authority.token WHERE ${beyondCursor}
      ORDER BY token.revision ${order} LIMIT ${at(size)}),
    looked AS (SELECT count(*) AS looked_at, ${last}(slice.revision) AS slice_end FROM slice)
  SELECT looked.looked_at, looked.slice_end, found.* FROM looked LEFT JOIN LATERAL (
    SELECT ${tokenColumns} FROM token_authority.token
    WHERE ${[beyondCursor, `token.revision ${upTo} looked.slice_end`, ...conditions].join(" AND ")}
    ORDER BY token.revision ${order} LIMIT ${at(wanted)}) AS found ON true
  ORDER BY found.revision ${order}`;
  return { statement: { name: "", text }, values: collected.values };
}
