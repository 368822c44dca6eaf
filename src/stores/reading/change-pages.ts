import { type Action, type Change, changeBytes, createFacts, type Subject } from "../../authority/journal.ts";
import type { TokenType } from "../../authority/token.ts";
import type { ChangeFilter, ChangePage, ChangeQuery, Direction } from "../../authority/token-store.ts";

export const orderOf = { older: "DESC", newer: "ASC" } satisfies Record<Direction, string>;

/** A change, with the token that was changed and the key that was issued. */
export type ChangeRow = {
  readonly revision: number;
  readonly at_ms: number;
  readonly caller: string;
  readonly action: Action;
  readonly subject_account: string | null;
  readonly facts: string | null;
  readonly hash: Uint8Array;
  readonly token_id: string | null;
  readonly account: string;
  readonly name: string | null;
  readonly type: TokenType | null;
  /** SQLite has no booleans: 1 is true there. */
  readonly livemode: number | boolean | null;
  /** A JSON array. */
  readonly permissions: string | null;
  readonly expires_at_ms: number | null;
  readonly key_hint: string | null;
  readonly digest: Uint8Array | null;
  readonly reason: string;
};

/** The rows from `from` on and below `before`. Revisions have no gaps: so many numbers are so many rows. */
export type Window = { readonly from: number; readonly before: number };

/** What is looked at in one step, and what is left after it. */
export type ChangeSlice = {
  /** The changes that pass the filter, in the direction. May end once there are `wanted`. */
  readonly rows: Iterable<ChangeRow>;
  readonly lookedAt: number;
  readonly rest: Window;
};

/** Looks at so many changes at that end of the window where the direction begins. */
export type ChangeSlicer = (window: Window, size: number, wanted: number) => ChangeSlice | Promise<ChangeSlice>;

/** What a journal is like where the query begins. */
export type JournalBounds = {
  readonly newest: number;
  /** The newest change whose hash does not cover its facts. */
  readonly lastOldRevision: number;
};

/** Answers TokenReads.listChanges in slices of this size. */
export async function pageOfChanges(
  { filter, direction, after, limit, scanLimit, maxBytes }: ChangeQuery,
  { newest, lastOldRevision }: JournalBounds,
  sliceSize: number,
  look: ChangeSlicer,
): Promise<ChangePage> {
  const changes: Change[] = [];
  let bytes = 0;
  let left = scanLimit;
  let rest = windowOf(filter, direction, after, newest);
  while (rest.from < rest.before && left > 0) {
    // One more than the page holds tells whether it has a next.
    const slice = await look(rest, Math.min(left, sliceSize), limit + 1 - changes.length);
    for (const row of slice.rows) {
      const change = toChange(row, lastOldRevision);
      const last = changes.at(-1);
      bytes += changeBytes(change);
      if (last !== undefined && (changes.length === limit || bytes > maxBytes)) {
        return { changes, next: last.revision };
      }
      changes.push(change);
    }
    left -= slice.lookedAt;
    rest = slice.rest;
  }
  const isMoreLeft = rest.from < rest.before && (await look(rest, 1, 1)).lookedAt > 0;
  return { changes, next: isMoreLeft ? (direction === "older" ? rest.before : rest.from - 1) : null };
}

/** The first `size` changes of the window in the direction, and those that are left. */
export function splitWindow(
  { from, before }: Window,
  direction: Direction,
  size: number,
): { readonly first: Window; readonly rest: Window } {
  const middle = direction === "older" ? Math.max(from, before - size) : Math.min(before, from + size);
  const [lower, upper] = [
    { from, before: middle },
    { from: middle, before },
  ];
  return direction === "older" ? { first: upper, rest: lower } : { first: lower, rest: upper };
}

/** What is left of the window after these revisions, which were all that a look for `size` of them has found. */
export function windowAfter(
  revisions: readonly number[],
  { from, before }: Window,
  direction: Direction,
  size: number,
): Window {
  const last = revisions.at(-1);
  if (last === undefined || revisions.length < size) {
    return { from, before: from };
  }
  return direction === "older" ? { from, before: last } : { from: last + 1, before };
}

/** All that there is to look at. */
function windowOf({ afterRevision }: ChangeFilter, direction: Direction, after: number | null, newest: number): Window {
  const from = (afterRevision ?? 0) + 1;
  const before = newest + 1;
  if (after === null) {
    return { from, before };
  }
  return direction === "older"
    ? { from, before: Math.min(before, after) }
    : { from: Math.max(from, after + 1), before };
}

function toChange(row: ChangeRow, lastOldRevision: number): Change {
  return {
    revision: row.revision,
    atMs: row.at_ms,
    caller: row.caller,
    action: row.action,
    subject: subjectOf(row),
    hash: row.hash,
    account: row.account,
    tokenName: row.name ?? "",
    tokenType: row.type,
    reason: row.reason,
    facts: row.facts ?? (row.revision > lastOldRevision ? factsOfCreation(row) : ""),
  };
}

function subjectOf({ token_id, subject_account }: ChangeRow): Subject | null {
  if (token_id !== null) {
    return { tokenId: token_id };
  }
  return subject_account === null ? null : { account: subject_account };
}

/** The journal does not keep these: a token and its first key are what was done. */
function factsOfCreation(row: ChangeRow): string {
  const { account, name, type, livemode, permissions, expires_at_ms, key_hint, digest } = row;
  if (name === null || type === null || permissions === null || key_hint === null || digest === null) {
    throw new Error(`the change of revision ${row.revision} has no facts, and created no token`);
  }
  const token = {
    ...{ account, name, type, livemode: Boolean(livemode), permissions: JSON.parse(permissions) },
    ...{ expiresAtMs: expires_at_ms, keyHint: key_hint },
  };
  return createFacts(token, digest);
}
