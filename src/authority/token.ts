export const tokenTypes = ["secret", "publishable", "restricted"] as const;
export type TokenType = (typeof tokenTypes)[number];

export const tokenStates = ["active", "expired", "revoked"] as const;
export type TokenState = (typeof tokenStates)[number];

/** Whether the keys of an account may pass at all. A hold may be lifted again, closed is for good. */
export type AccountState = "active" | "held" | "closed";

/** The record behind a key without its last use, which changes on its own. Times are Unix milliseconds. */
export type StoredToken = {
  readonly id: string;
  readonly account: string;
  readonly name: string;
  readonly type: TokenType;
  readonly livemode: boolean;
  /** Of the key that the token was found by, else of its newest. */
  readonly keyHint: string;
  readonly permissions: readonly string[];
  readonly createdBy: string;
  readonly createdAtMs: number;
  /** Null means never. */
  readonly expiresAtMs: number | null;
  readonly revokedAtMs: number | null;
  /** Empty when none was given, or when the token is not revoked. */
  readonly revokeReason: string;
  /** The change that created it: its place among all tokens, oldest first. */
  readonly createRevision: number;
  /** The change that issued the key of `keyHint`. */
  readonly issueRevision: number;
  readonly revokeRevision: number | null;
  /** Whether the token itself is held. Its account may be as well: each hold is lifted by itself. */
  readonly held: boolean;
  readonly accountState: AccountState;
};

export type Token = StoredToken & {
  /** The last use of any of its keys. */
  readonly lastUsedAtMs: number | null;
};

/** A token is live up to, and not including, the millisecond it expires. */
export function isExpired(token: Pick<StoredToken, "expiresAtMs">, nowMs: number): boolean {
  return token.expiresAtMs !== null && nowMs >= token.expiresAtMs;
}

/** A revoked token stays revoked, whether or not it has expired as well. */
export function stateOf(token: StoredToken, nowMs: number): TokenState {
  if (token.revokedAtMs !== null) {
    return "revoked";
  }
  return isExpired(token, nowMs) ? "expired" : "active";
}

/** Why no key of a token is accepted that is neither revoked nor expired. */
export type HoldRefusal = "ACCOUNT_CLOSED" | "TOKEN_HELD" | "ACCOUNT_HELD";

/** What stands against a token beside its own state, or null: first what is for good, then what may be lifted. */
export function holdRefusal({ held, accountState }: Pick<StoredToken, "held" | "accountState">): HoldRefusal | null {
  if (accountState === "closed") {
    return "ACCOUNT_CLOSED";
  }
  if (held) {
    return "TOKEN_HELD";
  }
  return accountState === "held" ? "ACCOUNT_HELD" : null;
}

/** About how many bytes a token takes in an answer: its texts, and a little for each and for the rest. */
export function answerBytes({ account, name, permissions, createdBy, revokeReason }: Token): number {
  let bytes = 150 + account.length + Buffer.byteLength(name) + createdBy.length + Buffer.byteLength(revokeReason);
  for (const permission of permissions) {
    bytes += 2 + permission.length;
  }
  return bytes;
}
