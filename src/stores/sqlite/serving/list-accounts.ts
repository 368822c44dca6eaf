import type Database from "better-sqlite3";
import type { Account, AccountPage, AccountQuery, TokenReads } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import type { StoredTokenRow } from "../../reading/token-row.ts";
import { type CountParameters, countTokens } from "../count-tokens.ts";
import { stateOfAccount } from "../token-row.ts";

/** A turn of the event loop ends with this many accounts, or with the account that brings it to this many tokens. */
const sliceAccounts = 25;
const sliceTokens = 5000;

type FoundRow = { readonly with_tokens: string | null; readonly with_state: string | null };
type CountsRow = Pick<StoredTokenRow, "account_state"> & {
  readonly never_expiring: number;
  readonly yet_to_expire: number;
  readonly expired: number;
  readonly revoked: number;
};

type CountQuery = Pick<AccountQuery, "countTo" | "nowMs">;

// One statement, and so one moment: a token that is revoked meanwhile is counted once.
const countSql = `SELECT ${stateOfAccount(":account")} AS account_state, ${countTokens.neverExpiring} AS never_expiring, ${countTokens.yetToExpire} AS yet_to_expire,
  ${countTokens.expired} AS expired, ${countTokens.revoked} AS revoked`;

export type AccountReads = Pick<TokenReads, "listAccounts" | "getAccount">;

/**
 * Prepares the reads of accounts on a reading connection. A list goes from account to account, past all tokens between
 * them.
 */
export function createAccountReads(db: Database.Database, turns: Turns): AccountReads {
  const findFrom = prepareFinder(db, ">=");
  const findAfter = prepareFinder(db, ">");
  const count = db.prepare<CountParameters, CountsRow>(countSql);

  function countIn(account: string, { countTo, nowMs }: CountQuery): { account: Account; tokens: number } {
    const row = count.get({ account, now_ms: nowMs, max: countTo });
    if (row === undefined) {
      throw new Error("a SELECT without FROM answered no row");
    }
    const { account_state, never_expiring: neverExpiring, yet_to_expire: yetToExpire, expired, revoked } = row;
    const active = neverExpiring + yetToExpire;
    return {
      account: { account, state: account_state ?? "active", active: Math.min(active, countTo), expired, revoked },
      tokens: active + expired + revoked,
    };
  }

  async function listAccounts(query: AccountQuery): Promise<AccountPage> {
    const { prefix, after, limit, scanLimit } = query;
    const accounts: Account[] = [];
    let looked = 0;
    let turnEnd = 0;
    let name = after === null ? findFrom(prefix, prefix) : findAfter(after, prefix);
    while (name !== null && accounts.length < limit && looked < scanLimit) {
      if (accounts.length % sliceAccounts === 0 || looked >= turnEnd) {
        await turns.next();
        turnEnd = looked + sliceTokens;
      }
      const { account, tokens } = countIn(name, query);
      accounts.push(account);
      looked += tokens;
      name = findAfter(name, prefix);
    }
    return { accounts, next: name === null ? null : (accounts.at(-1)?.account ?? null) };
  }

  return { listAccounts, getAccount: async (account, query) => countIn(account, query).account };
}

/** Finds the first account beyond this text that begins with the prefix; null when there is none. */
function prepareFinder(db: Database.Database, beyond: ">" | ">="): (text: string, prefix: string) => string | null {
  const first = (table: string) =>
    `(SELECT account FROM ${table} WHERE account ${beyond} :text ORDER BY account LIMIT 1)`;
  const find = db.prepare<{ readonly text: string }, FoundRow>(
    `SELECT ${first("token INDEXED BY token_by_account")} AS with_tokens, ${first("account_state")} AS with_state`,
  );
  return (text, prefix) => {
    const { with_tokens = null, with_state = null } = find.get({ text }) ?? {};
    // Both in the order of their bytes: the characters of an account are one byte each.
    const found = with_tokens === null || (with_state !== null && with_state < with_tokens) ? with_state : with_tokens;
    return found?.startsWith(prefix) === true ? found : null;
  };
}
