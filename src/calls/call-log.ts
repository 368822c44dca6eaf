import type { Log } from "../machine/log.ts";
import { type Allowance, createSampler } from "../machine/sampler.ts";
import type { FinishedCall } from "./finished-call.ts";
import { managementRpcs } from "./rpcs.ts";

/**
 * For calls whose answer had a request id: the refused client may ask about it, and the line is found by it.
 */
const findable: Allowance = { lines: 100, everyMs: 1000 };
/** For all other calls: no client can name one of them. */
const sampled: Allowance = { lines: 1, everyMs: 10_000 };

/** Where a call is found in its trace, in hexadecimal. */
export type SpanIds = { readonly traceId: string; readonly spanId: string };

/**
 * Makes the log lines of calls: one for each management call by a caller that has a role, none for an accepted key.
 * Refused keys and other failed calls, which anybody can cause in any number, have a line each where their answer had a
 * request id, up to 100 a second of each kind, and one in 10 seconds where it had none. `suppressed` says how many were
 * left out before a line; the metrics count them all. The clock never runs back: by the system's, a clock that was set
 * back would silence the log.
 */
export function createCallLog(
  log: Log,
  steadyNowMs?: () => number,
): (call: FinishedCall, span: SpanIds | null) => void {
  // Refusal reasons, and RPC by code by reason, are closed sets.
  const sample = createSampler(steadyNowMs);

  function logSample(kind: string, call: FinishedCall, span: SpanIds | null, message: string): void {
    const isNamed = (call.requestId ?? null) !== null;
    const suppressed = sample(`${kind} ${isNamed}`, isNamed ? findable : sampled);
    if (suppressed !== null) {
      log.warn({ ...fieldsOf(call, span), suppressed }, message);
    }
  }

  return (call, span) => {
    if (call.role !== null && managementRpcs.has(call.rpc)) {
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
    request_id: call.requestId ?? undefined,
    error: call.error ?? undefined,
    ...call.details,
    ms: Math.round(call.durationMs * 1000) / 1000,
    revision: call.revision ?? undefined,
    trace_id: span?.traceId,
    span_id: span?.spanId,
  };
}
