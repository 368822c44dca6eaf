import { createHash } from "node:crypto";
import type { StoredToken, TokenType } from "./token.ts";

/** What takes something away from keys, or gives it back. */
export const takeawayActions = [
  "revoke",
  "rotate_key",
  "end_key",
  "cancel_rotation",
  "hold",
  "resume",
  "close",
] as const;
export type TakeawayAction = (typeof takeawayActions)[number];
/** `attest` is an upgrade's: the change covers what older hashes left out, and was done to nothing. */
export const actions = ["create", ...takeawayActions, "attest"] as const;
export type Action = (typeof actions)[number];

/** What a change was done to. */
export type Subject = { readonly tokenId: string } | { readonly account: string };

/** One change. Revisions count from 1 without gaps. */
export type JournalRow = {
  readonly revision: number;
  readonly atMs: number;
  readonly caller: string;
  readonly action: Action;
  readonly subject: Subject;
};

/** When a key ends: null takes an end away that it had. */
export type KeyEnd = {
  /** SHA-256 of the key. */
  readonly digest: Uint8Array;
  readonly endsAtMs: number | null;
};

/** A change as a store has made it. */
export type MadeChange = JournalRow &
  JournalHead & {
    /** The ends of keys that it set or took away. */
    readonly ends: readonly KeyEnd[];
    /** Why, in the words of its maker. Empty when no reason was given. */
    readonly reason: string;
  };

/** A row with the hash that stands for it and all before it, and what people call the token it was done to. */
export type Change = Omit<JournalRow, "subject"> & {
  /** Null where the change was done to nothing. */
  readonly subject: Subject | null;
  readonly hash: Uint8Array;
  /** Empty where the change was done to nothing. */
  readonly account: string;
  /** Empty where no token was changed. */
  readonly tokenName: string;
  readonly tokenType: TokenType | null;
  /** Empty when none was given. */
  readonly reason: string;
  /** What the hash covers of the change, in JSON. Empty for changes of before hashes covered all of a change. */
  readonly facts: string;
};

/** About how many bytes a change takes in an answer: its texts, and a little for the rest. */
export function changeBytes({ caller, account, tokenName, reason, facts }: Change): number {
  const texts = Buffer.byteLength(tokenName) + Buffer.byteLength(reason) + Buffer.byteLength(facts);
  return 130 + caller.length + account.length + texts;
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
  /**
   * The change that issued the key of the bearer who makes the change: then `caller` is the id of the key's token. Null
   * when a service makes it.
   */
  readonly bearerKey: number | null;
};

/** What a hash covers of a change, beside its facts. */
export type HashedChange = Omit<JournalRow, "action" | "subject"> & {
  readonly action: string;
  readonly subject: Subject | null;
};

/** The version of the hashes that are made now. Every hash begins with it. */
const hashVersion = 2;

/**
 * The hash of a change: SHA-256 over the hash of the change before it (32 zero bytes before the first) and the UTF-8 of
 * a JSON array without white space: 2, revision, time, caller, action, `{"token_id":…}`, `{"account":…}` or null, and
 * the facts, an object in JSON.
 */
export function hashChange(previousHash: Uint8Array, change: HashedChange, facts: string): Uint8Array {
  const { revision, atMs, caller, action, subject } = change;
  const about = JSON.stringify([hashVersion, revision, atMs, caller, action, namedSubject(subject)]);
  return createHash("sha256")
    .update(previousHash)
    .update(`${about.slice(0, -1)},${facts}]`, "utf8")
    .digest();
}

function namedSubject(subject: Subject | null): object | null {
  if (subject === null) {
    return null;
  }
  return "tokenId" in subject ? { token_id: subject.tokenId } : { account: subject.account };
}

/** The facts of a creation: all that a new token and its key are, but for who created it and when. */
export function createFacts(
  token: Pick<StoredToken, "account" | "name" | "type" | "livemode" | "permissions" | "expiresAtMs" | "keyHint">,
  digest: Uint8Array,
): string {
  return JSON.stringify({
    account: token.account,
    name: token.name,
    type: token.type,
    livemode: token.livemode,
    permissions: token.permissions,
    expires_at_ms: token.expiresAtMs,
    digest: Buffer.from(digest).toString("hex"),
    key_hint: token.keyHint,
  });
}

/** The facts of a revocation, a hold, its end, or a closure. */
export function reasonFacts(reason: string): string {
  return JSON.stringify({ reason });
}

/** What a change did to the keys of its token. */
export type KeyFacts = {
  /** The key that the change issued, or null. */
  readonly issued: { readonly digest: Uint8Array; readonly keyHint: string } | null;
  /** Keys by the change that issued them. A null end takes one away. */
  readonly ends: readonly { readonly issueRevision: number; readonly endsAtMs: number | null }[];
};

/** The facts of a change of keys: of a rotation, of the end of a key, and of a rotation that is taken back. */
export function keyFacts({ issued, ends }: KeyFacts): string {
  return JSON.stringify({
    ...(issued === null
      ? {}
      : { issued: { digest: Buffer.from(issued.digest).toString("hex"), key_hint: issued.keyHint } }),
    ends: ends.map(({ issueRevision, endsAtMs }) => ({ key: issueRevision, ends_at_ms: endsAtMs })),
  });
}
