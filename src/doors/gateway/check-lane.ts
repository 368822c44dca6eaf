import { Authorization, CheckRequestSchema } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";
import type { StoredToken } from "../../authority/token.ts";
import { type Call, fail } from "../../calls/call.ts";
import { createUnaryLane, type LaneOptions } from "../../calls/grpc/unary-lane.ts";
import { preparedAnswer } from "../../calls/prepared-answers.ts";
import { messageUndecodable } from "../../calls/request-errors.ts";
import type { Lane } from "../../wire/http2/lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { type Check, type CheckRequest, type CheckVerdict, requestIdOf } from "./check.ts";
import { decodeCheckRequest, type KnownWords } from "./decode-check-request.ts";
import { encodeAccepted, encodeDenied } from "./encode-check-response.ts";
import { identityHeaders } from "./identity-headers.ts";

/** The lane of Envoy's Check. */
export function createCheckLane(check: Check, options: LaneOptions): Lane<Peer> {
  const undecodable = messageUndecodable(CheckRequestSchema);
  const known: KnownWords = [];

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
      call.tokenId = verdict.principal.token.id;
      return preparedAnswer(verdict.principal, "check", encodeIdentity);
    }
    const { status, headers, body } = verdict;
    call.tokenId = verdict.tokenId;
    call.refusal = verdict.refusal;
    call.requestId = verdict.requestId;
    return encodeDenied(status, headers, body);
  }

  return createUnaryLane(Authorization.method.check, respond, options);
}

function encodeIdentity(token: StoredToken): Uint8Array {
  return encodeAccepted(identityHeaders(token));
}
