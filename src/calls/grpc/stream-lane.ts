import type { DescMethodBiDiStreaming } from "@bufbuild/protobuf";
import { encodePreparedBlock } from "../../wire/http2/hpack-encoder.ts";
import type { LaneHeaders } from "../../wire/http2/lane.ts";
import type { Listener, Speaker, StreamLane } from "../../wire/http2/stream-lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { createAdmission } from "../admission.ts";
import type { Call } from "../call.ts";
import { longestTimerMs } from "../deadline.ts";
import { maxMessageBytes } from "../limits.ts";
import { messageUndecodable } from "../request-errors.ts";
import { rpcName } from "../rpcs.ts";
import { createRunCall } from "../run-call.ts";
import { callCanceled, internalError, type Status, statusOfError } from "../status.ts";
import { MessageSplitter } from "./message-splitter.ts";
import { isPlainRequest, requestedMsOf, statusOfFraming, traceOf } from "./plain-request.ts";
import { headFields, trailersOf, trailersOnly } from "./trailers-only.ts";
import type { LaneOptions } from "./unary-lane.ts";

/** One end of a stream's messages, as the wire gives it to who answers them. */
export type Line = {
  readonly call: Call;
  /** There may be something to say. */
  wake(): void;
  /** Ends the call, with what went wrong. Nothing is heard or said from then on. */
  end(status: Status): void;
};

/** Who answers the messages of one stream. What it throws ends the call. */
export type Talk = {
  /**
   * Hears a message that lies in `bytes` from `start` up to `end`, until this returns. False once it wants to hear no
   * more; null once it has noted on the call why the call fails.
   */
  hear(bytes: Buffer, start: number, end: number): boolean | null;
  /**
   * What to say next: a message with its prefix, which does not change from then on; null when there is nothing, with
   * which the call ends once all was heard. Asked only when it can be sent.
   */
  next(): Uint8Array | null;
  /** The call has ended, one way or the other. */
  leave(): void;
};

/** What a message costs to hear, in about a microsecond each. A KiB may hold a hundred of them. */
const messageWork = 5;
/** The same, of so many bytes of it: what a message repeats costs more than to be read. */
const bytesOfWork = 16;

/** What came. */
type Ask = {
  readonly speaker: Speaker;
  readonly requestedMs: number | null;
  /** Null as long as it was not begun. */
  exchange: Exchange | null;
};

/** What the exchanges of a lane have in common. */
type LaneParts = {
  readonly head: Uint8Array;
  readonly trailer: Uint8Array;
  readonly undecodable: Status;
  readonly admit: (call: Call) => Status | null;
  readonly statusOf: (error: unknown) => Status;
};

/**
 * The lane of an RPC whose messages come and go, over gRPC. What is not the plain case goes the general way, as
 * `createUnaryLane` says. The caller is admitted again for each message, both ways. `open` begins a stream; null once
 * it has noted on the call why it does not.
 */
export function createStreamLane(
  method: DescMethodBiDiStreaming,
  open: (line: Line) => Talk | null,
  options: LaneOptions,
): StreamLane<Peer> {
  const { roleOf, reportFault, onCall, isTraced = false } = options;
  const rpc = rpcName(method);
  const admit = createAdmission(rpc, roleOf);
  const statusOf = (error: unknown) => statusOfError(error, rpc, reportFault);
  const parts: LaneParts = {
    head: encodePreparedBlock(headFields),
    trailer: encodePreparedBlock([["grpc-status", "0"]]),
    undecodable: messageUndecodable(method.input),
    admit,
    statusOf,
  };
  const { run } = createRunCall<Ask, Exchange, void>({
    rpc,
    admit,
    respond(ask, call) {
      const exchange = new Exchange(call, ask.speaker, parts);
      const talk = open(exchange);
      if (talk === null) {
        return null;
      }
      exchange.begin(talk);
      ask.exchange = exchange;
      return Promise.resolve(exchange);
    },
    statusOf,
    succeed: () => {},
    fail: (status, _, { speaker }) => speaker.end(trailersOnly(status).head),
    waitMs: ({ requestedMs }) => (requestedMs === null ? null : Math.min(requestedMs, longestTimerMs)),
    isGone: () => false,
    giveUp: (status, { exchange }) => exchange?.end(status),
    rest: (exchange) => (listener) => exchange.onEnd(listener),
    onCall,
  });

  return {
    accepts: isPlainRequest,
    open(headers: LaneHeaders, peer, speaker) {
      const ask: Ask = { speaker, requestedMs: requestedMsOf(headers), exchange: null };
      const ended = run(ask, peer, "grpc", isTraced ? traceOf(headers) : null);
      ended?.catch((error: unknown) => reportFault(error, rpc));
      return ask.exchange;
    },
  };
}

/** The messages of one stream, both ways. */
class Exchange implements Listener, Line {
  readonly call: Call;
  readonly #speaker: Speaker;
  readonly #parts: LaneParts;
  readonly #splitter = new MessageSplitter(maxMessageBytes);
  #talk: Talk | null = null;
  #hasBegun = false;
  #hasHeardAll = false;
  #isSpeaking = false;
  #isOver = false;
  #listener: () => void = () => {};

  constructor(call: Call, speaker: Speaker, parts: LaneParts) {
    this.call = call;
    this.#speaker = speaker;
    this.#parts = parts;
  }

  begin(talk: Talk): void {
    this.#talk = talk;
  }

  /** Calls `listener` once the call has ended. */
  onEnd(listener: () => void): void {
    this.#listener = listener;
    if (this.#isOver) {
      listener();
    }
  }

  get keptBytes(): number {
    return this.#splitter.keptBytes;
  }

  hear(bytes: Buffer, start: number, end: number): number {
    if (this.#hasHeardAll) {
      return 0;
    }
    let work = 0;
    const fault = this.#splitter.take(bytes, start, end, (whole, from, to) => {
      work += messageWork + Math.floor((to - from) / bytesOfWork);
      return this.#hearMessage(whole, from, to);
    });
    if (fault !== null) {
      this.end(statusOfFraming(fault, this.#parts.undecodable));
    }
    return work;
  }

  hearEnd(): void {
    if (this.#splitter.isMidMessage && !this.#hasHeardAll) {
      this.end(this.#parts.undecodable);
      return;
    }
    this.#hasHeardAll = true;
    this.wake();
  }

  onRoom(): void {
    this.wake();
  }

  onClosed(): void {
    this.#finish(callCanceled);
  }

  /** Says all that there is to say, as far as there is room. */
  wake(): void {
    if (this.#isSpeaking) {
      return;
    }
    this.#isSpeaking = true;
    try {
      this.#speak();
    } catch (error) {
      this.end(this.#parts.statusOf(error));
    }
    this.#isSpeaking = false;
  }

  end(status: Status): void {
    if (this.#finish(status)) {
      this.#speaker.end(this.#hasBegun ? trailersOf(status) : trailersOnly(status).head);
    }
  }

  #hearMessage(bytes: Buffer, start: number, end: number): boolean {
    const refusal = this.#parts.admit(this.call);
    if (refusal !== null) {
      this.end(refusal);
      return false;
    }
    try {
      const isMoreWanted = this.#talk?.hear(bytes, start, end) ?? null;
      if (isMoreWanted === null) {
        this.end(this.call.status ?? internalError);
      } else if (!isMoreWanted) {
        this.#hasHeardAll = true;
        this.wake();
      }
    } catch (error) {
      this.end(this.#parts.statusOf(error));
    }
    return !this.#hasHeardAll;
  }

  #speak(): void {
    while (!this.#isOver && this.#speaker.hasRoom) {
      const message = this.#talk?.next() ?? null;
      if (message === null) {
        if (this.#hasHeardAll) {
          this.#endWell();
        }
        return;
      }
      const refusal = this.#parts.admit(this.call);
      if (refusal !== null) {
        this.end(refusal);
        return;
      }
      this.#beginOnce();
      this.#speaker.send(message);
    }
  }

  #beginOnce(): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#speaker.begin(this.#parts.head);
    }
  }

  #endWell(): void {
    this.#beginOnce();
    if (this.#finish(null)) {
      this.#speaker.end(this.#parts.trailer);
    }
  }

  /** False where the call had ended before. */
  #finish(status: Status | null): boolean {
    if (this.#isOver) {
      return false;
    }
    this.#isOver = true;
    this.#hasHeardAll = true;
    this.call.status ??= status;
    this.#talk?.leave();
    this.#listener();
    return true;
  }
}
