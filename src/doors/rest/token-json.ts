import { keyPrefix } from "../../authority/key.ts";
import { stateOf, type Token } from "../../authority/token.ts";

/**
 * A token as this face shows it. Times are Unix seconds, parts of a second cut off; `key` is there in the answer to a
 * creation only.
 */
export function toTokenJson(token: Token, nowMs: number, key: { readonly key: string | null } | null = null): object {
  return {
    id: token.id,
    object: "token",
    name: token.name,
    type: token.type,
    ...key,
    key_prefix: keyPrefix(token.type, token.livemode),
    permissions: token.permissions,
    last_used_at: toSeconds(token.lastUsedAtMs),
    expires_at: toSeconds(token.expiresAtMs),
    livemode: token.livemode,
    created: toSeconds(token.createdAtMs),
    status: stateOf(token, nowMs),
    revoked_at: toSeconds(token.revokedAtMs),
    key_hint: token.keyHint,
    held: token.held,
  };
}

function toSeconds(ms: number | null): number | null {
  return ms === null ? null : Math.floor(ms / 1000);
}
