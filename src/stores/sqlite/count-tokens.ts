import type Database from "better-sqlite3";

/**
 * SQL that counts the tokens of `:account`, up to `:max`, in an index alone. The unexpired are two ranges of that
 * index: in one condition they would be a scan of all unrevoked tokens of the account.
 */
export const countTokens = {
  neverExpiring: countIn("token_unrevoked", "revoked_at_ms IS NULL AND expires_at_ms IS NULL"),
  yetToExpire: countIn("token_unrevoked", "revoked_at_ms IS NULL AND expires_at_ms > :now_ms"),
  expired: countIn("token_unrevoked", "revoked_at_ms IS NULL AND expires_at_ms <= :now_ms"),
  revoked: countIn("token_revoked", "revoked_at_ms IS NOT NULL"),
};

/** Counts all tokens, each of which was created by one change: those that are neither revocations nor anything else. */
export function countAllTokens(db: Database.Database, revision: number): number {
  const row = db
    .prepare<[], { readonly later: number }>(
      `SELECT (SELECT count(*) FROM token INDEXED BY token_revoked WHERE revoked_at_ms IS NOT NULL)
         + (SELECT count(*) FROM journal INDEXED BY journal_later WHERE action NOT IN ('create', 'revoke')) AS later`,
    )
    .get();
  return revision - (row?.later ?? 0);
}

export type CountParameters = { readonly account: string; readonly now_ms: number; readonly max: number };

function countIn(index: string, condition: string): string {
  return `(SELECT count(*) FROM
    (SELECT 1 FROM token INDEXED BY ${index} WHERE account = :account AND ${condition} LIMIT :max))`;
}
