import type { Holder, HoldersReport } from "../../authority/freshness.ts";

/**
 * What all threads see of the leases that each has granted: a place for each view of the store. It may be sent to other
 * threads.
 */
export type LeaseBoard = SharedArrayBuffer;

/** One for each thread that serves, and a few more. */
const maxViews = 72;
/** Of the silent holders of a view that are named, newest first. */
const textBytes = 4096;
const settledByNobody = 2n ** 63n - 1n;

// Whole numbers of 32 bits, then those of each view, then a revision and a text for each.
const moves = 0;
const reporting = 1;
const views = 2;
const isMarked = 3;
const earlierLeases = 4;
const firstOfView = 6;
const numbersOfView = 3;
const revisionsAt = 4 * (firstOfView + numbersOfView * maxViews);
const textsAt = revisionsAt + BigInt64Array.BYTES_PER_ELEMENT * maxViews;

/** A silent holder, and its number among all that were silent at its view. */
type Named = Holder & { readonly number: number };

/** How many were silent at each view. */
export type SilentCounts = readonly number[];

export function createLeaseBoard(): LeaseBoard {
  const board = new SharedArrayBuffer(textsAt + textBytes * maxViews);
  new BigInt64Array(board, revisionsAt, maxViews).fill(settledByNobody);
  return board;
}

/** Reads and writes a board. */
export type LeaseBoardView = {
  /** Takes the next place. Throws when there is none left. */
  takePlace(): number;
  /** Null where the view has granted no lease that is not over. */
  report(place: number, report: HoldersReport | null): void;
  /** Whether any holder of a lease may not know of a change up to this revision. */
  lags(revision: number): boolean;
  /** Whether any lease may not be over, of this process or of the one before. */
  hasLeases(): boolean;
  holders(): number;
  silentCounts(): SilentCounts;
  /** Who has been silent since, and views that lag. At most `max`. */
  silentSince(before: SilentCounts, revision: number, max: number): readonly Holder[];
  moves(): number;
  /** Resolves when `moves` answers another number, or after this time. */
  untilMoved(seen: number, ms: number): Promise<void>;
  /** Whether a restart would find out that there were leases. */
  isMarked(): boolean;
  setMarked(): void;
  /** Whether leases of the process before may not be over. */
  setEarlierLeases(may: boolean): void;
};

export function openLeaseBoard(board: LeaseBoard): LeaseBoardView {
  const numbers = new Int32Array(board, 0, firstOfView + numbersOfView * maxViews);
  const revisions = new BigInt64Array(board, revisionsAt, maxViews);
  const holdersAt = (place: number) => firstOfView + numbersOfView * place;
  const silentAt = (place: number) => holdersAt(place) + 1;
  const lengthAt = (place: number) => holdersAt(place) + 2;
  const count = () => Math.min(Atomics.load(numbers, views), maxViews);
  /** Of the one place that this view of the board writes. */
  let named: readonly Named[] = [];

  function move(): void {
    Atomics.add(numbers, moves, 1);
    Atomics.notify(numbers, moves);
  }

  function writeText(place: number): void {
    let text = Buffer.from(JSON.stringify(named));
    while (text.length > textBytes) {
      named = named.slice(0, -1);
      text = Buffer.from(JSON.stringify(named));
    }
    // A reader that meets this half written finds no text of the length, and asks again.
    Atomics.store(numbers, lengthAt(place), -1);
    new Uint8Array(board, textsAt + textBytes * place, textBytes).set(text);
    Atomics.store(numbers, lengthAt(place), text.length);
  }

  function readText(place: number): readonly Named[] {
    for (let tries = 0; tries < 1000; tries += 1) {
      const length = Atomics.load(numbers, lengthAt(place));
      if (length === 0) {
        return [];
      }
      if (length > 0) {
        const text = Buffer.from(new Uint8Array(board, textsAt + textBytes * place, length)).toString();
        if (Atomics.load(numbers, lengthAt(place)) === length) {
          try {
            return JSON.parse(text);
          } catch {
            // Written twice meanwhile, with the same length.
          }
        }
      }
    }
    return [];
  }

  return {
    takePlace() {
      const place = Atomics.add(numbers, views, 1);
      if (place >= maxViews) {
        throw new Error(`the store has ${maxViews} views at the most`);
      }
      return place;
    },

    report(place, report) {
      const wasReporting = Atomics.load(revisions, place) !== settledByNobody;
      if (report === null) {
        Atomics.store(numbers, holdersAt(place), 0);
        Atomics.store(revisions, place, settledByNobody);
        if (wasReporting) {
          Atomics.sub(numbers, reporting, 1);
        }
      } else {
        if (report.silent.length > 0) {
          const before = Atomics.load(numbers, silentAt(place));
          const fresh = report.silent.map((holder, index) => ({ ...holder, number: before + index + 1 }));
          named = [...fresh.toReversed(), ...named].slice(0, 100);
          writeText(place);
          Atomics.store(numbers, silentAt(place), before + fresh.length);
        }
        Atomics.store(numbers, holdersAt(place), report.holders);
        Atomics.store(revisions, place, BigInt(report.settledRevision));
        if (!wasReporting) {
          Atomics.add(numbers, reporting, 1);
        }
      }
      move();
    },

    // One load, where nobody holds a lease.
    lags(revision) {
      if (Atomics.load(numbers, earlierLeases) === 1) {
        return true;
      }
      if (Atomics.load(numbers, reporting) === 0) {
        return false;
      }
      for (let place = 0; place < count(); place += 1) {
        if (Atomics.load(revisions, place) < revision) {
          return true;
        }
      }
      return false;
    },

    hasLeases: () => Atomics.load(numbers, reporting) > 0 || Atomics.load(numbers, earlierLeases) === 1,

    holders() {
      let sum = 0;
      for (let place = 0; place < count(); place += 1) {
        sum += Atomics.load(numbers, holdersAt(place));
      }
      return sum;
    },

    silentCounts: () => Array.from({ length: count() }, (_, place) => Atomics.load(numbers, silentAt(place))),

    silentSince(before, revision, max) {
      const silent: Holder[] = [];
      for (let place = 0; place < count(); place += 1) {
        const from = before[place] ?? 0;
        const since = Atomics.load(numbers, silentAt(place)) > from ? readText(place) : [];
        const here = since.filter(({ number }) => number > from);
        const each = new Map(here.map(({ number: _, ...holder }) => [JSON.stringify(holder), holder]));
        silent.push(...each.values());
        if (here.length === 0 && Atomics.load(revisions, place) < revision) {
          // The thread itself does not answer, or its holders went silent too late to be named.
          silent.push({ kind: "node", identity: `thread ${place + 1}`, heardAtMs: null });
        }
      }
      return silent.slice(0, max);
    },

    moves: () => Atomics.load(numbers, moves),

    async untilMoved(seen, ms) {
      await Atomics.waitAsync(numbers, moves, seen, ms).value;
    },

    isMarked: () => Atomics.load(numbers, isMarked) === 1,
    setMarked: () => void Atomics.store(numbers, isMarked, 1),

    setEarlierLeases(may) {
      Atomics.store(numbers, earlierLeases, may ? 1 : 0);
      move();
    },
  };
}
