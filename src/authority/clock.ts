/** The time now, in Unix milliseconds. */
export type Clock = () => number;

/** A clock that never runs back: when the system's does, the greatest time seen holds. */
export type SteadyClock = {
  readonly now: Clock;
  /** By how much the system's clock is behind the greatest time seen, in milliseconds. */
  readonly behindMs: () => number;
};

/** `floorMs` is a time that is known to have passed, such as that of the newest change. */
export function createSteadyClock(system: Clock, floorMs: number): SteadyClock {
  let greatestMs = floorMs;
  return {
    now() {
      greatestMs = Math.max(greatestMs, system());
      return greatestMs;
    },
    behindMs() {
      return Math.max(0, greatestMs - system());
    },
  };
}
