/** How many of one kind may pass in which time. */
export type Allowance = { readonly lines: number; readonly everyMs: number };

/** How many of this kind were held back since the last that passed; null holds this one back as well. */
export type Sampler = (kind: string, allowance: Allowance) => number | null;

// Kinds are closed sets: this is never reached unless one of them is not.
const maxKinds = 1000;

/**
 * Bounds what is written of things that anybody can cause in any number. The clock never runs back: the system's would
 * silence the log.
 */
export function createSampler(steadyNowMs: () => number = () => performance.now()): Sampler {
  const samples = new Map<string, { endsAtMs: number; linesLeft: number; suppressed: number }>();

  return (kind, { lines, everyMs }) => {
    const nowMs = steadyNowMs();
    let sample = samples.get(kind);
    if (sample === undefined) {
      if (samples.size >= maxKinds) {
        return null;
      }
      sample = { endsAtMs: 0, linesLeft: 0, suppressed: 0 };
      samples.set(kind, sample);
    }
    if (sample.endsAtMs <= nowMs) {
      sample.endsAtMs = nowMs + everyMs;
      sample.linesLeft = lines;
    }
    if (sample.linesLeft === 0) {
      sample.suppressed += 1;
      return null;
    }
    sample.linesLeft -= 1;
    const { suppressed } = sample;
    sample.suppressed = 0;
    return suppressed;
  };
}
