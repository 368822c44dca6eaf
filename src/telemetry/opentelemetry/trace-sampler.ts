import { ROOT_CONTEXT, SamplingDecision } from "@opentelemetry/api";
import { TraceIdRatioBasedSampler } from "@opentelemetry/sdk-trace";
import type { TraceParent } from "./trace-parent.ts";
import type { Sampling } from "./tracing-settings.ts";

/**
 * Whether a call that is sampled is to be recorded. A caller that is unknown, or has no role, has no influence: the
 * ratio decides.
 */
export type TraceSampler = (parent: TraceParent | null, hasRole: boolean) => boolean;

/** Asked for every call that is answered: it makes nothing. */
export function createTraceSampler({ isParentBased, ratio }: Sampling): TraceSampler {
  const byTraceId = new TraceIdRatioBasedSampler(ratio);

  return (parent, hasRole) => {
    if (parent === null || !hasRole) {
      // The trace begins here, with an id that is as random as this.
      return Math.random() < ratio;
    }
    if (isParentBased) {
      return parent.isSampled;
    }
    const { decision } = byTraceId.shouldSample(ROOT_CONTEXT, parent.traceId);
    return decision === SamplingDecision.RECORD_AND_SAMPLED;
  };
}
