import type { DescMethodUnary } from "@bufbuild/protobuf";
import { encodePreparedBlock } from "../../wire/http2/hpack-encoder.ts";
import type { Lane, LaneAnswer, LaneHeaders, LaneStream } from "../../wire/http2/lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { framingFault, prefixBytes } from "../../wire/protobuf/length-prefixed.ts";
import { createAdmission, type RoleOf } from "../admission.ts";
import { type Call, fail } from "../call.ts";
import { type Deadlines, deadlineOf, defaultDeadlines } from "../deadline.ts";
import type { ReportFault } from "../fault-log.ts";
import type { FinishedCall } from "../finished-call.ts";
import { maxMessageBytes } from "../limits.ts";
import { messageUndecodable, requestTooLarge } from "../request-errors.ts";
import { rpcName } from "../rpcs.ts";
import { createRunCall } from "../run-call.ts";
import { type Status, statusOfError } from "../status.ts";
import { isPlainRequest, requestedMsOf, statusOfFraming, traceOf } from "./plain-request.ts";
import { headFields, trailersOnly } from "./trailers-only.ts";

/**
 * Answers the message that lies in `bytes` from `start` up to `end`, until this returns, with a message and its prefix,
 * which does not change from then on. Notes on the call what it learns; null once it has noted why there is no answer.
 * What it throws or rejects with is answered.
 */
export type RespondInLane = (
  bytes: Buffer,
  start: number,
  end: number,
  call: Call,
  stream: LaneStream,
) => Uint8Array | null | Promise<Uint8Array | null>;

/** What all lanes of a thread have in common. */
export type LaneOptions = {
  /** Asked for every call. */
  readonly roleOf: RoleOf;
  readonly reportFault: ReportFault;
  /** Told of every call that a lane has answered. */
  readonly onCall: (call: FinishedCall) => void;
  /** Whether the headers are those of `tracedLaneHeaders`. Default: they are those of `laneHeaders`. */
  readonly isTraced?: boolean;
  readonly deadlines?: Deadlines;
};

/** What came. */
type Ask = {
  bytes: Buffer;
  readonly start: number;
  readonly end: number;
  readonly headers: LaneHeaders;
  readonly stream: LaneStream;
};

const noBytes = Buffer.alloc(0);
/** Stands for a call of which nothing is kept. */
const nothing: Ask = { bytes: noBytes, start: 0, end: 0, headers: [], stream: { isClosed: false } };

/**
 * The lane of one RPC, which it answers over gRPC from bytes to bytes. What is not the plain case (JSON, compression, a
 * header that makes no sense, a host that needs a closer look) is left to the general way, which refuses or answers it.
 * Throws only what `onCall` and `reportFault` throw.
 */
export function createUnaryLane(method: DescMethodUnary, respond: RespondInLane, options: LaneOptions): Lane<Peer> {
  const { roleOf, reportFault, onCall, isTraced = false, deadlines = defaultDeadlines } = options;
  const rpc = rpcName(method);
  const deadline = deadlineOf(rpc, deadlines);
  const undecodable = messageUndecodable(method.input);
  const head = encodePreparedBlock(headFields);
  const trailer = encodePreparedBlock([["grpc-status", "0"]]);
  // Most statuses are made once, and anybody can cause them in any number.
  const prepared = new WeakMap<Status, LaneAnswer>();
  const { run, refuse, reject } = createRunCall<Ask, Uint8Array, LaneAnswer>({
    rpc,
    admit: createAdmission(rpc, roleOf),
    respond: respondToMessage,
    statusOf: (error) => statusOfError(error, rpc, reportFault),
    succeed: (body) => ({ head, body, trailer }),
    fail: failWith,
    waitMs: ({ headers }) => timeoutMs(headers),
    isGone: ({ stream }) => stream.isClosed,
    onCall,
  });

  /** Hot path. */
  function answer(
    bytes: Buffer,
    start: number,
    end: number,
    headers: LaneHeaders,
    peer: Peer,
    stream: LaneStream,
  ): LaneAnswer | Promise<LaneAnswer> {
    return run({ bytes, start, end, headers, stream }, peer, "grpc", isTraced ? traceOf(headers) : null);
  }

  function respondToMessage(ask: Ask, call: Call): Uint8Array | null | Promise<Uint8Array | null> {
    const { bytes, start, end } = ask;
    const fault = framingFault(bytes, start, end, maxMessageBytes);
    if (fault !== null) {
      return fail(call, statusOfFraming(fault, undecodable));
    }
    const body = respond(bytes, start + prefixBytes, end, call, ask.stream);
    if (body instanceof Promise) {
      // What one read brought, of many calls, would be kept for as long as this one waits.
      ask.bytes = noBytes;
    }
    return body;
  }

  function failWith(status: Status): LaneAnswer {
    const known = prepared.get(status);
    if (known !== undefined) {
      return known;
    }
    const answer = trailersOnly(status);
    prepared.set(status, answer);
    return answer;
  }

  function timeoutMs(headers: LaneHeaders): number {
    const requestedMs = requestedMsOf(headers);
    return requestedMs === null ? deadline.defaultMs : Math.min(requestedMs, deadline.greatestMs);
  }

  return {
    maxBodyBytes: prefixBytes + maxMessageBytes,
    tooLarge: (peer) => reject(nothing, peer, "grpc", requestTooLarge),
    refusal: (peer) => refuse(nothing, peer, "grpc"),
    accepts: isPlainRequest,
    answer,
  };
}
