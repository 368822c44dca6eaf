import type { Peer } from "../authority/caller.ts";
import { type CheckRequest, decodeCheckRequest } from "./decode-check-request.ts";
import { encodeAccepted, encodeDenied, type HeaderFields } from "./encode-check-response.ts";
import type { Lane } from "./lane.ts";
import type { Status } from "./status.ts";
import { createUnaryLane, type Reply, type UnaryLaneOptions } from "./unary-lane.ts";

/** The `:path` of Envoy's external authorization. */
export const checkPath = "/envoy.service.auth.v3.Authorization/Check";

/** What Envoy is to do with a request. The same as `src/gateway/` has it. */
export type CheckVerdict =
  | { readonly kind: "accepted"; readonly tokenId: string; readonly headers: HeaderFields }
  | {
      readonly kind: "refused";
      readonly status: 401 | 403;
      readonly headers: HeaderFields;
      readonly body: string;
      readonly refusal: string;
      readonly tokenId: string | null;
    };

export type CheckLaneOptions = Omit<UnaryLaneOptions, "rpc" | "respond"> & {
  /** Throws or rejects where nothing is decided. */
  readonly check: (request: CheckRequest) => CheckVerdict | Promise<CheckVerdict>;
};

/** The lane of Envoy's Check. */
export function createCheckLane({ check, ...options }: CheckLaneOptions): Lane<Peer> {
  /** Hot path. */
  function respond(bytes: Buffer, start: number, end: number): Reply | Status | Promise<Reply> {
    const request = decodeCheckRequest(bytes, start, end);
    if (request === null) {
      return options.statuses.malformed;
    }
    const verdict = check(request);
    return verdict instanceof Promise ? verdict.then(toReply) : toReply(verdict);
  }

  return createUnaryLane({ ...options, rpc: checkPath.slice(1), respond });
}

/** Hot path. */
function toReply(verdict: CheckVerdict): Reply {
  return verdict.kind === "accepted"
    ? { body: encodeAccepted(verdict.headers), tokenId: verdict.tokenId, refusal: null }
    : {
        body: encodeDenied(verdict.status, verdict.headers, verdict.body),
        tokenId: verdict.tokenId,
        refusal: verdict.refusal,
      };
}
