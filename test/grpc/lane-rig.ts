import type { ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import type { AuthenticateRequest } from "../../src/authority/judge.ts";
import { createFaultLog } from "../../src/calls/fault-log.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import type { LaneOptions } from "../../src/calls/grpc/unary-lane.ts";
import { type Authenticating, createAuthenticateLane } from "../../src/doors/rpc/lanes/authenticate-lane.ts";
import { FieldFactory } from "../../src/wire/http2/field.ts";
import { HpackDecoder } from "../../src/wire/http2/hpack-decoder.ts";
import type { Lane, LaneAnswer } from "../../src/wire/http2/lane.ts";
import type { Peer } from "../../src/wire/port/peer.ts";

/** The fields of a header block. */
export function fieldsIn(block: Uint8Array): Record<string, string> {
  const decoder = new HpackDecoder(new FieldFactory([]), { maxHeaderListBytes: 1e6, maxHeaderFields: 100 });
  decoder.decode(Buffer.from(block), 0, block.length);
  return Object.fromEntries(decoder.fields.slice(0, decoder.count).map(({ name, value }) => [name, value]));
}

/** The error in a lane's answer, or null. */
export function errorIn(answer: LaneAnswer): ConnectError | null {
  const { ":status": _, ...fields } = {
    ...fieldsIn(answer.head),
    ...(answer.trailer === null ? {} : fieldsIn(answer.trailer)),
  };
  return findTrailerError(new Headers(fields)) ?? null;
}

export type LaneRig = {
  readonly lane: Lane<Peer>;
  readonly calls: FinishedCall[];
  readonly reported: unknown[];
  readonly requests: AuthenticateRequest[];
};

/**
 * A lane over `decide`, with the errors and the gate of the RPCs; its callers are gateways unless `roleOf` says
 * otherwise.
 */
export function createLaneRig(
  decide: Authenticating["authenticate"],
  options: Partial<LaneOptions> = {},
  authenticateForCache: Authenticating["authenticateForCache"] = () => Promise.reject(new Error("is not asked")),
): LaneRig {
  const calls: FinishedCall[] = [];
  const reported: unknown[] = [];
  const requests: AuthenticateRequest[] = [];
  const log = { info() {}, warn() {}, error: (fields: object) => reported.push("err" in fields ? fields.err : fields) };
  const authenticate = (request: AuthenticateRequest) => {
    requests.push(request);
    return decide(request);
  };
  const laneOptions: LaneOptions = {
    roleOf: () => "gateway",
    reportFault: createFaultLog(log),
    onCall: (call) => calls.push(call),
    ...options,
  };
  const lane = createAuthenticateLane({ authenticate, authenticateForCache }, laneOptions);
  return { lane, calls, reported, requests };
}
