import type { AccountState, StoredToken, Token, TokenType } from "../../authority/token.ts";

/** The state of the account that this SQL names: null while it is active. */
export function stateOfAccount(account: string): string {
  return `(SELECT iif(close_revision IS NULL, 'held', 'closed') FROM account_state WHERE account_state.account = ${account})`;
}

/** The columns of the table token, and the state of its account. */
const ownColumns = `token.revision, token.id, token.account, token.name, token.type, token.livemode, token.permissions,
  token.created_by, token.created_at_ms, token.expires_at_ms, token.revoked_at_ms, token.revoke_reason, token.revoke_revision,
  token.hold_revision, ${stateOfAccount("token.account")} AS account_state`;

/** The columns of a StoredTokenRow, from the tables token and token_key: of a token and one of its keys. */
export const storedTokenColumns = `${ownColumns}, key_hint, issue_revision`;

const newestKey = "FROM token_key WHERE token_revision = token.revision ORDER BY issue_revision DESC LIMIT 1";

/** When any key of a token was used last, or null, where the table token is. */
export const lastUseOfToken = `(SELECT max(last_use.used_at_ms) FROM token_key
    JOIN last_use ON last_use.issue_revision = token_key.issue_revision
  WHERE token_key.token_revision = token.revision)`;

/** The columns of a TokenRow, from the table token: with the newest key, and the last use of any. */
export const tokenColumns = `${ownColumns}, (SELECT key_hint ${newestKey}) AS key_hint,
  (SELECT issue_revision ${newestKey}) AS issue_revision, ${lastUseOfToken} AS used_at_ms`;

export type StoredTokenRow = {
  readonly revision: number;
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode: number;
  readonly key_hint: string;
  readonly issue_revision: number;
  /** A JSON array. */
  readonly permissions: string;
  readonly created_by: string;
  readonly created_at_ms: number;
  readonly expires_at_ms: number | null;
  readonly revoked_at_ms: number | null;
  readonly revoke_reason: string;
  readonly revoke_revision: number | null;
  readonly hold_revision: number | null;
  readonly account_state: Exclude<AccountState, "active"> | null;
};

export type TokenRow = StoredTokenRow & { readonly used_at_ms: number | null };

export function toStoredToken(row: StoredTokenRow): StoredToken {
  return {
    id: row.id,
    account: row.account,
    name: row.name,
    type: row.type,
    livemode: row.livemode === 1,
    keyHint: row.key_hint,
    permissions: JSON.parse(row.permissions),
    createdBy: row.created_by,
    createdAtMs: row.created_at_ms,
    expiresAtMs: row.expires_at_ms,
    revokedAtMs: row.revoked_at_ms,
    revokeReason: row.revoke_reason,
    createRevision: row.revision,
    issueRevision: row.issue_revision,
    revokeRevision: row.revoke_revision,
    held: row.hold_revision !== null,
    accountState: row.account_state ?? "active",
  };
}

export function toToken(row: TokenRow): Token {
  return { ...toStoredToken(row), lastUsedAtMs: row.used_at_ms };
}
