import {
  type AccountState,
  currentKey,
  type Key,
  lastUseOf,
  type StoredToken,
  type Token,
  type TokenType,
} from "../../authority/token.ts";

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

type OwnRow = {
  readonly revision: number;
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode: number;
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

export type StoredTokenRow = OwnRow & {
  readonly key_hint: string;
  readonly issue_revision: number;
  readonly ends_at_ms: number | null;
};

/** A JSON array of a KeyInRow each. */
export type TokenRow = OwnRow & { readonly keys: string };

type KeyInRow = readonly [
  issueRevision: number,
  hint: string,
  endsAtMs: number | null,
  issuedAtMs: number,
  lastUsedAtMs: number | null,
];

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
    keyEndsAtMs: row.ends_at_ms,
    revokeRevision: row.revoke_revision,
    held: row.hold_revision !== null,
    accountState: row.account_state ?? "active",
  };
}

export function toToken(row: TokenRow): Token {
  const rows: readonly KeyInRow[] = JSON.parse(row.keys);
  const keys = rows.map(
    ([issueRevision, hint, endsAtMs, issuedAtMs, lastUsedAtMs]): Key => ({
      ...{ issueRevision, hint, endsAtMs, issuedAtMs, lastUsedAtMs },
    }),
  );
  const current = currentKey(keys);
  const found = { key_hint: current.hint, issue_revision: current.issueRevision, ends_at_ms: current.endsAtMs };
  return { ...toStoredToken({ ...row, ...found }), lastUsedAtMs: lastUseOf(keys), keys: keys.toReversed() };
}
