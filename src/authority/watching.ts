import { setTimeout as pause } from "node:timers/promises";
import { fieldInvalid, undecided } from "./errors.ts";
import type { Freshness, Holder, HoldersReport, Mark } from "./freshness.ts";
import { leaseMs } from "./lease.ts";
import type { ReportedUse, ReportedUses } from "./reported-uses.ts";
import { createWatchers, type WatchEvent, type Watcher, type WatcherState } from "./watchers.ts";

/** What one who watches asks and tells. */
export type WatchRequest = {
  readonly sequence: number;
  readonly appliedRevision: number;
  /** Of the first request only. */
  readonly appliedHash: Uint8Array;
  readonly uses: readonly ReportedUse[];
  readonly release: boolean;
};

/** One stream of one who watches. */
export type Watch = {
  /** Takes a request. Throws FIELD_INVALID for a bad one, and UNDECIDED when the authority cannot tell of changes. */
  hear(request: WatchRequest): void;
  /** What to tell next; null when there is nothing. Throws UNDECIDED when nothing can be told any more. */
  next(): WatchEvent | null;
  /** Ends it. The lease that it has outlives it, unless it was released. */
  leave(): void;
};

/** Those who watch, at one thread. */
export type Watching = {
  /** Null when too many watch already. `wake` is called when there may be something to tell. */
  watch(identity: string, wake: () => void): Watch | null;
  readings(): WatchReadings;
};

/** Counts since the start, but for `open`, `holders` and `states`. */
export type WatchReadings = {
  readonly open: number;
  /** Who hold a lease, but for those that are silent. */
  readonly holders: number;
  readonly leasesGranted: number;
  readonly resets: number;
  /** Who did not acknowledge in time, by identity. At most 100 identities. */
  readonly silent: ReadonlyMap<string, number>;
  /** Those that know least first. At most 100. */
  readonly states: readonly WatcherState[];
};

export type WatchingOptions = {
  readonly freshness: Freshness;
  readonly uses: Pick<ReportedUses, "note">;
  /** Told of each holder whose lease runs out before it has acknowledged. */
  readonly onSilent: (holder: Holder) => void;
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
};

const maxOpen = 1000;
/** Streams that end and leave their leases behind, such as those of a gateway that restarts for ever. */
const maxLeases = 10_000;
/** Who is further behind forgets everything: that is cheaper than to tell. */
const maxBehind = 10_000;
const maxSilentIdentities = 100;
const maxStates = 100;
const hashBytes = 32;
/** For so long is waited for a change that who comes back knows of and this thread does not. */
const maxWaitMs = 1000;
const lookEveryMs = 10;

type Stream = {
  /** What it came with; null before. */
  first: WatchRequest | null;
  watcher: Watcher | null;
  lastSequence: number;
  failure: unknown;
  readonly wake: () => void;
};

/** Tells those who watch of changes, grants their leases, and reports what they have acknowledged. */
export function createWatching(options: WatchingOptions): Watching {
  const { freshness, uses, onSilent, monotonicMs } = options;
  const watchers = createWatchers(monotonicMs, options.wallMs);
  const streams = new Set<Stream>();
  const silent = new Map<string, number>();
  let mark: Mark = { revision: 0, signal: Number.NaN };
  let told: HoldersReport | null = null;
  let isFollowing = false;
  let isReportComing = false;
  let ending: NodeJS.Timeout | undefined;
  let [leasesGranted, resets] = [0, 0];

  /** Tells all of what has changed since the mark. */
  function catchUp(): void {
    if (freshness.isFresh(mark)) {
      return;
    }
    const since = freshness.changesSince(mark, maxBehind);
    mark = since.mark;
    watchers.advance(since.changes, mark.revision, hashOf(mark.revision));
    for (const stream of streams) {
      wakeUp(stream);
    }
    reportSoon();
  }

  function hashOf(revision: number): Uint8Array {
    const hash = freshness.hashOf(revision);
    if (hash === null) {
      throw undecided(new Error(`the store has no hash of revision ${revision}`));
    }
    return hash;
  }

  function wakeUp(stream: Stream): void {
    if (stream.watcher?.hasNext() === true) {
      stream.wake();
    }
  }

  /** While anybody watches or holds a lease. */
  async function follow(): Promise<void> {
    if (isFollowing) {
      return;
    }
    isFollowing = true;
    try {
      while (watchers.size() > 0) {
        await freshness.untilChanged(mark);
        catchUp();
      }
    } catch (error) {
      for (const stream of streams) {
        stream.failure = error;
        stream.wake();
      }
    }
    isFollowing = false;
  }

  /** What many acknowledge in one turn is one report. */
  function reportSoon(): void {
    if (!isReportComing) {
      isReportComing = true;
      setImmediate(() => {
        isReportComing = false;
        report();
      });
    }
  }

  function report(): void {
    const { report: now, wentSilent } = watchers.report();
    if (now !== null || told !== null) {
      freshness.report(now);
    }
    told = now;
    for (const holder of wentSilent) {
      count(holder);
      onSilent(holder);
    }
    if (now !== null && now.silent.length > 0) {
      // Who was named and waited out may have been the last one.
      reportSoon();
    }
    clearTimeout(ending);
    const endMs = watchers.nextEndMs();
    if (endMs !== null) {
      ending = setTimeout(report, Math.max(0, Math.ceil(endMs - monotonicMs())));
      ending.unref();
    }
  }

  function count({ identity }: Holder): void {
    const before = silent.get(identity);
    if (before !== undefined || silent.size < maxSilentIdentities) {
      silent.set(identity, (before ?? 0) + 1);
    }
  }

  /**
   * Whether this thread knows as much as who comes back, or nobody can: a lease that was asked for since tells how far
   * the journal goes. A thread that is only behind would make its watcher forget what it must remember while another
   * thread's lease lasts.
   */
  function isReached(revision: number, waitedMs: number): boolean {
    const known = freshness.mark().revision;
    if (known >= revision || freshness.leaseMs() >= leaseMs - waitedMs) {
      return true;
    }
    if (waitedMs > maxWaitMs) {
      throw undecided(new Error(`revision ${revision} was applied elsewhere, and ${known} is the newest known`));
    }
    return false;
  }

  async function admitOnceReached(stream: Stream, identity: string, first: WatchRequest): Promise<void> {
    const startedMs = monotonicMs();
    try {
      while (!isReached(first.appliedRevision, monotonicMs() - startedMs)) {
        await pause(lookEveryMs, undefined, { ref: false });
        if (!streams.has(stream)) {
          return;
        }
      }
      admit(stream, identity, first);
    } catch (error) {
      stream.failure = error;
      stream.wake();
    }
  }

  function admit(stream: Stream, identity: string, first: WatchRequest): void {
    stream.watcher = begin(identity, first);
    grantNext(stream, stream.watcher, false);
  }

  /** `isReported`: the last report holds for it still, whatever it is granted. */
  function grantNext(stream: Stream, watcher: Watcher, isReported: boolean): void {
    grant(watcher, stream.lastSequence);
    if (!isReported) {
      reportSoon();
    }
    wakeUp(stream);
    void follow();
  }

  function begin(identity: string, { appliedRevision, appliedHash }: WatchRequest): Watcher {
    if (watchers.size() === 0) {
      mark = freshness.mark();
      watchers.restart(mark.revision, hashOf(mark.revision));
    } else {
      catchUp();
    }
    return resume(identity, appliedRevision, appliedHash);
  }

  function resume(identity: string, revision: number, hash: Uint8Array): Watcher {
    if (revision === 0) {
      return watchers.resume(identity, watchers.applied());
    }
    const known = revision > watchers.applied() ? null : freshness.hashOf(revision);
    if (known === null || Buffer.compare(known, hash) !== 0) {
      return watchers.reset(identity, "HISTORY_DIFFERS");
    }
    if (revision < watchers.floor()) {
      const { changes } = freshness.changesSince({ ...mark, revision }, maxBehind);
      if (changes === null) {
        return watchers.reset(identity, "TOO_FAR_BEHIND");
      }
      watchers.remember(changes, revision);
    }
    return watchers.resume(identity, revision);
  }

  function grant(watcher: Watcher, sequence: number): void {
    const durationMs = freshness.leaseMs();
    if (durationMs <= 0 || watchers.size() > maxLeases) {
      return;
    }
    if (told === null) {
      // First: a change that does not see that there is a holder was made before the look for changes below.
      const nobodyYet = { settledRevision: watchers.applied(), holders: 0, silent: [] };
      freshness.report(nobodyYet);
      told = nobodyYet;
    }
    catchUp();
    leasesGranted += watcher.grant(sequence, durationMs) ? 1 : 0;
  }

  function watch(identity: string, wake: () => void): Watch | null {
    if (streams.size >= maxOpen) {
      return null;
    }
    const stream: Stream = { first: null, watcher: null, lastSequence: 0, failure: null, wake };
    streams.add(stream);
    return {
      hear(request) {
        requireWellFormed(request, stream);
        stream.lastSequence = request.sequence;
        uses.note(request.uses);
        if (request.release) {
          stream.watcher?.release();
          reportSoon();
          return;
        }
        if (stream.watcher !== null) {
          const isReported = stream.watcher.isUpToDate();
          // What was not told cannot be applied.
          stream.watcher.acknowledge(Math.min(request.appliedRevision, stream.watcher.told()));
          grantNext(stream, stream.watcher, isReported);
        } else if (stream.first === null) {
          requireHash(request);
          stream.first = request;
          if (isReached(request.appliedRevision, 0)) {
            admit(stream, identity, request);
          } else {
            void admitOnceReached(stream, identity, request);
          }
        }
      },
      next() {
        if (stream.failure !== null) {
          throw undecided(stream.failure);
        }
        const event = stream.watcher?.next() ?? null;
        resets += event?.kind === "reset" ? 1 : 0;
        return event;
      },
      leave() {
        streams.delete(stream);
        stream.watcher?.leave();
        reportSoon();
      },
    };
  }

  return {
    watch,
    readings: () => ({
      open: streams.size,
      holders: told?.holders ?? 0,
      leasesGranted,
      resets,
      silent,
      states: watchers.states(maxStates),
    }),
  };
}

function requireWellFormed({ sequence, appliedRevision }: WatchRequest, { lastSequence }: Stream): void {
  if (sequence !== lastSequence + 1) {
    throw fieldInvalid("sequence", "must count 1, 2, 3 and so on");
  }
  if (!Number.isSafeInteger(appliedRevision) || appliedRevision < 0) {
    throw fieldInvalid("appliedRevision", "must be a revision, or 0");
  }
}

function requireHash({ appliedRevision, appliedHash }: WatchRequest): void {
  if (appliedRevision > 0 && appliedHash.length !== hashBytes) {
    throw fieldInvalid("appliedHash", `must be the ${hashBytes} bytes that came with applied_revision`);
  }
}
