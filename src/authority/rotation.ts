import type { KeyFacts } from "./journal.ts";
import { type Key, maxShownKeys, type Token } from "./token.ts";
import { maxOverlapMs, type RotationEnd } from "./token-store.ts";

/** Ends of keys, by the changes that issued them. */
export type Ends = KeyFacts["ends"];

type Rotated = Pick<Token, "keys" | "expiresAtMs">;

/**
 * Which ends the keys of a live token get when it gets another key; null while a new key of it that was accepted and
 * its old key both live. The bearer's key, if a key of the token asks, was accepted a moment ago.
 */
export function endsByRotation(
  token: Rotated,
  overlapMs: number,
  nowMs: number,
  bearerKey: number | null,
): Ends | null {
  const [newest, old] = liveKeys(token, nowMs);
  if (newest === undefined) {
    return [];
  }
  if (old === undefined) {
    return [endOf(newest, endOfOldKey(token, nowMs + overlapMs))];
  }
  if (newest.lastUsedAtMs !== null || newest.issueRevision === bearerKey) {
    return null;
  }
  // Its answer was lost, or nobody has put it to use: nobody will miss it.
  return [endOf(newest, nowMs), endOf(old, endOfOldKey(token, nowMs + overlapMs))];
}

export type PlannedEnd =
  | { readonly kind: "change"; readonly action: "end_key" | "cancel_rotation"; readonly ends: Ends }
  /** All is so already, since this key got its end. */
  | { readonly kind: "done"; readonly endedKey: number }
  | { readonly kind: "rotation_not_under_way" }
  | { readonly kind: "end_out_of_range" };

/** What ends or moves the rotation of a live token. */
export function planRotationEnd(token: Rotated, end: RotationEnd, nowMs: number): PlannedEnd {
  const live = liveKeys(token, nowMs);
  // After a restore the new key may be lost, and the old key be the only one.
  const old = live.find(({ endsAtMs }) => endsAtMs !== null);
  const issued = live.find(({ endsAtMs }) => endsAtMs === null);
  switch (end.kind) {
    case "cut":
      return old === undefined
        ? doneBefore(token, issued, issued === newestOf(token))
        : { kind: "change", action: "end_key", ends: [endOf(old, nowMs)] };
    case "move": {
      if (old === undefined) {
        return { kind: "rotation_not_under_way" };
      }
      if (end.endsAtMs < nowMs || end.endsAtMs > (issued?.issuedAtMs ?? nowMs) + maxOverlapMs) {
        return { kind: "end_out_of_range" };
      }
      const endsAtMs = endOfOldKey(token, end.endsAtMs);
      return endsAtMs === old.endsAtMs
        ? { kind: "done", endedKey: old.issueRevision }
        : { kind: "change", action: "end_key", ends: [endOf(old, endsAtMs)] };
    }
    case "cancel":
      if (old === undefined) {
        return doneBefore(token, issued, issued !== newestOf(token));
      }
      return {
        kind: "change",
        action: "cancel_rotation",
        ends: [...(issued === undefined ? [] : [endOf(issued, nowMs)]), endOf(old, null)],
      };
  }
}

/** To ask again is answered as before: the other key has ended, the last of all that have. */
function doneBefore({ keys }: Rotated, live: Key | undefined, isSo: boolean): PlannedEnd {
  const ended = keys
    .filter((key) => key !== live)
    .toSorted((a, b) => (b.endsAtMs ?? 0) - (a.endsAtMs ?? 0))
    .at(0);
  return live !== undefined && isSo && ended !== undefined
    ? { kind: "done", endedKey: ended.issueRevision }
    : { kind: "rotation_not_under_way" };
}

/** The keys that a person is shown, in the order that Token.keys promises. */
export function shownKeys(token: Pick<Token, "keys">, nowMs: number): readonly Key[] {
  const live = liveKeys(token, nowMs);
  return [...live, ...token.keys.filter((key) => !live.includes(key))].slice(0, maxShownKeys);
}

/** The keys that have not ended, newest first. */
export function liveKeys({ keys }: Pick<Token, "keys">, nowMs: number): readonly Key[] {
  return keys
    .filter(({ endsAtMs }) => endsAtMs === null || endsAtMs > nowMs)
    .toSorted((a, b) => b.issueRevision - a.issueRevision);
}

function newestOf({ keys }: Rotated): Key | undefined {
  return keys.toSorted((a, b) => b.issueRevision - a.issueRevision).at(0);
}

function endOfOldKey({ expiresAtMs }: Rotated, endsAtMs: number): number {
  return expiresAtMs === null ? endsAtMs : Math.min(endsAtMs, expiresAtMs);
}

function endOf({ issueRevision }: Key, endsAtMs: number | null): Ends[number] {
  return { issueRevision, endsAtMs };
}
