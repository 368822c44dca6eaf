import { coveringPermissions } from "../../authority/permission.ts";
import type { TokenFilter } from "../../authority/token-store.ts";
import { lastUseOfToken } from "./token-row.ts";

/** What a token must be to pass a TokenFilter, where the table token is. Null parameters pass everything. */
export const filterConditions = `(:account IS NULL OR token.account = :account)
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
    (SELECT count(*) FROM token_key WHERE token_revision = token.revision AND coalesce(ends_at_ms > :now_ms, 1))))`;

export type FilterParameters = {
  readonly account: string | null;
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

export function toFilterParameters(filter: TokenFilter, nowMs: number): FilterParameters {
  const [type_1 = null, type_2 = null, type_3 = null] = new Set(filter.types);
  const [state_1 = null, state_2 = null, state_3 = null] = new Set(filter.states);
  // In the text of a JSON array, a quoted permission stands nowhere but where it is an element: within one, quotes are
  // escaped.
  const [permission_1 = null, permission_2 = null] =
    filter.permission === null ? [] : coveringPermissions(filter.permission).map((one) => JSON.stringify(one));
  return {
    account: filter.account,
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
