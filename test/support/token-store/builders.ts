import { createHash, randomBytes } from "node:crypto";
import type { ChangeContext } from "../../../src/authority/journal.ts";
import { mintTokenId } from "../../../src/authority/key.ts";
import { asUnused, type StoredToken, type Token } from "../../../src/authority/token.ts";
import type {
  ChangeFilter,
  ChangeQuery,
  CreateOutcome,
  CreateRequestRecord,
  NewToken,
  RevokeOutcome,
  RotateOutcome,
  TokenFilter,
  TokenQuery,
} from "../../../src/authority/token-store.ts";

export const nowMs = Date.UTC(2026, 10, 24);
export const anyLimit = 10_000;

/** A token that nobody has created yet. */
export function aNewToken(facts: Partial<NewToken> = {}): NewToken {
  return {
    id: mintTokenId(),
    digest: randomBytes(32),
    account: "acct_1",
    name: "Till 7",
    type: "restricted",
    livemode: true,
    keyHint: "Zz09",
    permissions: ["charges:read", "refunds:write"],
    expiresAtMs: null,
    ...facts,
  };
}

export function aRequest(id: string, body = "body", sealedKey = `sealed ${id}`): CreateRequestRecord {
  return { id, bodyDigest: createHash("sha256").update(body).digest(), sealedKey: Buffer.from(sealedKey) };
}

/** A token of one key that was used last at this time. */
export function usedAt(token: StoredToken, lastUsedAtMs: number | null): Token {
  const { keys, ...unused } = asUnused(token);
  return { ...unused, lastUsedAtMs, keys: keys.map((key) => ({ ...key, lastUsedAtMs })) };
}

export function at(atMs: number, caller = "spiffe://casapay/till"): ChangeContext {
  return { caller, atMs, bearerKey: null };
}

/** A change that the bearer of this token's key makes. */
export function byBearer(maker: Pick<Token, "id" | "issueRevision">, atMs: number): ChangeContext {
  return { caller: maker.id, atMs, bearerKey: maker.issueRevision };
}

export const everything: TokenFilter = {
  account: null,
  types: [],
  livemode: null,
  states: [],
  permission: null,
  createdFromMs: null,
  createdBeforeMs: null,
  expiresFromMs: null,
  expiresBeforeMs: null,
  unusedSinceMs: null,
  nameContains: null,
  keyHint: null,
  createdBy: null,
  held: null,
  rotating: null,
};

export const allChanges: ChangeFilter = {
  tokenId: null,
  caller: null,
  action: null,
  account: null,
  changedFromMs: null,
  changedBeforeMs: null,
  afterRevision: null,
};

/** Asks for every change, newest first. */
export function aChangeQuery(filter: Partial<ChangeFilter> = {}, facts: Partial<ChangeQuery> = {}): ChangeQuery {
  return {
    filter: { ...allChanges, ...filter },
    direction: "older",
    after: null,
    limit: 1000,
    scanLimit: 10_000,
    maxBytes: 1e6,
    ...facts,
  };
}

/** Asks for everything, newest first. */
export function aQuery(facts: Partial<TokenQuery> = {}): TokenQuery {
  return {
    filter: everything,
    direction: "older",
    after: null,
    limit: 50,
    scanLimit: 10_000,
    maxBytes: 1_000_000,
    nowMs,
    ...facts,
  };
}

export function createdIn(outcome: CreateOutcome): Extract<CreateOutcome, { kind: "created" }> {
  if (outcome.kind !== "created") {
    throw new Error(`not created: ${outcome.kind}`);
  }
  return outcome;
}

export function revokedIn(outcome: RevokeOutcome | null): Extract<RevokeOutcome, { kind: "revoked" }> {
  if (outcome?.kind !== "revoked") {
    throw new Error(`not revoked: ${outcome?.kind}`);
  }
  return outcome;
}

export function sealedKeyIn(outcome: CreateOutcome | RotateOutcome | null): string | null {
  if (outcome?.kind !== "replayed" || outcome.sealedKey === null) {
    return null;
  }
  return Buffer.from(outcome.sealedKey).toString();
}

export function hex(bytes: Uint8Array | undefined): string {
  return Buffer.from(bytes ?? []).toString("hex");
}
