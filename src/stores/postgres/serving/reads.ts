import type { TokenReads } from "../../../authority/token-store.ts";
import { type TokenRow, toToken } from "../../reading/token-row.ts";
import type { Line } from "../line.ts";
import type { Statement } from "../session.ts";
import { tokenColumns } from "../token-row.ts";
import { type AskingNode, createAsk } from "./ask.ts";
import { createAccountReads } from "./list-accounts.ts";
import { createChangeList } from "./list-changes.ts";
import { createTokenList } from "./list-tokens.ts";
import { createLookUp } from "./look-up.ts";

export const findById: Statement = {
  name: "find_by_id",
  text: `SELECT ${tokenColumns} FROM token_authority.token WHERE token.id = $1`,
};

/** The lines of a thread that read. A list takes its time, and keys must not wait for it. */
export type ReadingLines = { readonly lookUps: Line; readonly lists: Line };

/**
 * The reads of one serving thread, from the server that takes writes. Each rejects with UNDECIDED when the database
 * does not answer, or when the server that does is behind what the node has applied.
 */
export function createReads(
  { lookUps, lists }: ReadingLines,
  node: AskingNode,
): Omit<TokenReads, "head" | "isServing"> {
  const ask = createAsk(lookUps, node);
  const askForList = createAsk(lists, node);
  return {
    findByDigest: createLookUp(lookUps, node),
    async get(id) {
      const [row] = await ask<TokenRow>(findById, [id]);
      return row === undefined ? null : toToken(row);
    },
    list: createTokenList(askForList),
    listChanges: createChangeList(askForList),
    ...createAccountReads(askForList),
  };
}
