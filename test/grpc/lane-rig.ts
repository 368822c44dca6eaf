import type { ConnectError } from "@connectrpc/connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import type { AuthenticateRequest, Outcome } from "../../src/authority/judge.ts";
import { createFaultLog } from "../../src/calls/fault-log.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import type { LaneOptions } from "../../src/calls/grpc/unary-lane.ts";
import { type Authenticate, createAuthenticateLane } from "../../src/doors/rpc/lanes/authenticate-lane.ts";
import { preparePrincipal } from "../../src/doors/rpc/lanes/encode-authenticate-response.ts";
import type { Lane, LaneAnswer, PrepareBlock } from "../../src/wire/http2/lane.ts";
import type { Peer } from "../../src/wire/port/peer.ts";

/** Header blocks that a test can read. */
export const prepareBlock: PrepareBlock = (fields) => Buffer.from(JSON.stringify(fields));

/** The fields of such a block. */
export function fieldsIn(block: Uint8Array): Record<string, string> {
  return Object.fromEntries(JSON.parse(Buffer.from(block).toString()));
}

/** The error in a lane's answer, or null. */
export function errorIn(answer: LaneAnswer): ConnectError | null {
  const { ":status": _, ...fields } = {
    ...fieldsIn(answer.head),
    ...(answer.trailer === null ? {} : fieldsIn(answer.trailer)),
  };
  return findTrailerError(new Headers(fields)) ?? null;
}

/** What the domain will answer, from what it answers without prepared answers. */
export function prepared(outcome: Outcome): Outcome {
  return outcome.kind === "principal" ? { ...outcome, answer: preparePrincipal(outcome.token) } : outcome;
}

export type LaneRig = {
  readonly lane: Lane<Peer>;
  readonly calls: FinishedCall[];
  readonly reported: unknown[];
  readonly requests: AuthenticateRequest[];
};

/** A lane over `decide`, with the errors and the gate of the RPCs; its callers are gateways unless `roleOf` says otherwise. */
export function createLaneRig(decide: Authenticate, options: Partial<LaneOptions> = {}): LaneRig {
  const calls: FinishedCall[] = [];
  const reported: unknown[] = [];
  const requests: AuthenticateRequest[] = [];
  const log = { info() {}, warn() {}, error: (fields: object) => reported.push("err" in fields ? fields.err : fields) };
  const authenticate = (request: AuthenticateRequest) => {
    requests.push(request);
    return decide(request);
  };
  const lane = createAuthenticateLane(authenticate, {
    roleOf: () => "gateway",
    reportFault: createFaultLog(log),
    prepareBlock,
    onCall: (call) => calls.push(call),
    ...options,
  });
  return { lane, calls, reported, requests };
}
