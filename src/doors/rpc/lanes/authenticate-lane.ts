import { AuthenticateRequestSchema, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { type CacheQuestion, isForCache } from "../../../authority/cache-decision.ts";
import type { AuthenticateRequest, Outcome } from "../../../authority/judge.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import { type Call, fail } from "../../../calls/call.ts";
import { createUnaryLane, type LaneOptions } from "../../../calls/grpc/unary-lane.ts";
import { messageUndecodable, unknownFieldNumber } from "../../../calls/request-errors.ts";
import { type Status, statusOfAuthorityError } from "../../../calls/status.ts";
import type { Lane } from "../../../wire/http2/lane.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { typesInvalid } from "../from-message.ts";
import { decodeAuthenticateRequest, type RequestFault } from "./decode-authenticate-request.ts";
import { encodeAuthenticateResponse, encodeCacheDecision } from "./encode-authenticate-response.ts";

/** The domain's. What they throw or reject with is answered. */
export type Authenticating = Pick<TokenAuthority, "authenticate" | "authenticateForCache">;

/** The lane of Authenticate. */
export function createAuthenticateLane(
  { authenticate, authenticateForCache }: Authenticating,
  options: LaneOptions,
): Lane<Peer> {
  const undecodable = messageUndecodable(AuthenticateRequestSchema);
  const unknownType = statusOfAuthorityError(typesInvalid("allowed_types"));

  function respond(
    bytes: Buffer,
    start: number,
    end: number,
    call: Call,
  ): Uint8Array | null | Promise<Uint8Array | null> {
    const request = decodeAuthenticateRequest(bytes, start, end);
    if ("fault" in request) {
      return fail(call, statusOfRequest(request));
    }
    if (isForCache(request)) {
      return answerForCache(request, call);
    }
    const outcome = authenticate(request);
    return outcome instanceof Promise ? outcome.then((late) => answer(late, call)) : answer(outcome, call);
  }

  async function answerForCache(request: AuthenticateRequest & CacheQuestion, call: Call): Promise<Uint8Array> {
    const decision = await authenticateForCache(request);
    note(decision.outcome, call);
    return request.cacheRules === 0 ? encodeAuthenticateResponse(decision.outcome) : encodeCacheDecision(decision);
  }

  function statusOfRequest(fault: RequestFault): Status {
    switch (fault.fault) {
      case "malformed":
        return undecodable;
      case "unknown_field":
        return unknownFieldNumber(AuthenticateRequestSchema, String(fault.number));
      case "types_invalid":
        return unknownType;
    }
  }

  return createUnaryLane(TokenService.method.authenticate, respond, options);
}

function answer(outcome: Outcome, call: Call): Uint8Array {
  note(outcome, call);
  return encodeAuthenticateResponse(outcome);
}

function note(outcome: Outcome, call: Call): void {
  call.tokenId = outcome.token === null ? null : outcome.token.id;
  call.refusal = outcome.kind === "refusal" ? outcome.reason : null;
}
