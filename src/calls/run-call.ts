import type { Peer } from "../wire/port/peer.ts";
import type { Call } from "./call.ts";
import { type FinishedCall, finishedCall } from "./finished-call.ts";
import { type Patience, startPatience } from "./patience.ts";
import { callCanceled, internalError, type Status } from "./status.ts";
import type { TraceHeaders } from "./trace-headers.ts";

/**
 * One RPC as one door carries it: `Ask` is what comes, `Body` what it is answered with, `Answer` what the door sends,
 * of errors too.
 */
export type CallKind<Ask, Body, Answer> = {
  /** `package.Service/Method`. */
  readonly rpc: string;
  /**
   * Whether the call may be made, asked before anything else of it is looked at; null where it may. See
   * `createAdmission`.
   */
  readonly admit: (call: Call, ask: Ask) => Status | null;
  /** Answers at once or later, and notes on the call what it learns. Null once it has noted why there is no answer. */
  readonly respond: (ask: Ask, call: Call) => Body | null | Promise<Body | null>;
  /**
   * How a call fails with what `respond` threw or rejected with; asked also where that came too late for the caller.
   */
  readonly statusOf: (error: unknown) => Status;
  readonly succeed: (body: Body, call: Call, ask: Ask) => Answer;
  readonly fail: (status: Status, call: Call, ask: Ask) => Answer;
  /** How long to wait for an answer that is not there at once, in milliseconds; null for ever. */
  readonly waitMs: (ask: Ask) => number | null;
  /** Whether the client has gone, asked once the answer is there. */
  readonly isGone: (ask: Ask) => boolean;
  /** Aborts when the client goes: then the answer is waited for no longer. Default: `isGone` tells it early enough. */
  readonly gone?: (ask: Ask) => AbortSignal;
  /** Told when an answer is waited for no longer, so that what makes it may stop. Default: it goes on. */
  readonly giveUp?: (status: Status, ask: Ask) => void;
  /**
   * For a body that is still to come when the call is answered: calls `listener` at the body's end, with which the call
   * ends. Default, and null: no body is.
   */
  readonly rest?: (body: Body) => ((listener: () => void) => void) | null;
  /** Told of every call once it has ended. */
  readonly onCall: (call: FinishedCall) => void;
};

export type RunCall<Ask, Answer> = {
  /**
   * Runs one call. Its answer is there at once where `respond` has it at once. Throws what `onCall` and `statusOf`
   * throw. Hot path.
   */
  run(ask: Ask, peer: Peer, protocol: string, trace: TraceHeaders | null): Answer | Promise<Answer>;
  /** Refuses a peer that may not call, before anything of its call is kept; null for one that may. */
  refuse(ask: Ask, peer: Peer, protocol: string): Answer | null;
  /** Ends a call that cannot be taken. A peer that may not call learns that, and nothing else. */
  reject(ask: Ask, peer: Peer, protocol: string, status: Status): Answer;
};

/**
 * The one way of a call, whatever carries it: admission, its answer now or later, the deadline, and its end in logs and
 * metrics.
 */
export function createRunCall<Ask, Body, Answer>(kind: CallKind<Ask, Body, Answer>): RunCall<Ask, Answer> {
  const { rpc, admit, respond, statusOf, waitMs, isGone, onCall } = kind;

  function run(ask: Ask, peer: Peer, protocol: string, trace: TraceHeaders | null): Answer | Promise<Answer> {
    const call = begin(peer, protocol, trace);
    const refusal = admit(call, ask);
    if (refusal !== null) {
      return fail(call, ask, refusal);
    }
    let body: Body | null | Promise<Body | null>;
    try {
      body = respond(ask, call);
    } catch (error) {
      return fail(call, ask, statusOf(error));
    }
    return body instanceof Promise ? runLater(call, ask, body) : end(call, ask, body);
  }

  function refuse(ask: Ask, peer: Peer, protocol: string): Answer | null {
    const call = begin(peer, protocol, null);
    const refusal = admit(call, ask);
    return refusal === null ? null : fail(call, ask, refusal);
  }

  function reject(ask: Ask, peer: Peer, protocol: string, status: Status): Answer {
    const call = begin(peer, protocol, null);
    return fail(call, ask, admit(call, ask) ?? status);
  }

  async function runLater(call: Call, ask: Ask, responding: Promise<Body | null>): Promise<Answer> {
    const { promise: responded, resolve, reject } = Promise.withResolvers<Body | null>();
    const patience = startPatience(waitMs(ask), kind.gone?.(ask) ?? null, (status) => reject(new GivenUp(status)));
    let body: Body | null;
    try {
      // In the place of a race, which is for many and costs as much as the look-up of a key.
      responding.then(resolve, reject);
      body = await responded;
    } catch (error) {
      patience.release();
      if (error instanceof GivenUp) {
        // A fault that comes too late for the caller is still the log's.
        responding.catch(statusOf);
        kind.giveUp?.(error.status, ask);
        return fail(call, ask, isGone(ask) ? callCanceled : error.status);
      }
      const status = statusOf(error);
      return fail(call, ask, isGone(ask) ? callCanceled : status);
    }
    const rest = body === null ? null : (kind.rest?.(body) ?? null);
    if (body !== null && rest !== null) {
      endWithRest(call, ask, rest, patience);
      return kind.succeed(body, call, ask);
    }
    patience.release();
    if (isGone(ask)) {
      // What was done is done: the log says so, even when the caller has gone. A refusal was not told.
      call.refusal = null;
      return fail(call, ask, callCanceled);
    }
    return end(call, ask, body);
  }

  function endWithRest(call: Call, ask: Ask, rest: (listener: () => void) => void, patience: Patience): void {
    let isEnded = false;
    const endOnce = () => {
      if (!isEnded) {
        isEnded = true;
        patience.release();
        onCall(finishedCall(rpc, call));
      }
    };
    patience.onOver = (status) => {
      call.status ??= status;
      endOnce();
      kind.giveUp?.(status, ask);
    };
    rest(endOnce);
  }

  function end(call: Call, ask: Ask, body: Body | null): Answer {
    if (body === null) {
      return fail(call, ask, call.status ?? internalError);
    }
    const answer = kind.succeed(body, call, ask);
    onCall(finishedCall(rpc, call));
    return answer;
  }

  function fail(call: Call, ask: Ask, status: Status): Answer {
    call.status = status;
    const answer = kind.fail(status, call, ask);
    onCall(finishedCall(rpc, call));
    return answer;
  }

  return { run, refuse, reject };
}

function begin(peer: Peer, protocol: string, trace: TraceHeaders | null): Call {
  return {
    peer,
    startedAtMs: performance.now(),
    trace,
    protocol,
    identity: null,
    role: null,
    tokenId: null,
    revision: null,
    refusal: null,
    requestId: null,
    status: null,
    http: undefined,
  };
}

/** What a wait for an answer ends with that comes too late. */
class GivenUp {
  readonly status: Status;

  constructor(status: Status) {
    this.status = status;
  }
}
