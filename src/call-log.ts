import type { Clock } from "./authority/clock.ts";
import type { FinishedCall } from "./authority/finished-call.ts";
import type { Log } from "./authority/log.ts";

const sampleIntervalMs = 10_000;
// Refusal reasons, and RPC by code by reason, are closed sets: this is never reached unless one of them is not.
const maxSamples = 1000;
const tokenService = "casapay.token.v1.TokenService/";
const authenticate: string = `${tokenService}Authenticate`;

/**
 * Makes the log lines of calls: one for each management call by a caller that has a role, none for an accepted key. Of refused
 * keys and of other failed calls, which anybody can cause in any number, one every 10 seconds for each kind, with the number of
 * those that were left out; the metrics count them all.
 */
export function createCallLog(log: Log, clock: Clock): (call: FinishedCall) => void {
  const samples = new Map<string, { nextAtMs: number; suppressed: number }>();

  function logSample(kind: string, call: FinishedCall, message: string): void {
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
    log.warn({ ...fieldsOf(call), suppressed: sample.suppressed }, message);
    sample.nextAtMs = nowMs + sampleIntervalMs;
    sample.suppressed = 0;
  }

  return (call) => {
    if (isManagement(call) && call.role !== null) {
      log.info(fieldsOf(call), "call");
    } else if (call.refusal !== null) {
      logSample(call.refusal, call, "key refused");
    } else if (call.code !== "OK" && !isGivenUp(call)) {
      logSample(`${call.rpc} ${call.code} ${call.reason}`, call, "call failed");
    }
  };
}

/** A stream that its client ended, or let run into its deadline, is no failure. */
function isGivenUp({ rpc, code }: FinishedCall): boolean {
  return code === "CANCELLED" || (code === "DEADLINE_EXCEEDED" && rpc.startsWith("grpc."));
}

/** Hot path. */
function isManagement({ rpc }: FinishedCall): boolean {
  return rpc !== authenticate && rpc.startsWith(tokenService);
}

/** Fields that have nothing to say are left out. */
function fieldsOf(call: FinishedCall): object {
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
    hash: call.journalHash ?? undefined,
  };
}
