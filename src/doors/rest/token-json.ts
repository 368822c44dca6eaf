import { keyPrefix } from "../../authority/key.ts";
import { liveKeys } from "../../authority/rotation.ts";
import { stateOf, type Token } from "../../authority/token.ts";

/**
 * A token as this API shows it. Times are Unix seconds, parts of a second cut off; `key` is there in the answer to a
 * creation or a rotation only.
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
    previous_key: previousKey(token, nowMs),
    held: token.held,
  };
}

/** The old key of a rotation, as long as it lives. */
function previousKey(token: Token, nowMs: number): object | null {
  const old = liveKeys(token, nowMs).find(({ issueRevision }) => issueRevision !== token.issueRevision);
  return old === undefined
    ? null
    : { key_hint: old.hint, expires_at: toSeconds(old.endsAtMs), last_used_at: toSeconds(old.lastUsedAtMs) };
}

function toSeconds(ms: number | null): number | null {
  return ms === null ? null : Math.floor(ms / 1000);
}
