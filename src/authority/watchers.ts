import type { Holder, HoldersReport, TokenChange } from "./freshness.ts";
import { graceMs } from "./lease.ts";

/** Tells a watcher to forget what it keeps of a key, or of the keys of an account. */
export type Forget = {
  readonly kind: "forget";
  readonly revision: number;
  readonly subject: { readonly digest: Uint8Array } | { readonly account: string };
  /** Of the changed token; empty for an account. */
  readonly tokenId: string;
  /** Whether another one of the same revision follows. */
  readonly hasMore: boolean;
};

export type ResetReason = "TOO_FAR_BEHIND" | "HISTORY_DIFFERS";

/** Tells a watcher to forget everything, and to go on from the revision. */
export type Reset = {
  readonly kind: "reset";
  readonly revision: number;
  readonly hash: Uint8Array;
  readonly reason: ResetReason;
};

/** Answers a request for a lease: the watcher may decide from memory for a while. */
export type Lease = {
  readonly kind: "lease";
  /** Of the request. */
  readonly sequence: number;
  /** From before the request was sent. */
  readonly durationMs: number;
  /** Everything up to here was told before. */
  readonly revision: number;
  readonly hash: Uint8Array;
};

export type WatchEvent = Forget | Reset | Lease;

/** One who watches, and may hold a lease. What it holds outlives its stream. */
export type Watcher = {
  /** What to tell it next, which counts as told; null when there is nothing. */
  next(): WatchEvent | null;
  /** Whether there is anything to tell. */
  hasNext(): boolean;
  /** The greatest revision that it was told of. */
  told(): number;
  /** Whether it holds a lease and has acknowledged all there is to tell: a renewal changes nothing of a report. */
  isUpToDate(): boolean;
  /** It has applied everything up to this revision. */
  acknowledge(revision: number): void;
  /** Grants a lease, unless it has not acknowledged all that there is to tell. Returns whether it did. */
  grant(sequence: number, durationMs: number): boolean;
  /** Its stream has ended: nothing is told any more, and its lease runs out. */
  leave(): void;
  /** It holds no lease any more. */
  release(): void;
};

/** How one who watches is, for people. */
export type WatcherState = {
  readonly identity: string;
  /** `silent` has a lease and did not acknowledge in time; `waiting` has none; `gone` left its lease behind. */
  readonly state: "holds a lease" | "silent" | "waiting" | "gone";
  /** It knows every change up to here. */
  readonly acknowledged: number;
  /** By the wall clock. */
  readonly heardAtMs: number;
};

/**
 * The watchers of one thread: what they were told, what they have acknowledged, and their leases. It has no timers and
 * reads no store: it is told of changes, and is asked.
 */
export type Watchers = {
  /** How many watch or hold a lease. */
  size(): number;
  /** Every change up to here was told to this. */
  applied(): number;
  /** The changes after it are remembered. */
  floor(): number;
  /** Forgets all changes, and goes on from here. Only while nobody watches or holds a lease. */
  restart(revision: number, hash: Uint8Array): void;
  /** Tells all watchers of the changes up to this revision; null stands for more changes than can be told. */
  advance(changes: readonly TokenChange[] | null, revision: number, hash: Uint8Array): void;
  /** Remembers older changes, which begin after this revision and end at the floor. */
  remember(changes: readonly TokenChange[], from: number): void;
  /** Adds one who knows everything up to this revision, which is not below the floor. */
  resume(identity: string, revision: number): Watcher;
  /** Adds one who must forget everything. */
  reset(identity: string, reason: ResetReason): Watcher;
  /** When a lease ends next that is waited for, by the monotonic clock; null when none is. */
  nextEndMs(): number | null;
  /** How they are: those that know least first, at most so many. */
  states(limit: number): readonly WatcherState[];
  /** What there is to report, and whose leases have run out before they acknowledged, each told of once. */
  report(): { readonly report: HoldersReport | null; readonly wentSilent: readonly Holder[] };
};

/** As many Forgets are remembered, for watchers that are slow or come back. */
const maxRemembered = 10_000;

type State = {
  readonly identity: string;
  heardAtMs: number;
  isOpen: boolean;
  /** Told next, counted from the first Forget of all. */
  nextPlace: number;
  /** The first Forget that is not acknowledged. Never above `nextPlace`. */
  firstUnacked: number;
  told: number;
  acked: number;
  /** To be told before all else. */
  reset: Reset | null;
  /** The first change that it had not acknowledged when it was reset; null once it has acknowledged the reset. */
  lostFrom: number | null;
  /** Since when there is something that it has not acknowledged; null while there is nothing. */
  missingSinceMs: number | null;
  resetRevision: number;
  /** To be told; granted when all else was acknowledged. */
  lease: Lease | null;
  /** By the monotonic clock. The lease is over by then, whatever clock its holder has. */
  waitedOutAtMs: number;
  isSilent: boolean;
};

/** `monotonicMs` never jumps; `wallMs` is for people. */
export function createWatchers(monotonicMs: () => number, wallMs: () => number): Watchers {
  const states = new Set<State>();
  let forgets: Forget[] = [];
  /** Of the first that is remembered, counted from the first of all. */
  let firstPlace = 0;
  let floor = 0;
  let applied = 0;
  let appliedHash: Uint8Array = new Uint8Array(32);

  const endPlace = () => firstPlace + forgets.length;
  const forgetAt = (place: number): Forget | undefined => forgets[place - firstPlace];

  /** The first change that it has not acknowledged; null when it has acknowledged all. */
  function firstMissing(state: State): number | null {
    return state.lostFrom ?? forgetAt(state.firstUnacked)?.revision ?? null;
  }

  function holdsLease(state: State, nowMs: number): boolean {
    return nowMs < state.waitedOutAtMs;
  }

  /** Forgets the oldest that are too many. Who has not acknowledged one of them must forget everything. */
  function trim(): void {
    const excess = forgets.length - maxRemembered;
    if (excess <= 0) {
      return;
    }
    floor = forgets[excess - 1]?.revision ?? floor;
    for (const state of states) {
      if (state.firstUnacked < firstPlace + excess) {
        resetState(state, "TOO_FAR_BEHIND", applied);
      }
    }
    forgets = forgets.slice(excess);
    firstPlace += excess;
  }

  /** It does not know the changes from this revision on, or from an earlier one. */
  function resetState(state: State, reason: ResetReason, from: number): void {
    state.lostFrom = firstMissing(state) ?? from;
    state.reset = { kind: "reset", revision: applied, hash: appliedHash, reason };
    state.resetRevision = applied;
    state.nextPlace = endPlace();
    state.firstUnacked = state.nextPlace;
  }

  /** The first place of all Forgets after this revision. */
  function placeAfter(revision: number): number {
    let [low, high] = [0, forgets.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((forgets[middle]?.revision ?? 0) <= revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return firstPlace + low;
  }

  function add(identity: string, revision: number): State {
    const place = placeAfter(revision);
    const state: State = {
      identity,
      heardAtMs: wallMs(),
      isOpen: true,
      nextPlace: place,
      firstUnacked: place,
      told: revision,
      acked: revision,
      reset: null,
      lostFrom: null,
      missingSinceMs: null,
      resetRevision: 0,
      lease: null,
      waitedOutAtMs: Number.NEGATIVE_INFINITY,
      isSilent: false,
    };
    states.add(state);
    return state;
  }

  function next(state: State): WatchEvent | null {
    // A lease was granted before what came since: it is told first, and so are its changes.
    const event = state.lease ?? state.reset ?? forgetAt(state.nextPlace) ?? null;
    if (event === null || !state.isOpen) {
      return null;
    }
    if (event.kind === "lease") {
      state.lease = null;
    } else if (event.kind === "reset") {
      state.reset = null;
    } else {
      state.nextPlace += 1;
    }
    state.told = Math.max(state.told, event.revision);
    return event;
  }

  /** What was not told is not known, though a Forget of the same revision was acknowledged. */
  function acknowledge(state: State, revision: number): void {
    state.heardAtMs = wallMs();
    state.acked = Math.max(state.acked, revision);
    if (state.lostFrom !== null && state.reset === null && state.acked >= state.resetRevision) {
      state.lostFrom = null;
    }
    while (state.firstUnacked < state.nextPlace) {
      const forget = forgetAt(state.firstUnacked);
      if (forget === undefined || forget.revision > state.acked) {
        break;
      }
      state.firstUnacked += 1;
    }
    state.missingSinceMs = firstMissing(state) === null ? null : state.missingSinceMs;
  }

  function noteMissing(): void {
    const nowMs = monotonicMs();
    for (const state of states) {
      if (firstMissing(state) !== null) {
        state.missingSinceMs ??= nowMs;
      }
    }
  }

  function grant(state: State, sequence: number, durationMs: number): boolean {
    if (!state.isOpen || firstMissing(state) !== null) {
      return false;
    }
    state.lease = { kind: "lease", sequence, durationMs, revision: applied, hash: appliedHash };
    state.waitedOutAtMs = Math.max(state.waitedOutAtMs, monotonicMs() + durationMs + graceMs);
    state.isSilent = false;
    return true;
  }

  function drop(state: State): void {
    state.waitedOutAtMs = Number.NEGATIVE_INFINITY;
    if (!state.isOpen) {
      states.delete(state);
    }
  }

  function watcherOf(state: State): Watcher {
    return {
      next: () => next(state),
      hasNext: () => state.isOpen && (state.lease !== null || state.reset !== null || state.nextPlace < endPlace()),
      told: () => state.told,
      isUpToDate: () => firstMissing(state) === null && holdsLease(state, monotonicMs()),
      acknowledge: (revision) => acknowledge(state, revision),
      grant: (sequence, durationMs) => grant(state, sequence, durationMs),
      leave() {
        state.isOpen = false;
        state.lease = null;
        if (!holdsLease(state, monotonicMs())) {
          drop(state);
        }
      },
      release() {
        state.lease = null;
        drop(state);
      },
    };
  }

  /**
   * When it counts as silent: its lease is over by its own time, and it had a while to acknowledge. A change that waits
   * for it ends no earlier.
   */
  function silentAtMs({ waitedOutAtMs, missingSinceMs }: State): number {
    return Math.min(waitedOutAtMs, Math.max(waitedOutAtMs, (missingSinceMs ?? 0) + 2 * graceMs) - graceMs);
  }

  /** When it is silent; then when it was waited out. Null where nothing waits for either. */
  function endOf(state: State, nowMs: number): number | null {
    if (!holdsLease(state, nowMs) || (firstMissing(state) === null && state.isOpen)) {
      return null;
    }
    return firstMissing(state) !== null && !state.isSilent ? silentAtMs(state) : state.waitedOutAtMs;
  }

  function describe(state: State): WatcherState {
    const { identity, heardAtMs, isOpen, isSilent } = state;
    const missing = firstMissing(state);
    const withLease = isSilent ? "silent" : isOpen ? "holds a lease" : "gone";
    return {
      identity,
      state: holdsLease(state, monotonicMs()) ? withLease : "waiting",
      acknowledged: missing === null ? applied : missing - 1,
      heardAtMs,
    };
  }

  return {
    size: () => states.size,
    applied: () => applied,
    floor: () => floor,

    restart(revision, hash) {
      forgets = [];
      firstPlace = 0;
      floor = revision;
      applied = revision;
      appliedHash = hash;
    },

    advance(changes, revision, hash) {
      const firstNew = applied + 1;
      applied = revision;
      appliedHash = hash;
      if (changes === null) {
        for (const state of states) {
          resetState(state, "TOO_FAR_BEHIND", firstNew);
        }
        forgets = [];
        firstPlace = 0;
        floor = revision;
        for (const state of states) {
          state.nextPlace = 0;
          state.firstUnacked = 0;
        }
        noteMissing();
        return;
      }
      const added = changes.flatMap(forgetsOf);
      if (added.length > 0) {
        forgets.push(...added);
        trim();
        noteMissing();
      }
    },

    remember(changes, from) {
      const older = changes.filter(({ revision }) => revision <= floor).flatMap(forgetsOf);
      forgets = [...older, ...forgets];
      firstPlace -= older.length;
      floor = from;
    },

    resume(identity, revision) {
      const state = add(identity, revision);
      // More is to be told than is remembered.
      trim();
      noteMissing();
      return watcherOf(state);
    },

    reset(identity, reason) {
      const state = add(identity, applied);
      resetState(state, reason, applied);
      noteMissing();
      return watcherOf(state);
    },

    nextEndMs() {
      const nowMs = monotonicMs();
      let soonest: number | null = null;
      for (const state of states) {
        const endMs = endOf(state, nowMs);
        soonest = endMs === null ? soonest : Math.min(soonest ?? endMs, endMs);
      }
      return soonest;
    },

    states(limit) {
      return [...states]
        .map((state) => describe(state))
        .toSorted((a, b) => a.acknowledged - b.acknowledged)
        .slice(0, limit);
    },

    report() {
      // Once for all: there may be a thousand, and a report a turn. Who holds a lease by then is waited for.
      const nowMs = monotonicMs();
      let settledRevision = applied;
      let holders = 0;
      let isWaitingFor = false;
      const silent: Holder[] = [];
      const wentSilent: Holder[] = [];
      for (const state of states) {
        if (!holdsLease(state, nowMs)) {
          // Not who had no lease any more when the change came.
          const wasWaitedFor = state.missingSinceMs !== null && state.missingSinceMs < state.waitedOutAtMs;
          if (state.isSilent) {
            silent.push(holderOf(state));
          } else if (wasWaitedFor) {
            wentSilent.push(holderOf(state));
          }
          state.isSilent = false;
          drop(state);
          continue;
        }
        const missing = firstMissing(state);
        if (missing !== null) {
          settledRevision = Math.min(settledRevision, missing - 1);
          if (!state.isSilent && nowMs >= silentAtMs(state)) {
            state.isSilent = true;
            wentSilent.push(holderOf(state));
          }
        }
        holders += state.isSilent ? 0 : 1;
        isWaitingFor ||= state.isSilent;
      }
      silent.push(...wentSilent);
      const isNothing = holders === 0 && !isWaitingFor && silent.length === 0;
      return { report: isNothing ? null : { settledRevision, holders, silent }, wentSilent };
    },
  };
}

function holderOf({ identity, heardAtMs }: State): Holder {
  return { kind: "gateway", identity, heardAtMs };
}

/** What a change makes watchers forget: nothing, where it neither takes away nor gives back. */
function forgetsOf({ revision, action, digests, tokenId, account }: TokenChange): readonly Forget[] {
  if (action === "create") {
    return [];
  }
  if (account !== null) {
    return [{ kind: "forget", revision, subject: { account }, tokenId: "", hasMore: false }];
  }
  const all = digests ?? [];
  return all.map((digest, index) => ({
    kind: "forget",
    revision,
    subject: { digest },
    tokenId,
    hasMore: index < all.length - 1,
  }));
}
