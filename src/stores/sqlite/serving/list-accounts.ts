import type Database from "better-sqlite3";
import type { Account, AccountPage, AccountQuery } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import { type CountParameters, countTokens } from "../count-tokens.ts";

/** A turn of the event loop ends with this many accounts, or with the account that brings it to this many tokens. */
const sliceAccounts = 25;
const sliceTokens = 5000;

type AccountRow = { readonly account: string };
type CountsRow = {
  readonly never_expiring: number;
  readonly yet_to_expire: number;
  readonly expired: number;
  readonly revoked: number;
};

// One statement, and so one moment: a token that is revoked meanwhile is counted once.
const countSql = `SELECT ${countTokens.neverExpiring} AS never_expiring, ${countTokens.yetToExpire} AS yet_to_expire,
  ${countTokens.expired} AS expired, ${countTokens.revoked} AS revoked`;

/**
 * Prepares TokenStore.listAccounts on a reading connection. It goes from account to account, past all tokens between
 * them.
 */
export function createAccountList(db: Database.Database, turns: Turns): (query: AccountQuery) => Promise<AccountPage> {
  const findFrom = prepareFinder(db, ">=");
  const findAfter = prepareFinder(db, ">");
  const count = db.prepare<CountParameters, CountsRow>(countSql);

  function countIn(account: string, { countTo, nowMs }: AccountQuery): { account: Account; tokens: number } {
    const row = count.get({ account, now_ms: nowMs, max: countTo });
    if (row === undefined) {
      throw new Error("a SELECT without FROM answered no row");
    }
    const { never_expiring: neverExpiring, yet_to_expire: yetToExpire, expired, revoked } = row;
    const active = neverExpiring + yetToExpire;
    return {
      account: { account, active: Math.min(active, countTo), expired, revoked },
      tokens: active + expired + revoked,
    };
  }

  return async (query) => {
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
  };
}

/** Finds the first account beyond this text that begins with the prefix; null when there is none. */
function prepareFinder(db: Database.Database, beyond: ">" | ">="): (text: string, prefix: string) => string | null {
  const find = db.prepare<[string], AccountRow>(
    `SELECT account FROM token INDEXED BY token_by_account WHERE account ${beyond} ? ORDER BY account LIMIT 1`,
  );
  return (text, prefix) => {
    const found = find.get(text)?.account ?? null;
    return found?.startsWith(prefix) === true ? found : null;
  };
}
