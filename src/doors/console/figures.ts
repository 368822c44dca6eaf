/** What was decided since the start, by all threads. */
export type Counts = {
  /** Decisions on keys by how long they took, a count for each bucket. */
  readonly decided: readonly number[];
  /** How often it was asked and nothing was decided. */
  readonly undecided: number;
  /** How often each reason was answered. */
  readonly refusals: ReadonlyMap<string, number>;
};

/** What was decided between one sample and the next. */
export type Interval = {
  readonly endMs: number;
  readonly decided: readonly number[];
  readonly undecided: number;
  readonly refusals: Readonly<Record<string, number>>;
};

/** The last hour, as the page plots it. */
export type Figures = {
  /** Takes the counts as they are now. What was counted before the first sample is in no interval. */
  sample(atMs: number, counts: Counts): void;
  /** Oldest first. */
  intervals(): readonly Interval[];
};

export const sampleEveryMs = 15_000;
const maxIntervals = 240;

export function createFigures(): Figures {
  const intervals: Interval[] = [];
  let before: Counts | null = null;
  return {
    sample(atMs, counts) {
      if (before !== null) {
        intervals.push(difference(before, counts, atMs));
        intervals.splice(0, intervals.length - maxIntervals);
      }
      // A copy: the meter goes on counting in what it gave.
      before = { ...counts, decided: [...counts.decided], refusals: new Map(counts.refusals) };
    },
    intervals: () => intervals,
  };
}

function difference(before: Counts, now: Counts, endMs: number): Interval {
  return {
    endMs,
    decided: now.decided.map((count, at) => grown(count, before.decided[at] ?? 0)),
    undecided: grown(now.undecided, before.undecided),
    refusals: Object.fromEntries(
      [...now.refusals].map(([reason, count]) => [reason, grown(count, before.refusals.get(reason) ?? 0)]),
    ),
  };
}

/** A thread that ends takes its counts along. */
function grown(now: number, before: number): number {
  return Math.max(0, now - before);
}
