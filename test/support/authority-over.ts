import { createKeyIndex } from "../../src/authority/key-index.ts";
import { createLastUseRecorder } from "../../src/authority/last-use-recorder.ts";
import {
  createTokenAuthority,
  type TokenAuthority,
  type TokenAuthorityOptions,
} from "../../src/authority/token-authority.ts";
import type { TokenStore } from "../../src/authority/token-store.ts";

/**
 * The authority as a thread has it over this store, with the real time and no sealing secret, unless a test says
 * otherwise.
 */
export function authorityOver(store: TokenStore, options: Partial<TokenAuthorityOptions> = {}): TokenAuthority {
  return createTokenAuthority({
    store,
    keys: createKeyIndex({ freshness: store.freshness, findByDigest: store.findByDigest, maxBytes: 1_000_000 }),
    clock: Date.now,
    lastUse: createLastUseRecorder(store, () => {}),
    sealer: null,
    maxTokensPerAccount: 1000,
    maxLifetimeDays: null,
    onChange() {},
    onSilent() {},
    onWaitedOut() {},
    ...options,
  });
}
