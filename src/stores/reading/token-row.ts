import {
  type AccountState,
  currentKey,
  type Key,
  lastUseOf,
  type StoredToken,
  type Token,
  type TokenType,
} from "../../authority/token.ts";

type OwnRow = {
  readonly revision: number;
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  /** SQLite has no booleans: 1 is true there. */
  readonly livemode: number | boolean;
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

/** A token and one of its keys. */
export type StoredTokenRow = OwnRow & {
  readonly key_hint: string;
  readonly issue_revision: number;
  readonly ends_at_ms: number | null;
};

/** A token with all its keys, oldest first: a JSON array of a KeyInRow each. */
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
    livemode: Boolean(row.livemode),
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
