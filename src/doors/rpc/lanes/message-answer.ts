import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import type { Admit } from "../../../calls/admission.ts";
import { type Call, fail } from "../../../calls/call.ts";
import type { RespondInLane } from "../../../calls/grpc/unary-lane.ts";
import { messageUndecodable, unknownFieldNumber } from "../../../calls/request-errors.ts";
import { callCanceled } from "../../../calls/status.ts";
import type { Turns } from "../../../machine/turns.ts";
import { lengthPrefixed } from "../../../wire/protobuf/length-prefixed.ts";
import { unknownFieldPath } from "../connect/unknown-field-path.ts";

/**
 * Answers the message of an RPC from bytes to bytes, as the general way does without compression. The bytes are read
 * until this returns. Rejects with whatever the method rejects with.
 */
export function createMessageAnswer<Input extends DescMessage, Output extends DescMessage>(
  method: DescMethodUnary<Input, Output>,
  answer: (request: MessageShape<Input>, call: Call) => Promise<MessageInitShape<Output>>,
  { turns, admit }: { readonly turns: Turns; readonly admit: Admit },
): RespondInLane {
  const undecodable = messageUndecodable(method.input);

  return (bytes, start, end, call, stream) => {
    const request = readMessage(bytes, start, end);
    if (request === null) {
      return fail(call, undecodable);
    }
    const path = unknownFieldPath(method.input, request);
    return path === null ? answerInTurn(request, call, stream) : fail(call, unknownFieldNumber(method.input, path));
  };

  async function answerInTurn(
    request: MessageShape<Input>,
    call: Call,
    stream: { readonly isClosed: boolean },
  ): Promise<Uint8Array | null> {
    const turn = turns.begin();
    if (turn !== null) {
      await turn;
      if (stream.isClosed) {
        // Nothing was done, and the client has gone: the calls of waiting clients get their turns sooner.
        return fail(call, callCanceled);
      }
    }
    // Once its turn has come: the identity may have been taken away while it waited.
    const refusal = admit(call);
    if (refusal !== null) {
      return fail(call, refusal);
    }
    const response = create(method.output, await answer(request, call));
    return lengthPrefixed(toBinary(method.output, response));
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
}
