import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Turns } from "../../../machine/turns.ts";
import type { Peer } from "../../../wire/port/peer.ts";
import { lengthPrefixed } from "../../../wire/protobuf/length-prefixed.ts";
import type { NotedCall } from "../connect/call.ts";
import { objectionTo, type RoleOf } from "../connect/gate.ts";
import { unknownFieldPath } from "../connect/unknown-field-path.ts";
import { callCanceled, messageUndecodable, unknownFieldNumber } from "../errors.ts";

/** The answer with gRPC's prefix, and what logs and metrics learn of it. */
export type MessageReply = {
  readonly body: Uint8Array;
  readonly tokenId: string | null;
  readonly refusal: string | null;
  readonly revision: number | null;
};

/**
 * Answers the message of an RPC from bytes to bytes, as the general way does without compression. The bytes are read until this
 * returns. Rejects in the words of the general way, and with whatever the method rejects with.
 */
export function createMessageAnswer<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  answer: (request: MessageShape<Input>, call: NotedCall) => Promise<MessageInitShape<Output>>,
  { turns, roleOf }: { readonly turns: Turns; readonly roleOf: RoleOf },
) {
  async function respond(
    bytes: Buffer,
    start: number,
    end: number,
    { peer, stream }: { readonly peer: Peer; readonly stream: { readonly isClosed: boolean } },
  ): Promise<MessageReply> {
    const request = decode(bytes, start, end);
    const turn = turns.begin();
    if (turn !== null) {
      await turn;
      if (stream.isClosed) {
        // Nothing was done, and nobody waits for it: the turns of those who do come sooner.
        throw callCanceled();
      }
    }
    // Once its turn has come: the identity may have been taken away while it waited.
    const { identity, role, objection } = objectionTo(method, peer, roleOf);
    if (objection !== null) {
      throw objection;
    }
    const call: NotedCall = { identity, role, tokenId: null, revision: null, refusalReason: null };
    const response = create(method.output, await answer(request, call));
    return {
      body: lengthPrefixed(toBinary(method.output, response)),
      tokenId: call.tokenId,
      refusal: call.refusalReason,
      revision: call.revision,
    };
  }

  function decode(bytes: Buffer, start: number, end: number): MessageShape<Input> {
    const request = readMessage(bytes, start, end);
    if (request === null) {
      throw messageUndecodable(method.input);
    }
    const path = unknownFieldPath(method.input, request);
    if (path !== null) {
      throw unknownFieldNumber(method.input, path);
    }
    return request;
  }

  /** Null when the bytes are not such a message. What protobuf-es says of them may quote them, and goes nowhere. */
  function readMessage(bytes: Buffer, start: number, end: number): MessageShape<Input> | null {
    try {
      // A copy: what has the type bytes, and what is unknown, would be a view of it for as long as the message lives.
      return fromBinary(method.input, Uint8Array.prototype.slice.call(bytes, start, end));
    } catch {
      return null;
    }
  }

  return respond;
}
