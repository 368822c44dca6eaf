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
  /** Of the key that the token was found by, else of its current one: the newest that does not end before the token. */
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
  /** When that key ends. Null means with the token. */
  readonly keyEndsAtMs: number | null;
  readonly revokeRevision: number | null;
  /** Whether the token itself is held. Its account may be as well: each hold is lifted by itself. */
  readonly held: boolean;
  readonly accountState: AccountState;
};

export type Token = StoredToken & {
  /** The last use of any of its keys. */
  readonly lastUsedAtMs: number | null;
  /** All that it has or had, newest first. */
  readonly keys: readonly Key[];
};

/** How many keys of a token are shown at the most. */
export const maxShownKeys = 10;

/** What is known of one key of a token. */
export type Key = {
  /** The last characters of the key. */
  readonly hint: string;
  /** The change that issued it. */
  readonly issueRevision: number;
  readonly issuedAtMs: number;
  /** Null means with the token. */
  readonly endsAtMs: number | null;
  readonly lastUsedAtMs: number | null;
};

/** The key that goes on when the others end: the newest without an end of its own, else the newest. */
export function currentKey(keys: readonly Key[]): Key {
  const byAge = keys.toSorted((a, b) => b.issueRevision - a.issueRevision);
  const current = byAge.find(({ endsAtMs }) => endsAtMs === null) ?? byAge[0];
  if (current === undefined) {
    throw new Error("a token has no key");
  }
  return current;
}

/** The last use of any of these keys. */
export function lastUseOf(keys: readonly Key[]): number | null {
  return keys.reduce<number | null>(
    (latest, { lastUsedAtMs }) => (latest === null || (lastUsedAtMs ?? 0) > latest ? lastUsedAtMs : latest),
    null,
  );
}

/** A token that was created just now. */
export function asUnused(token: StoredToken): Token {
  const { keyHint: hint, issueRevision, keyEndsAtMs: endsAtMs, createdAtMs: issuedAtMs } = token;
  return {
    ...token,
    lastUsedAtMs: null,
    keys: [{ hint, issueRevision, issuedAtMs, endsAtMs, lastUsedAtMs: null }],
  };
}

/** A token is live up to, and not including, the millisecond it expires. */
export function isExpired(token: Pick<StoredToken, "expiresAtMs">, nowMs: number): boolean {
  return token.expiresAtMs !== null && nowMs >= token.expiresAtMs;
}

/** A key is retired from the millisecond of its own end on. */
export function isRetired(token: Pick<StoredToken, "keyEndsAtMs">, nowMs: number): boolean {
  return token.keyEndsAtMs !== null && nowMs >= token.keyEndsAtMs;
}

/** When the key that the token was found by stops authenticating: with the token, or before. Null means never. */
export function endOfKey({
  keyEndsAtMs,
  expiresAtMs,
}: Pick<StoredToken, "keyEndsAtMs" | "expiresAtMs">): number | null {
  return keyEndsAtMs === null || expiresAtMs === null
    ? (keyEndsAtMs ?? expiresAtMs)
    : Math.min(keyEndsAtMs, expiresAtMs);
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
export function answerBytes({ account, name, permissions, createdBy, revokeReason, keys }: Token): number {
  let bytes =
    90 +
    60 * Math.min(keys.length, maxShownKeys) +
    account.length +
    Buffer.byteLength(name) +
    createdBy.length +
    Buffer.byteLength(revokeReason);
  for (const permission of permissions) {
    bytes += 2 + permission.length;
  }
  return bytes;
}
