import type Database from "better-sqlite3";
import { coveringPermissions } from "../../../authority/permission.ts";
import { answerBytes, type Token } from "../../../authority/token.ts";
import type { Direction, TokenFilter, TokenPage, TokenQuery } from "../../../authority/token-store.ts";
import type { Turns } from "../../../machine/turns.ts";
import { lastUseOfToken, type TokenRow, tokenColumns, toToken } from "../token-row.ts";

/** How many tokens are looked at in one turn of the event loop: Authenticate waits no longer than for these. */
const sliceTokens = 250;

type ListScope = { readonly byAccount: boolean; readonly direction: Direction };

type SliceParameters = { readonly account: string | null; readonly cursor: number; readonly slice: number };
type SliceRow = { readonly looked_at: number; readonly end: number | null };
type MatchParameters = FilterParameters & {
  readonly account: string | null;
  readonly cursor: number;
  readonly end: number;
  readonly wanted: number;
};

/**
 * Looks where the next slice ends: at most `slice` tokens beyond the cursor, in the direction, whatever the other
 * filters.
 */
function sliceSql({ byAccount, direction }: ListScope): string {
  const { beyond, order, last } = wordsFor[direction];
  return `SELECT count(*) AS looked_at, ${last}(revision) AS "end" FROM (
    SELECT revision FROM token ${byAccount ? "INDEXED BY token_by_account WHERE account = :account AND" : "NOT INDEXED WHERE"}
      revision ${beyond} :cursor ORDER BY revision ${order} LIMIT :slice)`;
}

/**
 * The tokens beyond the cursor and up to the end of the slice that pass the filter. Null parameters pass everything.
 */
function matchSql({ byAccount, direction }: ListScope): string {
  const { beyond, upTo, order } = wordsFor[direction];
  const from = byAccount ? "FROM token INDEXED BY token_by_account" : "FROM token NOT INDEXED";
  return `SELECT ${tokenColumns} ${from}
    WHERE ${byAccount ? "token.account = :account AND" : ""} token.revision ${beyond} :cursor AND token.revision ${upTo} :end
      AND (:type_1 IS NULL OR token.type IN (:type_1, :type_2, :type_3))
      AND (:livemode IS NULL OR token.livemode = :livemode)
      AND (:state_1 IS NULL OR
        CASE WHEN token.revoked_at_ms IS NOT NULL THEN 'revoked' WHEN token.expires_at_ms <= :now_ms THEN 'expired' ELSE 'active' END
          IN (:state_1, :state_2, :state_3))
      AND (:permission_1 IS NULL OR token.type = 'secret' OR
        (token.type = 'restricted' AND
          (instr(token.permissions, :permission_1) > 0 OR instr(token.permissions, :permission_2) > 0)))
      AND (:created_from_ms IS NULL OR token.created_at_ms >= :created_from_ms)
      AND (:created_before_ms IS NULL OR token.created_at_ms < :created_before_ms)
      AND (:expires_from_ms IS NULL OR token.expires_at_ms >= :expires_from_ms)
      AND (:expires_before_ms IS NULL OR token.expires_at_ms < :expires_before_ms)
      AND (:unused_since_ms IS NULL OR coalesce(${lastUseOfToken}, token.created_at_ms) < :unused_since_ms)
      AND (:name_contains IS NULL OR instr(lower(token.name), lower(:name_contains)) > 0)
      AND (:key_hint IS NULL OR
        EXISTS (SELECT 1 FROM token_key WHERE token_revision = token.revision AND key_hint = :key_hint))
      AND (:created_by IS NULL OR token.created_by = :created_by)
      AND (:held IS NULL OR :held = (token.hold_revision IS NOT NULL OR EXISTS
        (SELECT 1 FROM account_state WHERE account_state.account = token.account AND account_state.hold_revision IS NOT NULL)))
      AND (:rotating IS NULL OR :rotating = (token.revoked_at_ms IS NULL AND coalesce(token.expires_at_ms > :now_ms, 1) AND 2 <=
        (SELECT count(*) FROM token_key WHERE token_revision = token.revision AND coalesce(ends_at_ms > :now_ms, 1))))
    ORDER BY token.revision ${order} LIMIT :wanted`;
}

const wordsFor = {
  older: { beyond: "<", upTo: ">=", order: "DESC", last: "min", start: Number.MAX_SAFE_INTEGER },
  newer: { beyond: ">", upTo: "<=", order: "ASC", last: "max", start: 0 },
} satisfies Record<Direction, object>;

/**
 * Prepares TokenStore.list on a reading connection. It answers in slices, and holds no read transaction from one to the
 * next.
 */
export function createTokenList(db: Database.Database, turns: Turns): (query: TokenQuery) => Promise<TokenPage> {
  const slicers = {
    account: { older: prepareSlicer(db, true, "older"), newer: prepareSlicer(db, true, "newer") },
    everywhere: { older: prepareSlicer(db, false, "older"), newer: prepareSlicer(db, false, "newer") },
  };

  return async (query) => {
    const lookAtSlice = slicers[query.filter.account === null ? "everywhere" : "account"][query.direction];
    const tokens: Token[] = [];
    let bytes = 0;
    let cursor = query.after ?? wordsFor[query.direction].start;
    let left = query.scanLimit;
    for (;;) {
      await turns.next();
      // One more than the page holds tells whether it has a next.
      const slice = lookAtSlice(query, cursor, Math.min(left, sliceTokens), { tokens: tokens.length, bytes });
      tokens.push(...slice.tokens);
      bytes += slice.bytes;
      const last = tokens.at(-2);
      if (last !== undefined && (tokens.length > query.limit || bytes > query.maxBytes)) {
        return { tokens: tokens.slice(0, -1), next: last.createRevision };
      }
      if (slice.end === null) {
        return { tokens, next: null };
      }
      cursor = slice.end;
      left -= slice.lookedAt;
      if (left <= 0) {
        const isMoreLeft = lookAtSlice(query, cursor, 1, { tokens: tokens.length, bytes }).end !== null;
        return { tokens, next: isMoreLeft ? cursor : null };
      }
    }
  };
}

type Slice = {
  readonly tokens: readonly Token[];
  readonly bytes: number;
  readonly lookedAt: number;
  /** The last token looked at; null when there was none. */
  readonly end: number | null;
};
/** What the page holds before the slice, which ends with the first token that the page has no room for. */
type Held = { readonly tokens: number; readonly bytes: number };
type Slicer = (query: TokenQuery, cursor: number, slice: number, held: Held) => Slice;

function prepareSlicer(db: Database.Database, byAccount: boolean, direction: Direction): Slicer {
  const findEnd = db.prepare<[SliceParameters], SliceRow>(sliceSql({ byAccount, direction }));
  const findMatches = db.prepare<[MatchParameters], TokenRow>(matchSql({ byAccount, direction }));
  return db.transaction((query, cursor, slice, held) => {
    const account = query.filter.account;
    const found = findEnd.get({ account, cursor, slice });
    if (found === undefined || found.end === null) {
      return { tokens: [], bytes: 0, lookedAt: 0, end: null };
    }
    const { looked_at: lookedAt, end } = found;
    const wanted = query.limit + 1 - held.tokens;
    const parameters = { account, cursor, end, wanted, ...toFilterParameters(query.filter, query.nowMs) };
    const tokens: Token[] = [];
    let bytes = 0;
    for (const row of findMatches.iterate(parameters)) {
      const token = toToken(row);
      tokens.push(token);
      bytes += answerBytes(token);
      if (held.bytes + bytes > query.maxBytes && held.tokens + tokens.length > 1) {
        break;
      }
    }
    return { tokens, bytes, lookedAt, end };
  }) satisfies Slicer;
}

type FilterParameters = {
  readonly type_1: string | null;
  readonly type_2: string | null;
  readonly type_3: string | null;
  readonly livemode: number | null;
  readonly state_1: string | null;
  readonly state_2: string | null;
  readonly state_3: string | null;
  readonly now_ms: number;
  readonly permission_1: string | null;
  readonly permission_2: string | null;
  readonly created_from_ms: number | null;
  readonly created_before_ms: number | null;
  readonly expires_from_ms: number | null;
  readonly expires_before_ms: number | null;
  readonly unused_since_ms: number | null;
  readonly name_contains: string | null;
  readonly key_hint: string | null;
  readonly created_by: string | null;
  readonly held: number | null;
  readonly rotating: number | null;
};

function toFilterParameters(filter: TokenFilter, nowMs: number): FilterParameters {
  const [type_1 = null, type_2 = null, type_3 = null] = new Set(filter.types);
  const [state_1 = null, state_2 = null, state_3 = null] = new Set(filter.states);
  // In the text of a JSON array, a quoted permission stands nowhere but where it is an element: within one, quotes are
  // escaped.
  const [permission_1 = null, permission_2 = null] =
    filter.permission === null ? [] : coveringPermissions(filter.permission).map((one) => JSON.stringify(one));
  return {
    type_1,
    type_2,
    type_3,
    livemode: toNumber(filter.livemode),
    state_1,
    state_2,
    state_3,
    now_ms: nowMs,
    permission_1,
    permission_2,
    created_from_ms: filter.createdFromMs,
    created_before_ms: filter.createdBeforeMs,
    expires_from_ms: filter.expiresFromMs,
    expires_before_ms: filter.expiresBeforeMs,
    unused_since_ms: filter.unusedSinceMs,
    name_contains: filter.nameContains,
    key_hint: filter.keyHint,
    created_by: filter.createdBy,
    held: toNumber(filter.held),
    rotating: toNumber(filter.rotating),
  };
}

/** SQLite has no booleans. */
function toNumber(value: boolean | null): number | null {
  return value === null ? null : Number(value);
}
