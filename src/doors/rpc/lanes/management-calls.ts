import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Clock } from "../../../authority/clock.ts";
import type { TokenAuthority } from "../../../authority/token-authority.ts";
import { createTurns } from "../../../machine/turns.ts";
import { type NotedCall, rpcName } from "../connect/call.ts";
import { createTokenMethods } from "../token-service.ts";
import { createLaneStatuses, type LaneStatusesOptions } from "./lane-statuses.ts";
import { createMessageAnswer } from "./message-answer.ts";

// A tenth of a millisecond of work or so: one read may bring a thousand of them, and whoever authenticates would wait for all.
const maxBegunPerTurn = 2;

/**
 * The RPCs that ask and answer little, from bytes to bytes, each with who may call it and the words in which it fails. List is not
 * among them: its pages are long, and may wait for their reader.
 */
export function createManagementCalls(authority: TokenAuthority, clock: Clock, options: LaneStatusesOptions) {
  const methods = createTokenMethods(authority, clock);
  const turns = createTurns(maxBegunPerTurn);

  function callOf<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    answer: (request: MessageShape<Input>, call: NotedCall) => Promise<MessageInitShape<Output>>,
  ) {
    return {
      rpc: rpcName(method),
      ...createLaneStatuses(method, options),
      respond: createMessageAnswer(method, answer, { turns, roleOf: options.roleOf }),
    };
  }

  const { create, get, revoke } = TokenService.method;
  return [callOf(create, methods.create), callOf(get, methods.get), callOf(revoke, methods.revoke)];
}
