/** The time now, in Unix milliseconds. */
export type Clock = () => number;

/** A time seen that is so far ahead of a clock that is right was seen while the clock was wrong. */
const wrongByMs = 5000;

/** The greatest time that any thread has seen. All threads share it. */
export type TimeSeen = SharedArrayBuffer;

/**
 * A clock that never runs back, in whatever thread it is asked: when the system's does, the greatest time seen holds.
 * Only where somebody else vouches for the system's clock does it end to hold.
 */
export type SteadyClock = {
  readonly now: Clock;
  /** By how much the system's clock is behind the greatest time seen, in milliseconds. */
  readonly behindMs: () => number;
};

/** `floorMs` is a time that is known to have passed, such as that of the newest change. */
export function createTimeSeen(floorMs: number): TimeSeen {
  const seen = new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT);
  new BigInt64Array(seen)[0] = BigInt(floorMs);
  return seen;
}

/** The greatest time that was seen, in Unix milliseconds: 0 before there is one. */
export function readTimeSeen(timeSeen: TimeSeen): number {
  return Number(Atomics.load(new BigInt64Array(timeSeen), 0));
}

/**
 * Lets no clock show less than this time, which is known to have passed, from now on. Before any thread asks for the
 * time.
 */
export function setTimeFloor(timeSeen: TimeSeen, floorMs: number): void {
  Atomics.store(new BigInt64Array(timeSeen), 0, BigInt(floorMs));
}

/**
 * The steady clock of one thread. `passed` tells a time that has passed whatever the system's clock shows: that of the
 * newest change, which another machine may have made. `isRight` tells whether the system's clock was found right by
 * another one since it last jumped: then a time that was seen before the jump, far ahead, holds no more.
 */
export function createSteadyClock(
  system: Clock,
  timeSeen: TimeSeen,
  passed: Clock = () => 0,
  isRight: () => boolean = () => false,
): SteadyClock {
  const cell = new BigInt64Array(timeSeen);

  /** Another thread may see a later time meanwhile: the later one stays. */
  function raise(fromMs: bigint, toMs: bigint): void {
    for (let seenMs = fromMs; seenMs < toMs; ) {
      const foundMs = Atomics.compareExchange(cell, 0, seenMs, toMs);
      if (foundMs === seenMs) {
        return;
      }
      seenMs = foundMs;
    }
  }

  return {
    now() {
      const nowMs = Math.max(system(), passed());
      const seen = Atomics.load(cell, 0);
      const seenMs = Number(seen);
      if (nowMs <= seenMs) {
        if (seenMs - nowMs <= wrongByMs || !isRight()) {
          return seenMs;
        }
        Atomics.compareExchange(cell, 0, seen, BigInt(nowMs));
        return nowMs;
      }
      raise(seen, BigInt(nowMs));
      return nowMs;
    },
    behindMs() {
      return Math.max(0, Number(Atomics.load(cell, 0)) - system());
    },
  };
}
