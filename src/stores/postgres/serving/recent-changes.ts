import type { TokenChange } from "../../../authority/freshness.ts";
import { emptyHead, type JournalHead } from "../../../authority/journal.ts";

/** As many of the newest changes are remembered. */
export const maxRecent = 10_000;

type Applied = { readonly change: TokenChange | null; readonly hash: Uint8Array };

/** The newest changes that a node has applied, in memory. */
export type RecentChanges = {
  /** The newest change that was applied. */
  head(): JournalHead;
  /** Adds the change after the head. */
  add(change: TokenChange, atMs: number, hash: Uint8Array): void;
  /** Forgets all changes, and goes on from this one. */
  restart(head: JournalHead): void;
  /** The changes after this revision, oldest first; null when there are more, or some are not remembered. */
  since(revision: number, limit: number): readonly TokenChange[] | null;
  /** Null where the change is not remembered, or is not there. */
  hashOf(revision: number): Uint8Array | null;
};

export function createRecentChanges(from: JournalHead): RecentChanges {
  // One place more than there are changes: the hash of the change before the oldest one is remembered too.
  const places = maxRecent + 1;
  let recent: Applied[] = [];
  let head = from;
  /** The changes after it are remembered. */
  let floor = from.revision;

  function put(revision: number, applied: Applied): void {
    recent[revision % places] = applied;
  }

  function restart(at: JournalHead): void {
    recent = [];
    head = at;
    floor = at.revision;
    put(at.revision, { change: null, hash: at.hash });
  }

  restart(from);
  return {
    head: () => head,
    restart,

    add(change, atMs, hash) {
      const { revision } = change;
      if (revision !== head.revision + 1) {
        throw new Error(`change ${revision} was to be applied after change ${head.revision}`);
      }
      put(revision, { change, hash });
      head = { revision, atMs, hash };
      floor = Math.max(floor, revision - maxRecent);
    },

    since(revision, limit) {
      if (revision < floor || head.revision - revision > limit) {
        return null;
      }
      const changes: TokenChange[] = [];
      for (let next = revision + 1; next <= head.revision; next += 1) {
        const change = recent[next % places]?.change ?? null;
        if (change !== null) {
          changes.push(change);
        }
      }
      return changes;
    },

    hashOf(revision) {
      if (revision === 0) {
        return emptyHead.hash;
      }
      const isRemembered = revision >= floor && revision <= head.revision;
      return isRemembered ? (recent[revision % places]?.hash ?? null) : null;
    },
  };
}
