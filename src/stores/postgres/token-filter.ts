import { coveringPermissions } from "../../authority/permission.ts";
import type { TokenFilter } from "../../authority/token-store.ts";
import type { StatementValues } from "./statement-text.ts";
import { lastUseOfToken } from "./token-row.ts";

/**
 * What a token must be to pass the filter, where the table token is: a condition for each filter that is set. Texts
 * compare by their bytes, as the columns say; upper and lower case are alike in ASCII alone.
 */
export function filterConditions(filter: TokenFilter, nowMs: number, { at }: StatementValues): readonly string[] {
  const conditions: string[] = [];
  function add<T>(value: T | null, condition: (value: T) => string): void {
    if (value !== null) {
      conditions.push(condition(value));
    }
  }

  const now = () => `${at(nowMs)}::bigint`;
  add(filter.account, (account) => `token.account = ${at(account)}`);
  add(someOf(filter.types), (types) => `token.type = ANY (${at(types)}::text[])`);
  add(filter.livemode, (livemode) => `token.livemode = ${at(livemode)}`);
  add(
    someOf(filter.states),
    (
      states,
    ) => `CASE WHEN token.revoked_at_ms IS NOT NULL THEN 'revoked' WHEN token.expires_at_ms <= ${now()} THEN 'expired'
      ELSE 'active' END = ANY (${at(states)}::text[])`,
  );
  add(filter.permission, (permission) => {
    // In the text of a JSON array, a quoted permission stands nowhere but where it is an element: within one, quotes
    // are escaped.
    const quoted = coveringPermissions(permission).map((one) => JSON.stringify(one));
    const stands = quoted.map((one) => `strpos(token.permissions, ${at(one)}) > 0`);
    return `(token.type = 'secret' OR (token.type = 'restricted' AND (${stands.join(" OR ")})))`;
  });
  add(filter.createdFromMs, (ms) => `token.created_at_ms >= ${at(ms)}`);
  add(filter.createdBeforeMs, (ms) => `token.created_at_ms < ${at(ms)}`);
  add(filter.expiresFromMs, (ms) => `token.expires_at_ms >= ${at(ms)}`);
  add(filter.expiresBeforeMs, (ms) => `token.expires_at_ms < ${at(ms)}`);
  add(filter.unusedSinceMs, (ms) => `coalesce(${lastUseOfToken}, token.created_at_ms) < ${at(ms)}`);
  add(filter.nameContains, (text) => `strpos(lower(token.name), lower(${at(text)}::text COLLATE "C")) > 0`);
  add(
    filter.keyHint,
    // Counted, and not asked whether it exists: to that the server may answer by reading the whole table once.
    (hint) => `0 < (SELECT count(*) FROM token_authority.token_key
      WHERE token_key.token_revision = token.revision AND token_key.key_hint = ${at(hint)})`,
  );
  add(filter.createdBy, (caller) => `token.created_by = ${at(caller)}`);
  add(
    filter.held,
    (held) => `${at(held)}::boolean = (token.hold_revision IS NOT NULL OR
      (SELECT account_state.hold_revision FROM token_authority.account_state
        WHERE account_state.account = token.account) IS NOT NULL)`,
  );
  add(
    filter.rotating,
    (
      rotating,
    ) => `${at(rotating)}::boolean = (token.revoked_at_ms IS NULL AND coalesce(token.expires_at_ms > ${now()}, true)
      AND 2 <= (SELECT count(*) FROM token_authority.token_key
        WHERE token_key.token_revision = token.revision AND coalesce(token_key.ends_at_ms > ${now()}, true)))`,
  );
  return conditions;
}

function someOf<T>(values: readonly T[]): readonly T[] | null {
  return values.length === 0 ? null : values;
}
