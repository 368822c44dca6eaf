import { GenerationalCache } from "../../authority/generational-cache.ts";
import type { StoredToken } from "../../authority/token.ts";
import type { Status } from "../../calls/grpc/status.ts";
import { createUnaryLane, type Reply, type UnaryLaneOptions } from "../../calls/grpc/unary-lane.ts";
import type { HeaderFields } from "../../wire/exchange.ts";
import type { Lane } from "../../wire/http2/lane.ts";
import type { Peer } from "../../wire/port/peer.ts";
import { type CheckRequest, decodeCheckRequest, type KnownWords } from "./decode-check-request.ts";
import { encodeAccepted, encodeDenied } from "./encode-check-response.ts";

/** The `:path` of Envoy's external authorization. */
export const checkPath = "/envoy.service.auth.v3.Authorization/Check";

/** What Envoy is to do with a request. The same as `src/doors/gateway/` has it. */
export type CheckVerdict =
  | { readonly kind: "accepted"; readonly token: StoredToken }
  | {
      readonly kind: "refused";
      readonly status: 401 | 403;
      readonly headers: HeaderFields;
      readonly body: string;
      readonly refusal: string;
      readonly requestId: string;
      readonly tokenId: string | null;
    };

export type CheckLaneOptions = Omit<UnaryLaneOptions, "rpc" | "respond"> & {
  /** Throws or rejects where nothing is decided. */
  readonly check: (request: CheckRequest) => CheckVerdict | Promise<CheckVerdict>;
  /** The gateway's name for the request, where it may be told. */
  readonly requestIdOf: (request: CheckRequest) => string | null;
  /** What the upstream learns of who calls: of the token alone, and always the same. */
  readonly identityHeaders: (token: StoredToken) => HeaderFields;
  /** For the answers to accepted keys, which are kept. */
  readonly maxPreparedBytes: number;
};

// A map's entry and a small buffer.
const entryBytes = 250;

/** The lane of Envoy's Check. */
export function createCheckLane({
  check,
  requestIdOf,
  identityHeaders,
  maxPreparedBytes,
  ...options
}: CheckLaneOptions): Lane<Peer> {
  const prepared = new GenerationalCache<string, Uint8Array>(
    maxPreparedBytes,
    (answer) => entryBytes + answer.byteLength,
  );
  const known: KnownWords = [];

  /** Hot path. */
  function respond(bytes: Buffer, start: number, end: number): Reply | Status | Promise<Reply> {
    const request = decodeCheckRequest(bytes, start, end, known);
    if (request === null) {
      return options.statuses.malformed;
    }
    let verdict: CheckVerdict | Promise<CheckVerdict>;
    try {
      verdict = check(request);
    } catch (error) {
      return { ...options.statuses.ofError(error), requestId: requestIdOf(request) };
    }
    return verdict instanceof Promise ? verdict.then(toReply) : toReply(verdict);
  }

  /** Hot path. */
  function toReply(verdict: CheckVerdict): Reply {
    if (verdict.kind === "accepted") {
      return { body: acceptedAnswer(verdict.token), tokenId: verdict.token.id, refusal: null, revision: null };
    }
    const { status, headers, body, tokenId, refusal, requestId } = verdict;
    return { body: encodeDenied(status, headers, body), tokenId, refusal, requestId, revision: null };
  }

  /** Hot path. From memory: to encode it takes as long as all the rest. */
  function acceptedAnswer(token: StoredToken): Uint8Array {
    const known = prepared.get(token.id);
    if (known !== undefined) {
      return known;
    }
    const answer = encodeAccepted(identityHeaders(token));
    prepared.set(token.id, answer);
    return answer;
  }

  return createUnaryLane({ ...options, rpc: checkPath.slice(1), respond });
}
