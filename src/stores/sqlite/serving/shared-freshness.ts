import { undecided } from "../../../authority/errors.ts";
import type { Freshness } from "../../../authority/freshness.ts";
import { leaseMs } from "../../../authority/lease.ts";
import type { LeaseBoardView } from "../lease-board.ts";
import type { Reader } from "./reader.ts";
import { settle } from "./settle.ts";

export type SharedFreshnessParts = {
  /** The change signal. The writer moves it before it answers a change. */
  readonly readSignal: () => number;
  /** Resolves once the signal is another one. */
  readonly untilSignal: (seen: number) => Promise<void>;
  /** Reads of the database. Throw UNDECIDED once the writer has failed. */
  readonly journal: Pick<Reader, "head" | "changesAfter" | "hashOf">;
  /** False once the writer has failed or the view is closed. */
  readonly isServing: () => boolean;
  /** What all threads report of their leases, and the place there of this one. */
  readonly board: LeaseBoardView;
  readonly place: number;
  /** Makes sure that a restart finds out that there were leases. */
  readonly markLeases: () => void;
};

/**
 * The freshness that threads of one process have from the memory that they share. It has no lease, and lasts until the
 * writer fails.
 */
export function createSharedFreshness(parts: SharedFreshnessParts): Freshness {
  const { readSignal, untilSignal, journal, isServing, board, place, markLeases } = parts;
  return {
    mark() {
      // The signal is read first, here and below: a change between the two reads is then seen twice rather than not at
      // all.
      const signal = readSignal();
      return { revision: journal.head().revision, signal };
    },
    // One load when nothing has changed.
    isFresh: (mark) => isServing() && readSignal() === mark.signal,
    isPastLease: () => false,
    changesSince({ revision }, limit) {
      const signal = readSignal();
      const changes = journal.changesAfter(revision, limit);
      const reached = changes === null ? journal.head().revision : (changes.at(-1)?.revision ?? revision);
      return { changes, mark: { revision: reached, signal } };
    },
    async untilFresh() {
      journal.head();
    },
    async untilChanged(mark) {
      if (isServing()) {
        await untilSignal(mark.signal);
      }
    },
    hashOf: journal.hashOf,
    // The process is the one holder of the store, for as long as it has not failed.
    leaseMs: () => (isServing() ? leaseMs : 0),
    report(report) {
      if (report !== null && !board.isMarked()) {
        try {
          markLeases();
        } catch (error) {
          throw undecided(error);
        }
        board.setMarked();
      }
      board.report(place, report);
    },
    settle: (revision) => settle(board, revision),
  };
}
