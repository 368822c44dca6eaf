import { lastUsePrecisionMs, type TokenStore, type TokenUse } from "./token-store.ts";

const batchLength = 1000;
const maxTrackedKeys = 100_000;

/** Keeps uses of keys in memory and writes them behind, so that accepting a key never costs a write. */
export type LastUseRecorder = {
  /** Notes that a key was accepted. Constant work; forgets the use when too many keys are tracked. Hot path. */
  record(issueRevision: number, usedAtMs: number): void;
  /**
   * Writes what was noted since the last flush. After a failure `onLost` is told how many uses are lost; no call is.
   */
  flush(): Promise<void>;
};

/**
 * Uses of a key within 60 seconds of one noted before are not noted: the store would not move for them. The seconds
 * are those that passed: by the system's clock, one that is ahead for a moment would silence a key for as long.
 */
export function createLastUseRecorder(
  store: Pick<TokenStore, "recordUses">,
  onLost: (error: unknown, uses: number) => void,
  monotonicMs: () => number = () => performance.now(),
): LastUseRecorder {
  // By monotonicMs. In insertion order, which is the order of time: the oldest entries come first.
  const notedAtMs = new Map<number, number>();
  let waiting: TokenUse[] = [];
  let writing: Promise<void> = Promise.resolve();

  function forgetOld(): void {
    const nowMs = monotonicMs();
    for (const [issueRevision, atMs] of notedAtMs) {
      if (nowMs - atMs < lastUsePrecisionMs) {
        return;
      }
      notedAtMs.delete(issueRevision);
    }
  }

  return {
    record(issueRevision, usedAtMs) {
      const before = notedAtMs.get(issueRevision);
      const nowMs = monotonicMs();
      if (before !== undefined) {
        if (nowMs - before < lastUsePrecisionMs) {
          return;
        }
        notedAtMs.delete(issueRevision);
      } else if (notedAtMs.size >= maxTrackedKeys) {
        return;
      }
      notedAtMs.set(issueRevision, nowMs);
      waiting.push({ issueRevision, usedAtMs });
    },

    flush() {
      // One after the other: the last flush of all waits for one that is under way.
      writing = writing.then(write);
      return writing;
    },
  };

  async function write(): Promise<void> {
    forgetOld();
    const uses = waiting;
    waiting = [];
    const order = orderByRevision(uses);
    for (let start = 0; start < uses.length; start += batchLength) {
      try {
        await store.recordUses(order(start, start + batchLength));
      } catch (error) {
        onLost(error, uses.length - start);
        return;
      }
    }
  }
}

/**
 * Cuts the uses into batches by their keys' revisions, which is the order of the table: a batch then touches few
 * pages, and no page is written for many batches. Uses of one key stay in their order. One number holds revision and
 * place, exact up to 2^53: numbers sort in a fifth of the time that a comparing function takes, and Authenticate waits
 * meanwhile.
 */
function orderByRevision(uses: readonly TokenUse[]): (start: number, end: number) => readonly TokenUse[] {
  const places = new Float64Array(uses.length);
  uses.forEach(({ issueRevision }, place) => {
    places[place] = issueRevision * uses.length + place;
  });
  places.sort();
  return (start, end) => {
    const batch: TokenUse[] = [];
    for (const one of places.subarray(start, end)) {
      const use = uses[one % uses.length];
      if (use !== undefined) {
        batch.push(use);
      }
    }
    return batch;
  };
}
