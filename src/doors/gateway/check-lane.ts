import { Authorization, CheckRequestSchema } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import { GenerationalCache } from "../../authority/generational-cache.ts";
import type { StoredToken } from "../../authority/token.ts";
import { type Call, fail } from "../../calls/call.ts";
import { createUnaryLane, type LaneOptions } from "../../calls/grpc/unary-lane.ts";
import { messageUndecodable } from "../../calls/request-errors.ts";
import type { Lane } from "../../wire/http2/lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { type Check, type CheckRequest, type CheckVerdict, requestIdOf } from "./check.ts";
import { decodeCheckRequest, type KnownWords } from "./decode-check-request.ts";
import { encodeAccepted, encodeDenied } from "./encode-check-response.ts";
import { identityHeaders } from "./identity-headers.ts";

// A map's entry and a small buffer.
const entryBytes = 250;

/** The lane of Envoy's Check. Answers to accepted keys are kept, up to `maxPreparedBytes`. */
export function createCheckLane(check: Check, maxPreparedBytes: number, options: LaneOptions): Lane<Peer> {
  const undecodable = messageUndecodable(CheckRequestSchema);
  const prepared = new GenerationalCache<string, Uint8Array>(
    maxPreparedBytes,
    (answer) => entryBytes + answer.byteLength,
  );
  const known: KnownWords = [];

  /** Hot path. */
  function respond(
    bytes: Buffer,
    start: number,
    end: number,
    call: Call,
  ): Uint8Array | null | Promise<Uint8Array | null> {
    const request = decodeCheckRequest(bytes, start, end, known);
    if (request === null) {
      return fail(call, undecodable);
    }
    let verdict: CheckVerdict | Promise<CheckVerdict>;
    try {
      verdict = check(request);
    } catch (error) {
      return failFor(request, call, error);
    }
    return verdict instanceof Promise
      ? verdict.then(
          (late) => answer(late, call),
          (error) => failFor(request, call, error),
        )
      : answer(verdict, call);
  }

  /** Nothing is decided: the log has the gateway's name for the request, where it may be told. */
  function failFor(request: CheckRequest, call: Call, error: unknown): never {
    call.requestId = requestIdOf(request);
    throw error;
  }

  function answer(verdict: CheckVerdict, call: Call): Uint8Array {
    if (verdict.kind === "accepted") {
      call.tokenId = verdict.token.id;
      return acceptedAnswer(verdict.token);
    }
    const { status, headers, body } = verdict;
    call.tokenId = verdict.tokenId;
    call.refusal = verdict.refusal;
    call.requestId = verdict.requestId;
    return encodeDenied(status, headers, body);
  }

  /** From memory: to encode it takes as long as all the rest. */
  function acceptedAnswer(token: StoredToken): Uint8Array {
    const known = prepared.get(token.id);
    if (known !== undefined) {
      return known;
    }
    const made = encodeAccepted(identityHeaders(token));
    prepared.set(token.id, made);
    return made;
  }

  return createUnaryLane(Authorization.method.check, respond, options);
}
