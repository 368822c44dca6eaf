import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Clock } from "../../../authority/clock.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import { createAdmission } from "../../../calls/admission.ts";
import type { Call } from "../../../calls/call.ts";
import { createUnaryLane, type LaneOptions } from "../../../calls/grpc/unary-lane.ts";
import { rpcName } from "../../../calls/rpcs.ts";
import { createTurns } from "../../../machine/turns.ts";
import type { Lane } from "../../../wire/http2/lane.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { createTokenMethods } from "../token-service.ts";
import { createMessageAnswer } from "./message-answer.ts";

// A tenth of a millisecond of work or so: one read may bring a thousand of them, and each Authenticate would wait for
// all.
const maxBegunPerTurn = 2;

/**
 * The lanes of the management RPCs that ask and answer little, by their paths. List is not among them: its pages are
 * long, and may wait for their reader.
 */
export function createManagementLanes(
  authority: TokenAuthority,
  clock: Clock,
  options: LaneOptions,
): readonly (readonly [path: string, Lane<Peer>])[] {
  const methods = createTokenMethods(authority, clock);
  const turns = createTurns(maxBegunPerTurn);

  function laneOf<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    answer: (request: MessageShape<Input>, call: Call) => Promise<MessageInitShape<Output>>,
  ): readonly [string, Lane<Peer>] {
    const admit = createAdmission(rpcName(method), options.roleOf);
    const respond = createMessageAnswer(method, answer, { turns, admit });
    return [`/${rpcName(method)}`, createUnaryLane(method, respond, options)];
  }

  const { create, get, revoke } = TokenService.method;
  return [laneOf(create, methods.create), laneOf(get, methods.get), laneOf(revoke, methods.revoke)];
}
