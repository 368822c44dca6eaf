import type { Clock } from "./authority/clock.ts";
import { type FinishedCall, isManagement } from "./authority/finished-call.ts";
import type { Log } from "./authority/log.ts";

const sampleIntervalMs = 10_000;
// Refusal reasons, and RPC by code by reason, are closed sets: this is never reached unless one of them is not.
const maxSamples = 1000;

/** Where a call is found in its trace, in hexadecimal. */
export type SpanIds = { readonly traceId: string; readonly spanId: string };

/**
 * Makes the log lines of calls: one for each management call by a caller that has a role, none for an accepted key. Of refused
 * keys and of other failed calls, which anybody can cause in any number, one every 10 seconds for each kind, with the number of
 * those that were left out; the metrics count them all.
 */
export function createCallLog(log: Log, clock: Clock): (call: FinishedCall, span: SpanIds | null) => void {
  const samples = new Map<string, { nextAtMs: number; suppressed: number }>();

  function logSample(kind: string, call: FinishedCall, span: SpanIds | null, message: string): void {
    const nowMs = clock();
    let sample = samples.get(kind);
    if (sample === undefined) {
      if (samples.size >= maxSamples) {
        return;
      }
      sample = { nextAtMs: 0, suppressed: 0 };
      samples.set(kind, sample);
    }
    if (nowMs < sample.nextAtMs) {
      sample.suppressed += 1;
      return;
    }
    log.warn({ ...fieldsOf(call, span), suppressed: sample.suppressed }, message);
    sample.nextAtMs = nowMs + sampleIntervalMs;
    sample.suppressed = 0;
  }

  return (call, span) => {
    if (isManagement(call) && call.role !== null) {
      log.info(fieldsOf(call, span), "call");
    } else if (call.refusal !== null) {
      logSample(call.refusal, call, span, "key refused");
    } else if (call.code !== "OK" && !isGivenUp(call)) {
      logSample(`${call.rpc} ${call.code} ${call.reason}`, call, span, "call failed");
    }
  };
}

/** A stream that its client ended, or let run into its deadline, is no failure. */
function isGivenUp({ rpc, code }: FinishedCall): boolean {
  return code === "CANCELLED" || (code === "DEADLINE_EXCEEDED" && rpc.startsWith("grpc."));
}

/** Fields that have nothing to say are left out. */
function fieldsOf(call: FinishedCall, span: SpanIds | null): object {
  return {
    rpc: call.rpc,
    caller: call.caller,
    role: call.role,
    code: call.code,
    reason: call.reason ?? undefined,
    refusal: call.refusal ?? undefined,
    token_id: call.tokenId ?? undefined,
    request_id: call.requestId,
    ms: Math.round(call.durationMs * 1000) / 1000,
    revision: call.revision ?? undefined,
    trace_id: span?.traceId,
    span_id: span?.spanId,
  };
}
