import type { Account, AccountPage, AccountQuery, TokenReads } from "../../../authority/token-store.ts";
import type { StoredTokenRow } from "../../reading/token-row.ts";
import type { Statement } from "../session.ts";
import { stateOfAccount } from "../token-row.ts";
import type { Ask } from "./ask.ts";

/** How many accounts one statement counts. */
const sliceAccounts = 25;

/** Counts the tokens of `account` in an index alone, each state up to $1. The time is $2. */
function countsOf(account: string): string {
  const count = (condition: string) => `(SELECT count(*) FROM
    (SELECT 1 FROM token_authority.token WHERE token.account = ${account} AND ${condition} LIMIT $1::bigint) AS counted)`;
  // The unexpired are two ranges of the index: in one condition they would be a scan of all unrevoked tokens.
  return `${stateOfAccount(account)} AS account_state,
    ${count("token.revoked_at_ms IS NULL AND token.expires_at_ms IS NULL")} AS never_expiring,
    ${count("token.revoked_at_ms IS NULL AND token.expires_at_ms > $2::bigint")} AS yet_to_expire,
    ${count("token.revoked_at_ms IS NULL AND token.expires_at_ms <= $2::bigint")} AS expired,
    ${count("token.revoked_at_ms IS NOT NULL")} AS revoked`;
}

export const countAccount: Statement = {
  name: "count_account",
  text: `SELECT $3::text AS account, ${countsOf('($3::text COLLATE "C")')}`,
};

/** The first account beyond what `text` is, past all tokens between them. */
function firstAccount(beyond: ">" | ">=", text: string): string {
  const first = (table: string) => `(SELECT beyond.account FROM token_authority.${table} AS beyond
    WHERE beyond.account ${beyond} ${text} ORDER BY beyond.account LIMIT 1)`;
  return `least(${first("token")}, ${first("account_state")})`;
}

/** The next $5 accounts from $3 on, or after it, that begin with $4. */
export const countAccounts = { from: countAccountsStatement(">="), after: countAccountsStatement(">") };

function countAccountsStatement(beyond: ">" | ">="): Statement {
  return {
    name: beyond === ">" ? "count_accounts_after" : "count_accounts_from",
    text: `WITH RECURSIVE named (account) AS (
      SELECT ${firstAccount(beyond, '($3::text COLLATE "C")')}
      UNION ALL
      SELECT ${firstAccount(">", "named.account")} FROM named
        WHERE named.account IS NOT NULL AND starts_with(named.account, $4))
    SELECT named.account, counts.* FROM
      (SELECT account FROM named WHERE account IS NOT NULL AND starts_with(account, $4) LIMIT $5) AS named
      CROSS JOIN LATERAL (SELECT ${countsOf("named.account")}) AS counts`,
  };
}

type CountsRow = Pick<StoredTokenRow, "account" | "account_state"> & {
  readonly never_expiring: number;
  readonly yet_to_expire: number;
  readonly expired: number;
  readonly revoked: number;
};

/** Makes the reads of accounts. */
export function createAccountReads(ask: Ask): Pick<TokenReads, "listAccounts" | "getAccount"> {
  async function listAccounts(query: AccountQuery): Promise<AccountPage> {
    const { prefix, after, limit, scanLimit, countTo, nowMs } = query;
    const accounts: Account[] = [];
    let looked = 0;
    let last = after;
    for (;;) {
      // One more than the page holds tells whether it has a next.
      const wanted = Math.min(sliceAccounts, limit + 1 - accounts.length);
      const statement = last === null ? countAccounts.from : countAccounts.after;
      const rows = await ask<CountsRow>(statement, [countTo, nowMs, last ?? prefix, prefix, wanted]);
      for (const row of rows) {
        if (accounts.length === limit || looked >= scanLimit) {
          return { accounts, next: last };
        }
        accounts.push(toAccount(row, countTo));
        looked += row.never_expiring + row.yet_to_expire + row.expired + row.revoked;
        last = row.account;
      }
      if (rows.length < wanted) {
        return { accounts, next: null };
      }
    }
  }

  return {
    listAccounts,
    async getAccount(account, { countTo, nowMs }) {
      const [row] = await ask<CountsRow>(countAccount, [countTo, nowMs, account]);
      if (row === undefined) {
        throw new Error("a SELECT without FROM answered no row");
      }
      return toAccount(row, countTo);
    },
  };
}

function toAccount(row: CountsRow, countTo: number): Account {
  const active = Math.min(row.never_expiring + row.yet_to_expire, countTo);
  return {
    ...{ account: row.account, state: row.account_state ?? "active" },
    ...{ active, expired: row.expired, revoked: row.revoked },
  };
}
