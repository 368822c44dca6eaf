/** The state of the account that this SQL names: null while it is active. */
export function stateOfAccount(account: string): string {
  return `(SELECT iif(close_revision IS NULL, 'held', 'closed') FROM account_state WHERE account_state.account = ${account})`;
}

/** The columns of the table token, and the state of its account. */
const ownColumns = `token.revision, token.id, token.account, token.name, token.type, token.livemode, token.permissions,
  token.created_by, token.created_at_ms, token.expires_at_ms, token.revoked_at_ms, token.revoke_reason, token.revoke_revision,
  token.hold_revision, ${stateOfAccount("token.account")} AS account_state`;

/** The columns of a StoredTokenRow, from the tables token and token_key: of a token and one of its keys. */
export const storedTokenColumns = `${ownColumns}, key_hint, issue_revision, ends_at_ms`;

/** When any key of a token was used last, or null, where the table token is. */
export const lastUseOfToken = `(SELECT max(last_use.used_at_ms) FROM token_key
    JOIN last_use ON last_use.issue_revision = token_key.issue_revision
  WHERE token_key.token_revision = token.revision)`;

/** The columns of a TokenRow, from the table token: with all its keys, oldest first. */
export const tokenColumns = `${ownColumns},
  (SELECT json_group_array(json_array(token_key.issue_revision, token_key.key_hint, token_key.ends_at_ms,
      CASE token_key.issue_revision WHEN token.revision THEN token.created_at_ms
        ELSE (SELECT at_ms FROM journal WHERE journal.revision = token_key.issue_revision) END,
      last_use.used_at_ms))
    FROM token_key LEFT JOIN last_use ON last_use.issue_revision = token_key.issue_revision
    WHERE token_key.token_revision = token.revision) AS keys`;
