import type { AuthenticateRequest, Outcome } from "../../../authority/judge.ts";
import type { AuthenticateStatuses, Status } from "../../../calls/grpc/status.ts";
import { createUnaryLane, type Reply, type UnaryLaneOptions } from "../../../calls/grpc/unary-lane.ts";
import type { Lane } from "../../../wire/http2/lane.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { decodeAuthenticateRequest, type RequestFault } from "./decode-authenticate-request.ts";
import { encodeAuthenticateResponse } from "./encode-authenticate-response.ts";

/** The `:path` that the lane is for. */
export const authenticatePath = "/casapay.token.v1.TokenService/Authenticate";

export type AuthenticateLaneOptions = Omit<UnaryLaneOptions, "rpc" | "respond" | "statuses"> & {
  /** The domain's. What it throws or rejects with is answered. */
  readonly authenticate: (request: AuthenticateRequest) => Outcome | Promise<Outcome>;
  readonly statuses: AuthenticateStatuses;
};

/** The lane of Authenticate. */
export function createAuthenticateLane({ authenticate, ...options }: AuthenticateLaneOptions): Lane<Peer> {
  const { statuses } = options;

  /** Hot path. */
  function respond(bytes: Buffer, start: number, end: number): Reply | Status | Promise<Reply> {
    const request = decodeAuthenticateRequest(bytes, start, end);
    if ("fault" in request) {
      return statusOfRequest(request);
    }
    const outcome = authenticate(request);
    return outcome instanceof Promise ? outcome.then(toReply) : toReply(outcome);
  }

  function statusOfRequest(fault: RequestFault): Status {
    switch (fault.fault) {
      case "malformed":
        return statuses.malformed;
      case "unknown_field":
        return statuses.unknownField(fault.number);
      case "types_invalid":
        return statuses.typesInvalid;
    }
  }

  return createUnaryLane({ ...options, rpc: authenticatePath.slice(1), respond });
}

/** Hot path. */
function toReply(outcome: Outcome): Reply {
  return {
    body: encodeAuthenticateResponse(outcome),
    tokenId: outcome.token === null ? null : outcome.token.id,
    refusal: outcome.kind === "refusal" ? outcome.reason : null,
    revision: null,
  };
}
