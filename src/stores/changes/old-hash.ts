import { createHash } from "node:crypto";
import type { Action } from "../../authority/journal.ts";
import type { StoredToken } from "../../authority/token.ts";

/** A change as it was when tokens alone were changed. */
export type OldChange = {
  readonly revision: number;
  readonly atMs: number;
  readonly caller: string;
  readonly action: Action;
  readonly tokenId: string;
};

/**
 * The hash of a change by version 1: SHA-256 over the hash of the change before it and the UTF-8 of a JSON array
 * without white space: revision, time, caller, action, token id, the digest of the key in lower-case hexadecimal,
 * account, type, livemode, permissions and expiry.
 */
export function hashOldChange(
  previousHash: Uint8Array,
  { revision, atMs, caller, action, tokenId }: OldChange,
  token: Pick<StoredToken, "account" | "type" | "livemode" | "permissions" | "expiresAtMs">,
  digest: Uint8Array,
): Uint8Array {
  const { account, type, livemode, permissions, expiresAtMs } = token;
  const key = Buffer.from(digest).toString("hex");
  const facts = [revision, atMs, caller, action, tokenId, key, account, type, livemode, permissions, expiresAtMs];
  return createHash("sha256").update(previousHash).update(JSON.stringify(facts), "utf8").digest();
}

/** What hashes of version 1 do not cover of a token. */
export type Uncovered = {
  readonly revision: number;
  readonly name: string;
  readonly keyHint: string;
  /** Empty when the token was revoked by a change of version 2, or not. */
  readonly revokeReason: string;
};

export type Attestation = { add(token: Uncovered): void; facts(): string };

/**
 * Sums up what the hashes of version 1 leave out, from the tokens that they created, oldest first: SHA-256 over a line
 * each of the JSON array of revision, name, key hint and revoke reason.
 */
export function createAttestation(): Attestation {
  const sum = createHash("sha256");
  return {
    add({ revision, name, keyHint, revokeReason }) {
      sum.update(`${JSON.stringify([revision, name, keyHint, revokeReason])}\n`, "utf8");
    },
    facts: () => JSON.stringify({ names_hints_reasons: sum.digest("hex") }),
  };
}

/** The change that covers what older hashes have left out. It is done to nothing, and comes first after them. */
export const attestAction = "attest" as const;
