import { setTimeout as pause } from "node:timers/promises";

export type Exposition = { readonly contentType: string; readonly text: string };

/** Makes the metrics of this moment. */
export type Expose = () => Promise<Exposition>;

const everyMs = 1000;

/**
 * Makes metrics once a second at most, because all threads stop deciding while they count. An earlier request waits for
 * the next metrics, together with all others that wait. No answer is older than its question.
 */
export function createPacedExposition(expose: Expose): Expose {
  let madeAtMs = Number.NEGATIVE_INFINITY;
  let next: Promise<Exposition> | null = null;

  async function make(): Promise<Exposition> {
    await pause(Math.max(0, madeAtMs + everyMs - performance.now()), null, { ref: false });
    next = null;
    madeAtMs = performance.now();
    return await expose();
  }

  return () => {
    next ??= make();
    return next;
  };
}
