import type { Role } from "../../authority/caller.ts";
import type { Lane, LaneAnswer, LaneHeaders, LaneStream, PrepareBlock } from "../../wire/http2/lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { isSurelyForThisHost } from "../../wire/port/this-machine.ts";
import { grpcTimeoutMs } from "../../wire/protobuf/grpc-timeout.ts";
import { framingFault, prefixBytes } from "../../wire/protobuf/length-prefixed.ts";
import type { FinishedCall } from "../finished-call.ts";
import type { TraceHeaders } from "../trace-headers.ts";
import type { Status, Statuses } from "./status.ts";
import { trailersOnly } from "./trailers-only.ts";

/** The header fields that a lane reads, in the order it expects them. */
export const laneHeaders = ["content-type", "grpc-encoding", "grpc-timeout"] as const;

/** The same, where calls are traced. */
export const tracedLaneHeaders = [...laneHeaders, "traceparent", "tracestate"] as const;

/** Whether a peer may call: the identity and the role that it has now, and the error to answer instead, if any. */
export type Admission = {
  readonly identity: string | null;
  readonly role: Role | null;
  readonly refusal: Status | null;
};

/** What a message is answered with, and what logs and metrics learn of it. */
export type Reply = {
  /** The message with its prefix. Not changed from here on: it may be shared. */
  readonly body: Uint8Array;
  readonly tokenId: string | null;
  readonly refusal: string | null;
  /** The request_id that the answer has, where it has one. */
  readonly requestId?: string;
  /** The number in the journal of the change that was made or found: null for a call that looks for none. */
  readonly revision: number | null;
};

/** Who calls, as admitted: with the identity and the role it had then, and whether it still waits. */
export type LaneCaller = {
  readonly peer: Peer;
  readonly identity: string | null;
  readonly role: Role | null;
  readonly stream: LaneStream;
};

export type UnaryLaneOptions = {
  /** `package.Service/Method`. */
  readonly rpc: string;
  /** Answers the message that lies in `bytes` from `start` up to `end`, until this returns. What it throws or rejects with is answered. */
  readonly respond: (bytes: Buffer, start: number, end: number, caller: LaneCaller) => Reply | Status | Promise<Reply>;
  /** Asked for every call once its body is there, before that is looked at. */
  readonly admit: (peer: Peer) => Admission;
  readonly statuses: Statuses;
  readonly prepareBlock: PrepareBlock;
  /** Told of every call that the lane has answered. */
  readonly onCall: (call: FinishedCall) => void;
  readonly maxMessageBytes: number;
  /** How long a call waits that cannot be answered at once. A caller's own timeout replaces the default, and is cut to the greatest. */
  readonly deadlines: { readonly defaultMs: number; readonly greatestMs: number };
  /** Whether the headers are those of `tracedLaneHeaders`. Default: they are those of `laneHeaders`. */
  readonly isTraced?: boolean;
};

type Call = Omit<LaneCaller, "stream"> & {
  readonly startedAtMs: number;
  /** Null when nothing was read of them. */
  readonly headers: LaneHeaders | null;
};

/**
 * Answers one RPC over gRPC from bytes to bytes. What is not the plain case (JSON, compression, a header that makes no sense, a host
 * that needs a closer look) is left to the general way, which refuses or answers it. Throws only what `onCall` or `statuses` throw.
 */
export function createUnaryLane(options: UnaryLaneOptions): Lane<Peer> {
  const { rpc, respond, admit, statuses, prepareBlock, onCall, maxMessageBytes, deadlines, isTraced = false } = options;
  const head = prepareBlock([
    [":status", "200"],
    ["content-type", "application/grpc"],
  ]);
  const trailer = prepareBlock([["grpc-status", "0"]]);

  /** Hot path. */
  function accepts(headers: LaneHeaders, authority: string, peer: Peer): boolean {
    const contentType = headers[0];
    const encoding = headers[1] ?? null;
    const timeout = headers[2] ?? null;
    return (
      (contentType === "application/grpc" || contentType === "application/grpc+proto" || namesCharset(contentType)) &&
      (encoding === null || encoding === "identity") &&
      (timeout === null || hasTime(grpcTimeoutMs(timeout))) &&
      isSurelyForThisHost(peer, authority)
    );
  }

  /** Hot path. */
  function answer(
    bytes: Buffer,
    start: number,
    end: number,
    headers: LaneHeaders,
    peer: Peer,
    stream: LaneStream,
  ): LaneAnswer | Promise<LaneAnswer> {
    const startedAtMs = performance.now();
    const { identity, role, refusal } = admit(peer);
    const call = { peer, identity, role, stream, startedAtMs, headers };
    if (refusal !== null) {
      return fail(call, refusal);
    }
    const fault = framingFault(bytes, start, end, maxMessageBytes);
    if (fault !== null) {
      return fail(call, statusOfFraming(fault));
    }
    let reply: Reply | Status | Promise<Reply>;
    try {
      reply = respond(bytes, start + prefixBytes, end, call);
    } catch (error) {
      return fail(call, statuses.ofError(error));
    }
    if (reply instanceof Promise) {
      return answerLater(call, stream, reply, timeoutMs(headers));
    }
    return "body" in reply ? succeed(call, reply) : fail(call, reply);
  }

  /** Nothing of a body is kept for who may not call. */
  function refuseEarly(peer: Peer): LaneAnswer | null {
    const startedAtMs = performance.now();
    const { identity, role, refusal } = admit(peer);
    return refusal === null ? null : fail({ peer, identity, role, startedAtMs, headers: null }, refusal);
  }

  /** Who may not call learns nothing else. */
  function tooLarge(peer: Peer): LaneAnswer {
    const startedAtMs = performance.now();
    const { identity, role, refusal } = admit(peer);
    return fail({ peer, identity, role, startedAtMs, headers: null }, refusal ?? statuses.tooLarge);
  }

  async function answerLater(
    call: Call,
    stream: LaneStream,
    replying: Promise<Reply>,
    waitMs: number,
  ): Promise<LaneAnswer> {
    const { promise: deadline, resolve } = Promise.withResolvers<null>();
    const timer = setTimeout(resolve, waitMs, null);
    let reply: Reply | null;
    try {
      reply = await Promise.race([replying, deadline]);
    } catch (error) {
      const status = statuses.ofError(error);
      return fail(call, stream.isClosed ? statuses.canceled : status);
    } finally {
      clearTimeout(timer);
    }
    if (reply === null) {
      // What fails too late for the caller is still the log's.
      replying.catch(statuses.ofError);
    }
    if (stream.isClosed) {
      // What was done is done: its line in the log says so, also where its caller has gone.
      return fail(call, statuses.canceled, reply);
    }
    return reply === null ? fail(call, statuses.deadlineExceeded) : succeed(call, reply);
  }

  /** Hot path. */
  function succeed(call: Call, reply: Reply): LaneAnswer {
    finish(call, null, reply);
    return { head, body: reply.body, trailer };
  }

  function fail(call: Call, status: Status, reply: Reply | null = null): LaneAnswer {
    finish(call, status, reply);
    return trailersOnly(status, prepareBlock);
  }

  /** Hot path. */
  function finish(call: Call, status: Status | null, reply: Reply | null): void {
    onCall(summary(call, status, reply));
  }

  /** Hot path. */
  function summary(
    { identity, role, startedAtMs, headers }: Call,
    status: Status | null,
    reply: Reply | null,
  ): FinishedCall {
    return {
      rpc,
      protocol: "grpc",
      caller: identity,
      role,
      code: status === null ? "OK" : status.codeName,
      reason: status === null ? null : status.reason,
      durationMs: performance.now() - startedAtMs,
      tokenId: reply === null ? null : reply.tokenId,
      revision: reply === null ? null : reply.revision,
      refusal: status === null && reply !== null ? reply.refusal : null,
      requestId: status === null ? (reply?.requestId ?? null) : (status.requestId ?? null),
      error: status === null ? null : status.message,
      details: status === null ? null : (status.details ?? null),
      trace: isTraced && headers !== null ? traceOf(headers) : null,
    };
  }

  /** Whose time is over before it begins is told so on the general way. */
  function hasTime(requestedMs: number | "malformed"): boolean {
    return requestedMs !== "malformed" && requestedMs > 0;
  }

  function timeoutMs(headers: LaneHeaders): number {
    const timeout = headers[2] ?? null;
    const requestedMs = timeout === null ? "malformed" : grpcTimeoutMs(timeout);
    return requestedMs === "malformed" ? deadlines.defaultMs : Math.min(requestedMs, deadlines.greatestMs);
  }

  function statusOfFraming(fault: NonNullable<ReturnType<typeof framingFault>>): Status {
    switch (fault) {
      case "malformed":
        return statuses.malformed;
      case "not_supported":
        return statuses.notSupported;
      case "too_large":
        return statuses.tooLarge;
      case "compression_unnamed":
        return statuses.compressionUnnamed;
    }
  }

  return {
    maxBodyBytes: prefixBytes + maxMessageBytes,
    tooLarge,
    refusal: refuseEarly,
    accepts,
    answer,
  };
}

/** Whether it is one of the two with the charset that all gRPC has. */
function namesCharset(contentType: string | null | undefined): boolean {
  return /^application\/grpc(?:\+proto)?[ \t]*;[ \t]*charset="?utf-?8"?$/i.test(contentType ?? "");
}

/** Hot path, where calls are traced. */
function traceOf(headers: LaneHeaders): TraceHeaders | null {
  const traceparent = headers[3] ?? null;
  return traceparent === null ? null : { traceparent, tracestate: headers[4] ?? null };
}
