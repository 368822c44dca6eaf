import { createHash } from "node:crypto";
import type { StoredToken } from "./token.ts";

export const actions = ["create", "revoke"] as const;
export type Action = (typeof actions)[number];

/** One change. Revisions count from 1 without gaps. */
export type JournalRow = {
  readonly revision: number;
  readonly atMs: number;
  readonly caller: string;
  readonly action: Action;
  readonly tokenId: string;
};

/** A row with the hash that stands for it and all before it, and what people call the token it was done to. */
export type Change = JournalRow & {
  readonly hash: Uint8Array;
  readonly account: string;
  readonly tokenName: string;
  /** Empty when none was given, and where nothing was revoked. */
  readonly revokeReason: string;
};

/** About how many bytes a change takes in an answer: its texts, and a little for the rest. */
export function changeBytes({ caller, account, tokenName, revokeReason }: Change): number {
  return 120 + caller.length + account.length + Buffer.byteLength(tokenName) + Buffer.byteLength(revokeReason);
}

/** The newest change and the hash that stands for it and all before it. */
export type JournalHead = {
  readonly revision: number;
  readonly atMs: number;
  readonly hash: Uint8Array;
};

/** The head of a journal without rows. */
export const emptyHead: JournalHead = { revision: 0, atMs: 0, hash: new Uint8Array(32) };

/** Who makes a change, and when. */
export type ChangeContext = {
  readonly caller: string;
  readonly atMs: number;
  /** Whether the caller is no service but a bearer: then `caller` is the id of the token whose key makes the change. */
  readonly isBearer: boolean;
};

/**
 * The hash of a row: SHA-256 over the hash of the row before it (32 zero bytes before the first) and the UTF-8 of a
 * JSON array without white space: revision, time, caller, action, token id, then the token's digest in lower-case
 * hexadecimal, account, type, livemode, permissions and expiry.
 */
export function hashJournalRow(
  previousHash: Uint8Array,
  row: JournalRow,
  token: Pick<StoredToken, "account" | "type" | "livemode" | "permissions" | "expiresAtMs">,
  digest: Uint8Array,
): Uint8Array {
  const facts = JSON.stringify([
    row.revision,
    row.atMs,
    row.caller,
    row.action,
    row.tokenId,
    Buffer.from(digest).toString("hex"),
    token.account,
    token.type,
    token.livemode,
    token.permissions,
    token.expiresAtMs,
  ]);
  return createHash("sha256").update(previousHash).update(facts, "utf8").digest();
}
