import type { Moment } from "./clocks.ts";

/**
 * How far the two clocks may move apart while a lease runs: a suspended machine, a pause of a virtual one that was
 * corrected, a step of the wall clock. What stays below it is in the bound that the authority waits.
 */
const maxApartMs = 250;

/** `moved` means that the clocks moved apart: then nothing is known of how long anything was kept. */
export type LeaseState = "held" | "over" | "moved";

/**
 * The right to decide from memory, until a time that the holder counts on both of its clocks, and from before it asked:
 * the authority counts from later, and so waits longer.
 */
export class Lease {
  #untilMs = Number.NEGATIVE_INFINITY;
  #wallUntilMs = Number.NEGATIVE_INFINITY;
  /** How far the wall clock was ahead when the lease was asked for. */
  #aheadMs: number | null = null;

  /** `asked` is the time before the request was sent that the authority grants. */
  grant(asked: Moment, durationMs: number): void {
    this.#untilMs = asked.monotonicMs + durationMs;
    this.#wallUntilMs = asked.wallMs + durationMs;
    this.#aheadMs = asked.wallMs - asked.monotonicMs;
  }

  /** Hot path. */
  state(monotonicMs: number, wallMs: number): LeaseState {
    if (this.#aheadMs === null) {
      return "over";
    }
    if (Math.abs(wallMs - monotonicMs - this.#aheadMs) > maxApartMs) {
      return "moved";
    }
    return monotonicMs < this.#untilMs && wallMs < this.#wallUntilMs ? "held" : "over";
  }

  /** How long it may last from now on by the monotonic clock, where it is held. */
  leftMs(monotonicMs: number): number {
    return this.#untilMs - monotonicMs;
  }

  /** Nothing is decided from memory before the next grant. */
  end(): void {
    this.#untilMs = Number.NEGATIVE_INFINITY;
    this.#wallUntilMs = Number.NEGATIVE_INFINITY;
    this.#aheadMs = null;
  }
}
