import type { StoredToken, Token, TokenType } from "../../authority/token.ts";

/** The columns of a StoredTokenRow. */
export const storedTokenColumns = `token.revision, token.id, token.account, token.name, token.type, token.livemode,
  token.key_hint, token.permissions, token.created_by, token.created_at_ms, token.expires_at_ms, token.revoked_at_ms,
  token.revoke_reason, token.revoke_revision`;

/** The columns of a TokenRow, from the table token and this join. */
export const tokenColumns = `${storedTokenColumns}, last_use.used_at_ms`;
export const joinLastUse = "LEFT JOIN last_use ON last_use.token_revision = token.revision";

export type StoredTokenRow = {
  readonly revision: number;
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode: number;
  readonly key_hint: string;
  /** A JSON array. */
  readonly permissions: string;
  readonly created_by: string;
  readonly created_at_ms: number;
  readonly expires_at_ms: number | null;
  readonly revoked_at_ms: number | null;
  readonly revoke_reason: string;
  readonly revoke_revision: number | null;
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
    revokeRevision: row.revoke_revision,
  };
}

export function toToken(row: TokenRow): Token {
  return { ...toStoredToken(row), lastUsedAtMs: row.used_at_ms };
}
