import type { Freshness } from "../../../authority/freshness.ts";
import type { Reader } from "./reader.ts";

export type SharedFreshnessParts = {
  /** The change signal. The writer moves it before it answers a change. */
  readonly readSignal: () => number;
  /** Reads of the database. Throw UNDECIDED once the writer has failed. */
  readonly journal: Pick<Reader, "head" | "changesAfter">;
  /** False once the writer has failed or the view is closed. */
  readonly isServing: () => boolean;
};

/**
 * The freshness that threads of one process have from the memory that they share. It has no lease, and lasts until the
 * writer fails.
 */
export function createSharedFreshness({ readSignal, journal, isServing }: SharedFreshnessParts): Freshness {
  return {
    mark() {
      // The signal is read first, here and below: a change between the two reads is then seen twice rather than not at
      // all.
      const signal = readSignal();
      return { revision: journal.head().revision, signal };
    },
    // One load when nothing has changed.
    isFresh: (mark) => isServing() && readSignal() === mark.signal,
    changesSince({ revision }, limit) {
      const signal = readSignal();
      const changes = journal.changesAfter(revision, limit);
      const reached = changes === null ? journal.head().revision : (changes.at(-1)?.revision ?? revision);
      return { changes, mark: { revision: reached, signal } };
    },
    async untilFresh() {
      journal.head();
    },
  };
}
